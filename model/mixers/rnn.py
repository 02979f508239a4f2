"""Elman's recurrent network (Elman 1990), the mixer alone.

    h_t = tanh(W u_t + b + R h_{t-1} + b')

No gate keeps a share of the state: what stays is what R and tanh leave.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cells.types import Retention, Step, Vectors
from model.mixers.cell import GatedMixer


class RNN(GatedMixer):
    """One mixer; PyTorch's fused kernel runs it."""

    fused = "rnn_tanh"

    def stepping(self, retention: Retention) -> Step:
        """The step of one token; see :class:`kernels.cells.types.Cell`."""

        def step(given: Tensor, vectors: Vectors) -> tuple[Vectors, Tensor | None]:
            return (torch.tanh(given + F.linear(vectors[0], self.recurrent, self.recurrent_bias)),), None

        return step
