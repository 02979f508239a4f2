"""Gated DeltaNet (Yang et al. 2024, arXiv 2412.06464), the mixer alone.

    q, k, v   = of :mod:`model.mixers.delta_keys`
    beta_t    = sigmoid(W_b u)                                   write strength, one per head
    alpha_t   = exp(-exp(A_log) softplus(W_a u + bias))          retention, one per head
    h_t       = alpha_t h_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T
    out       = W_o (rmsnorm(h_t q_t) * silu(W_g u))             the norm is per head

In the words of :mod:`kernels.types` x is beta v, B is k, C is q, and the pair is -beta k and k.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import LowRank, Scan, ScanInputs
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.mixers.delta_keys import DeltaKeys
from model.state import LayerState, empty_layer


class GatedDeltaNet(nn.Module):
    """One mixer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.keys = DeltaKeys(config)
        self.b_proj = Linear(config.d_model, config.nheads)
        self.a_proj = Linear(config.d_model, config.nheads)
        self.g_proj = Linear(config.d_model, config.d_inner)
        self.A_log = nn.Parameter(torch.empty(config.nheads).uniform_(1, 16).log())
        step = torch.empty(config.nheads).uniform_(math.log(1e-3), math.log(1e-1)).exp()
        self.dt_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
        self.norm = RMSNorm(config.headdim, config.norm_eps)
        self.o_proj = Linear(config.d_inner, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        taps, channels = self.keys.conv_weight.shape
        return empty_layer(self.config, self.A_log, batch, taps - 1, channels)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        q, k, v, window = self.keys(u, state.window)
        sums = k.dtype
        beta = self.b_proj(u).to(sums).sigmoid()[..., None]
        log_decay = -self.A_log.exp() * F.softplus(self.a_proj(u).to(sums) + self.dt_bias)
        inputs = ScanInputs(x=beta * v, B=k, C=q, log_decay=log_decay[..., None], low_rank=LowRank(-beta * k, k))
        output = scan(inputs, state.memory)
        gate = F.silu(self.g_proj(u).to(sums))
        return self.o_proj(self.norm(output.y).flatten(-2) * gate).to(u.dtype), LayerState(output.memory, window)
