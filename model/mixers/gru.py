"""Gated recurrent unit (Cho et al. 2014, arXiv 1406.1078), the mixer alone, in the variant of PyTorch and cuDNN.

    r, z = sigmoid(W u_t + b + R h_{t-1} + b')
    n    = tanh(W_n u_t + b_n + r (R_n h_{t-1} + b'_n))
    h_t  = z h_{t-1} + (1 - z) n

z is the share that is kept. A mitigation that changes it leaves the share 1 - z that is written as it was.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cells.types import Retention, Step, Vectors
from model.config import ModelConfig
from model.mixers.cell import GatedMixer, lasting


class GRU(GatedMixer):
    """One mixer; PyTorch's fused kernel runs it."""

    gates, fused = 3, "gru"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.recurrent_bias.data.chunk(3)[1].copy_(lasting(config))

    def stepping(self, retention: Retention) -> Step:
        """The step of one token; see :class:`kernels.cells.types.Cell`."""

        def step(given: Tensor, vectors: Vectors) -> tuple[Vectors, Tensor | None]:
            (h,) = vectors
            from_input, from_state = given.chunk(3, -1), F.linear(h, self.recurrent, self.recurrent_bias).chunk(3, -1)
            r, z = (torch.sigmoid(from_input[gate] + from_state[gate]) for gate in (0, 1))
            n = torch.tanh(from_input[2] + r * from_state[2])
            kept = retention(z)
            return (kept * h + (1 - z) * n,), kept

        return step

    def kept(self, x: Tensor, before: Tensor) -> Tensor | None:
        """The update gate of every token: (batch, seqlen, units)."""
        return self.gate(1, x, before)
