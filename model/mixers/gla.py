"""Gated linear attention (Yang et al. 2023, arXiv 2312.06635), the mixer alone.

    q, k, v    = W_q u, W_k u, W_v u
    log a_t    = logsigmoid(W_2 W_1 u) / 16        one per channel of the key, at most 0
    h_t        = diag(a_t) h_{t-1} + k_t v_t^T
    o_t        = h_t^T q_t / sqrt(d_k)
    out        = W_o (rmsnorm(o) * silu(W_g u))    the norm is per head

In the words of :mod:`kernels.types` x is v, B is k and C is q: the state is (headdim of v, d_state of k).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan, ScanInputs
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.state import LayerState, empty_layer

GATE_RANK, GATE_TEMPER = 16, 16.0


class GLA(nn.Module):
    """One mixer; ``groups`` are heads of keys and values, each read by as many queries: as many as heads if None."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        groups: int | None = None,
        rank: int = GATE_RANK,
        least_log_decay: float | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.groups = config.nheads if groups is None else groups
        self.least_log_decay = least_log_decay
        keys, values = self.groups * config.d_state, self.groups * config.headdim
        self.q_proj = Linear(config.d_model, config.nheads * config.d_state)
        self.k_proj = Linear(config.d_model, keys)
        self.v_proj = Linear(config.d_model, values)
        self.g_proj = Linear(config.d_model, config.d_inner)
        self.gate_in = Linear(config.d_model, rank)
        self.gate_out = Linear(rank, keys)
        self.gate_bias = nn.Parameter(torch.zeros(keys))
        self.norm = RMSNorm(config.headdim, config.norm_eps)
        self.o_proj = Linear(config.d_inner, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        return empty_layer(self.config, self.gate_bias, batch, 0, self.config.d_model)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        config, sums = self.config, state.window.dtype
        repeats = config.nheads // self.groups
        log_decay = F.logsigmoid(self.gate_out(self.gate_in(u)).to(sums) + self.gate_bias) / GATE_TEMPER
        if self.least_log_decay is not None:
            log_decay = log_decay.clamp_min(self.least_log_decay)

        def for_heads(shared: Tensor) -> Tensor:
            return shared.unflatten(-1, (self.groups, -1)).repeat_interleave(repeats, dim=2)

        inputs = ScanInputs(
            x=for_heads(self.v_proj(u)),
            B=for_heads(self.k_proj(u)),
            C=self.q_proj(u).unflatten(-1, (config.nheads, -1)) * config.d_state**-0.5,
            log_decay=for_heads(log_decay),
        )
        output = scan(inputs, state.memory)
        gate = F.silu(self.g_proj(u).to(sums))
        return self.o_proj(self.norm(output.y).flatten(-2) * gate).to(u.dtype), state._replace(memory=output.memory)
