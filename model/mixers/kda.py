"""Kimi delta attention (Kimi Linear 2025, arXiv 2510.26692), the mixer alone.

    q, k, v     = silu(conv_4(W_qkv u))            then q = l2norm(q) / sqrt(d_k), k = l2norm(k)
    beta_t      = sigmoid(W_b u)                   write strength, one per head
    log d_t     = -exp(A_log) softplus(W_f u + bias)             one per channel of the key
                  or  c sigmoid(exp(A_log) (W_f u + bias))       where decays are bounded: c < 0 is the lowest
    h_t         = h_{t-1} diag(d_t) (I - beta_t k_t k_t^T) + beta_t v_t k_t^T
    out         = W_o (rmsnorm(h_t q_t) * sigmoid(W_g u))

Gated DeltaNet with a decay for every channel. In the words of :mod:`kernels.types` x is beta v, B is k, C is q, and the
pair is (-beta k, k).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import LowRank, Scan, ScanInputs
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.mixers.conv import causal_conv
from model.mixers.gated_deltanet import L2_EPS
from model.state import LayerState, empty_layer


class KDA(nn.Module):
    """One mixer; ``lowest`` is what no logarithm of a decay falls below, if decays are bounded."""

    def __init__(self, config: ModelConfig, *, lowest: float | None = None) -> None:
        super().__init__()
        self.config = config
        self.lowest = lowest
        keys = config.nheads * config.d_state
        channels = 2 * keys + config.d_inner
        self.qkv_proj = Linear(config.d_model, channels)
        self.b_proj = Linear(config.d_model, config.nheads)
        self.f_proj = nn.Sequential(Linear(config.d_model, config.d_state), Linear(config.d_state, keys))
        self.g_proj = nn.Sequential(Linear(config.d_model, config.headdim), Linear(config.headdim, config.d_inner))
        self.conv_weight = nn.Parameter(torch.randn(config.d_conv, channels) * config.d_conv**-0.5)
        self.conv_bias = nn.Parameter(torch.zeros(channels))
        self.dt_bias = nn.Parameter(torch.ones(keys))
        self.A_log = nn.Parameter(torch.empty(config.nheads).uniform_(1, 16).log())
        self.norm = RMSNorm(config.headdim, config.norm_eps)
        self.o_proj = Linear(config.d_inner, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        config = self.config
        return empty_layer(config, self.A_log, batch, config.d_conv - 1, self.conv_weight.shape[1])

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        config, sums = self.config, state.window.dtype
        projected = self.qkv_proj(u)
        compute = projected.dtype
        convolved, window = causal_conv(state.window, projected, self.conv_weight, self.conv_bias)
        keys, per_head = config.nheads * config.d_state, (config.nheads, -1)
        parts = F.silu(convolved).split([keys, keys, config.d_inner], dim=-1)
        q, k, v = (part.unflatten(-1, per_head) for part in parts)
        q, k = (part * (part.square().sum(-1, keepdim=True) + L2_EPS).rsqrt() for part in (q, k))
        beta = torch.sigmoid(self.b_proj(u).to(sums))[..., None]
        inputs = ScanInputs(
            x=(beta * v).to(compute),
            B=k.to(compute),
            C=(q * config.d_state**-0.5).to(compute),
            log_decay=self._log_decay((self.f_proj(u).to(sums) + self.dt_bias).unflatten(-1, per_head)),
            low_rank=LowRank((-beta * k).to(compute), k.to(compute)),
        )
        output = scan(inputs, state.memory)
        gated = self.norm(output.y).flatten(-2) * torch.sigmoid(self.g_proj(u).to(sums))
        return self.o_proj(gated).to(u.dtype), LayerState(output.memory, window)

    def _log_decay(self, gate: Tensor) -> Tensor:
        """(batch, seqlen, nheads, d_state) -> the same shape, at most 0."""
        rate = self.A_log.exp()[:, None]
        return -rate * F.softplus(gate) if self.lowest is None else self.lowest * torch.sigmoid(rate * gate)
