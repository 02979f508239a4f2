"""Structurally constrained recurrent network (Mikolov et al. 2014, arXiv 1412.7753), the mixer alone.

    s_t = (1 - alpha) B u_t + alpha s_{t-1}             slow units, alpha = 0.95
    h_t = sigmoid(P s_t + A u_t + R h_{t-1})            fast units
    out = U h_t + V s_t

The first quarter of the heads are slow units, the rest fast ones. alpha is the share that slow units keep; no gate
keeps a share of a fast one. No product has a bias, as in the paper.

The adaptive network learns one alpha for every slow unit, between 0 and 1 (the paper's self-recurrent weights, a
diagonal matrix Q in place of alpha):

    s_t = (1 - q) B u_t + q s_{t-1}                     q = sigmoid(beta), at 0.95 before training
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.cells.types import Retention, Step, Vectors
from model.arch.layers import Linear
from model.config import ModelConfig
from model.mixers.cell import CellMixer

ALPHA = 0.95


class SCRN(CellMixer):
    """One mixer with a fixed alpha."""

    compiled = "scrn"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        assert config.nheads > 1, "SCRN has heads of slow and of fast units"
        self.slow = max(1, config.nheads // 4) * config.headdim
        fast = config.d_inner - self.slow
        self.in_proj = Linear(config.d_model, config.d_inner)  # B and A
        self.slow_to_fast = nn.Parameter(torch.randn(fast, self.slow) * self.slow**-0.5)  # P
        self.recurrent = nn.Parameter(nn.init.orthogonal_(torch.empty(fast, fast)))  # R

    def alpha(self) -> Tensor:
        """The share that slow units keep, (slow units,)."""
        return self.empty.new_full((self.slow,), ALPHA)

    def project(self, x: Tensor) -> Tensor:
        """B u and A u: (batch, seqlen, d_model) -> (batch, seqlen, units)."""
        return self.in_proj(x)

    def constants(self, retention: Retention) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Shares of slow units that are kept and written, (slow units,) each, P and R."""
        alpha = self.alpha()
        return retention(alpha), 1 - alpha, self.slow_to_fast, self.recurrent

    def stepping(self, retention: Retention) -> Step:
        """The step of one token; see :class:`kernels.cells.types.Cell`."""
        (kept, written, P, R), slow = self.constants(retention), self.slow
        shares = torch.cat([kept, kept.new_full((self.config.d_inner - slow,), torch.nan)])

        def step(given: Tensor, vectors: Vectors) -> tuple[Vectors, Tensor | None]:
            (carried,) = vectors
            s, h, to_slow, to_fast = (part for both in (carried, given) for part in both.tensor_split([slow], -1))
            s = written * to_slow + kept * s
            h = torch.sigmoid(to_fast + F.linear(s, P) + F.linear(h, R))
            return (torch.cat([s, h], -1),), shares.expand_as(carried)

        return step


class AdaptiveSCRN(SCRN):
    """One mixer whose slow units each learn their alpha."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.beta = nn.Parameter(torch.full((self.slow,), math.log(ALPHA / (1 - ALPHA))))

    def alpha(self) -> Tensor:
        """The share that slow units keep, (slow units,)."""
        return torch.sigmoid(self.beta)
