"""Queries, keys and values of the delta-rule mixers: short convolutions, then directions of unit length.

q, k, v = silu(conv(W_q u)), silu(conv(W_k u)), silu(conv(W_v u))
q <- q / |q| / sqrt(d_k)        k <- k / |k|
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.arch.layers import Linear
from model.config import ModelConfig
from model.mixers.conv import causal_conv

EPS = 1e-6
"""Added to the squared length of a query or key, as in the published implementations."""


class DeltaKeys(nn.Module):
    """The projections and their convolution, all channels beside each other: queries, keys, values."""

    conv_bias: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        keys = config.nheads * config.d_state
        self.sizes = (keys, keys, config.d_inner)
        self.proj = Linear(config.d_model, sum(self.sizes))
        self.conv_weight = nn.Parameter(torch.empty(config.d_conv, sum(self.sizes)))
        self.register_buffer("conv_bias", torch.zeros(sum(self.sizes)), persistent=False)
        bound = config.d_conv**-0.5
        nn.init.uniform_(self.conv_weight, -bound, bound)

    def forward(self, u: Tensor, window: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(batch, seqlen, d_model) -> q, k (batch, seqlen, nheads, d_state), v (.., headdim), and the next window."""
        convolved, window = causal_conv(window, self.proj(u), self.conv_weight, self.conv_bias)
        parts = F.silu(convolved).split(self.sizes, dim=-1)
        q, k, v = (part.unflatten(-1, (self.config.nheads, -1)) for part in parts)
        return unit(q) * self.config.d_state**-0.5, unit(k), v, window


def unit(vector: Tensor) -> Tensor:
    """Unit length along the last axis."""
    return vector * torch.rsqrt(vector.square().sum(-1, keepdim=True) + EPS)
