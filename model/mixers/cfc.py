"""Closed-form continuous-time network (Hasani et al. 2022, arXiv 2106.13898), the mixer alone, a token a unit of time.

    b    = 1.7159 tanh(0.666 (W u_t + R h_{t-1} + bias))        backbone, as many units as the state
    g, k = tanh(W_g b + ..), tanh(W_k b + ..)
    s    = sigmoid(W_a b + W_b b + ..)                          time gate at dt = 1
    h_t  = (1 - s) g + s k

The old state enters through the backbone alone: no gate keeps a share of it. W_a and W_b have the same input and
dt = 1, so their sum is one matrix; the network is the same with one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.cells.types import Retention, Step, Vectors
from model.arch.layers import Linear
from model.config import ModelConfig
from model.mixers.cell import CellMixer

SCALE, SLOPE = 1.7159, 0.666
"""Of the backbone's tanh (LeCun et al. 1998)."""


class CfC(CellMixer):
    """One mixer."""

    compiled = "cfc"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        units = config.d_inner
        self.in_proj = Linear(config.d_model, units, bias=True)
        self.recurrent = nn.Parameter(nn.init.orthogonal_(torch.empty(units, units)))
        self.heads = nn.Parameter(nn.init.xavier_uniform_(torch.empty(3 * units, units)))  # of g, k and s
        self.heads_bias = nn.Parameter(torch.zeros(3 * units))

    def project(self, x: Tensor) -> Tensor:
        """(batch, seqlen, d_model) -> (batch, seqlen, units of the backbone)."""
        return self.in_proj(x)

    def constants(self, retention: Retention) -> tuple[float, float, Tensor, Tensor, Tensor]:
        """Scale and slope of the backbone's tanh, R, the weights of g, k and s, and their biases."""
        return SCALE, SLOPE, self.recurrent, self.heads, self.heads_bias

    def stepping(self, retention: Retention) -> Step:
        """The step of one token; see :class:`kernels.cells.types.Cell`."""
        scale, slope, R, heads, bias = self.constants(retention)

        def step(given: Tensor, vectors: Vectors) -> tuple[Vectors, Tensor | None]:
            backbone = scale * torch.tanh(slope * (given + F.linear(vectors[0], R)))
            g, k, s = F.linear(backbone, heads, bias).chunk(3, -1)
            return (torch.lerp(torch.tanh(g), torch.tanh(k), torch.sigmoid(s)),), None

        return step
