"""Kimi delta attention (Kimi Linear, arXiv 2510.26692), the mixer alone.

    q, k, v   = of :mod:`model.mixers.delta_keys`
    beta_t    = sigmoid(W_b u)                                   write strength, one per head
    d_t       = exp(-exp(A_log) softplus(W_2 W_1 u + bias))      retention, one per channel of the key
    h_t       = h_{t-1} diag(d_t) (I - beta_t k_t k_t^T) + beta_t v_t k_t^T
    out       = W_o (rmsnorm(h_t q_t) * sigmoid(G_2 G_1 u))      the norm is per head, the gate of low rank

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


class KDA(nn.Module):
    """One mixer; the decay and the gate have the rank of a head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        keys = config.nheads * config.d_state
        self.keys = DeltaKeys(config)
        self.b_proj = Linear(config.d_model, config.nheads)
        self.f_in, self.f_out = Linear(config.d_model, config.headdim), Linear(config.headdim, keys)
        self.g_in = Linear(config.d_model, config.headdim)
        self.g_out = Linear(config.headdim, config.d_inner, bias=True)
        self.A_log = nn.Parameter(torch.empty(config.nheads).uniform_(1, 16).log())
        step = torch.empty(keys).uniform_(math.log(1e-3), math.log(1e-1)).exp()
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
        step = F.softplus(self.f_out(self.f_in(u)).to(sums) + self.dt_bias)
        log_decay = -self.A_log.exp()[:, None] * step.unflatten(-1, (self.config.nheads, -1))
        inputs = ScanInputs(x=beta * v, B=k, C=q, log_decay=log_decay, low_rank=LowRank(-beta * k, k))
        output = scan(inputs, state.memory)
        gate = self.g_out(self.g_in(u)).to(sums).sigmoid()
        return self.o_proj(self.norm(output.y).flatten(-2) * gate).to(u.dtype), LayerState(output.memory, window)
