"""Continuous-time recurrent network (Funahashi & Nakamura 1993), one Euler step a token, the mixer alone.

    tau dh/dt = -h + tanh(W u + b + R h)
    h_t       = (1 - q) h_{t-1} + q tanh(W u_t + b + R h_{t-1})         q = dt / tau

q = sigmoid(rate), one per unit, learned: between 0 and 1 a step is a mean and the state stays within -1 and 1. Time
constants start between one token and the training length. 1 - q is the share that is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.cells.types import Retention, Step, Vectors
from model.arch.layers import Linear
from model.config import ModelConfig
from model.mixers.cell import CellMixer, lasting


class CTRNN(CellMixer):
    """One mixer."""

    compiled = "ctrnn"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.in_proj = Linear(config.d_model, config.d_inner, bias=True)
        self.recurrent = nn.Parameter(nn.init.orthogonal_(torch.empty(config.d_inner, config.d_inner)))
        self.rate = nn.Parameter(-lasting(config))

    def project(self, x: Tensor) -> Tensor:
        """(batch, seqlen, d_model) -> (batch, seqlen, units)."""
        return self.in_proj(x)

    def constants(self, retention: Retention) -> tuple[Tensor, Tensor, Tensor]:
        """Shares that are kept and written, (units,) each, and R."""
        return retention(torch.sigmoid(-self.rate)), torch.sigmoid(self.rate), self.recurrent

    def stepping(self, retention: Retention) -> Step:
        """The step of one token; see :class:`kernels.cells.types.Cell`."""
        kept, written, R = self.constants(retention)

        def step(given: Tensor, vectors: Vectors) -> tuple[Vectors, Tensor | None]:
            (h,) = vectors
            drive = torch.tanh(given + F.linear(h, R))
            return (kept * h + written * drive,), kept.expand_as(h)

        return step
