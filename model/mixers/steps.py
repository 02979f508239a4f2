"""Step sizes and decay rates as they are before training.

    step = softplus(projected + dt_bias)        log decay = -A step        A = exp(A_log)

As in Mamba-2 (Dao & Gu 2024, arXiv 2405.21060), but for A, which is uniform in [0.001, 0.1] and not in [1, 16]: every
head starts with a long memory, so that a small model has one that can collapse.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def slow_start(nheads: int) -> tuple[Tensor, Tensor]:
    """``dt_bias`` and ``A_log``, (nheads,) each: steps log-uniform in [0.001, 0.1]."""
    step = torch.exp(torch.empty(nheads).uniform_(math.log(1e-3), math.log(1e-1)))
    inverse_softplus = step + torch.log(-torch.expm1(-step))
    return inverse_softplus, torch.empty(nheads).uniform_(0.001, 0.1).log()
