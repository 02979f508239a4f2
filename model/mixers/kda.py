"""Kimi delta attention (Kimi Linear 2025, arXiv 2510.26692), the mixer alone.

    q, k, v     = of :mod:`model.mixers.delta_keys`
    beta_t      = sigmoid(W_b u)                   write strength, one per head
    log d_t     = -exp(A_log) softplus(W_f u + bias)             one per channel of the key
                  or  c sigmoid(exp(A_log) (W_f u + bias))       where decays are bounded: c < 0 is the lowest
    h_t         = h_{t-1} diag(d_t) (I - beta_t k_t k_t^T) + beta_t v_t k_t^T
    out         = W_o (rmsnorm(h_t q_t) * sigmoid(W_g u))

Gated DeltaNet with a decay for every channel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.mixers.delta_keys import DeltaKeys
from model.state import LayerState


class KDA(nn.Module):
    """One mixer; ``lowest`` is what no logarithm of a decay falls below, if decays are bounded."""

    def __init__(self, config: ModelConfig, *, lowest: float | None = None) -> None:
        super().__init__()
        self.config = config
        self.lowest = lowest
        keys = config.nheads * config.d_state
        self.keys = DeltaKeys(config, config.nheads)
        self.b_proj = Linear(config.d_model, config.nheads)
        self.f_proj = nn.Sequential(Linear(config.d_model, config.d_state), Linear(config.d_state, keys))
        self.g_proj = nn.Sequential(Linear(config.d_model, config.headdim), Linear(config.headdim, config.d_inner))
        self.dt_bias = nn.Parameter(torch.ones(keys))
        self.A_log = nn.Parameter(torch.empty(config.nheads).uniform_(1, 16).log())
        self.norm = RMSNorm(config.headdim, config.norm_eps)
        self.o_proj = Linear(config.d_inner, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        return self.keys.zero_state(batch)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        sums = state.window.dtype
        beta = torch.sigmoid(self.b_proj(u).to(sums))[..., None]
        gate = (self.f_proj(u).to(sums) + self.dt_bias).unflatten(-1, (self.config.nheads, -1))
        inputs, window = self.keys(u, state.window, beta, self._log_decay(gate))
        output = scan(inputs, state.memory)
        gated = self.norm(output.y).flatten(-2) * torch.sigmoid(self.g_proj(u).to(sums))
        return self.o_proj(gated).to(u.dtype), LayerState(output.memory, window)

    def _log_decay(self, gate: Tensor) -> Tensor:
        """(batch, seqlen, nheads, d_state) -> the same shape, at most 0."""
        rate = self.A_log.exp()[:, None]
        return -rate * F.softplus(gate) if self.lowest is None else self.lowest * torch.sigmoid(rate * gate)
