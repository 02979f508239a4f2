"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000), the mixer alone.

    i, f, o = sigmoid(W u_t + b + R h_{t-1} + b')       g = tanh(the same with weights of its own)
    c_t     = f c_{t-1} + i g
    h_t     = o tanh(c_t)

Both c and h are memory: the state has two vectors, (c, h). The forget gate f is the share that is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cells.types import Retention, Step, Vectors
from model.config import ModelConfig
from model.mixers.cell import GatedMixer, lasting


class LSTM(GatedMixer):
    """One mixer; PyTorch's fused kernel runs it."""

    vectors, gates, fused = 2, 4, "lstm"

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        i, f, _, _ = self.recurrent_bias.data.chunk(4)
        f.copy_(lasting(config))
        i.copy_(-f)

    def stepping(self, retention: Retention) -> Step:
        """The step of one token; see :class:`kernels.cells.types.Cell`."""

        def step(given: Tensor, vectors: Vectors) -> tuple[Vectors, Tensor | None]:
            c, h = vectors
            i, f, g, o = (given + F.linear(h, self.recurrent, self.recurrent_bias)).chunk(4, -1)
            kept = retention(torch.sigmoid(f))
            c = kept * c + torch.sigmoid(i) * torch.tanh(g)
            return (c, torch.sigmoid(o) * torch.tanh(c)), kept

        return step

    def kept(self, x: Tensor, before: Tensor) -> Tensor | None:
        """The forget gate of every token: (batch, seqlen, units)."""
        return self.gate(1, x, before)
