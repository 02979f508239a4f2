"""What mixers of the second door share: heads of units, one loop, one product out.

A file of a cell holds its recurrence: ``project``, which is everything that the input gives, and ``stepping``, which
makes its step. Its memory is (batch, nheads, headdim, d_state), where d_state is the number of vectors that it carries.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kernels.cells.types import CellInputs, Loop, Retention, Step
from model.arch.layers import Linear
from model.config import ModelConfig
from model.state import LayerState, empty_layer


class CellMixer(nn.Module):
    """A mixer whose recurrence is a cell; ``vectors`` is how many vectors of units it carries.

    ``fused`` and ``compiled`` name what runs it in place of its own step: a kernel of PyTorch, or a loop of
    :mod:`kernels.cells.compiled`, which then takes ``constants(retention)``.
    """

    empty: Tensor
    vectors = 1
    fused: str | None = None
    compiled: str | None = None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.d_state == self.vectors, f"d_state of this cell is {self.vectors}"
        self.config = config
        self.out_proj = Linear(config.d_inner, config.d_model)
        self.register_buffer("empty", torch.zeros(0), persistent=False)  # says where the state is, and its dtype

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        return empty_layer(self.config, self.empty, batch, 0, self.config.d_model)

    def forward(self, u: Tensor, state: LayerState, loop: Loop) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        output = loop(CellInputs(self, u), state.memory)
        return self.out_proj(output.y.flatten(2)).to(u.dtype), state._replace(memory=output.memory)

    def project(self, x: Tensor) -> Tensor:
        """What the inputs give to every step: (batch, seqlen, d_model) -> (batch, seqlen, any)."""
        raise NotImplementedError

    def stepping(self, retention: Retention) -> Step:
        """The step of one token; see :class:`kernels.cells.types.Cell`."""
        raise NotImplementedError


class GatedMixer(CellMixer):
    """RNN, LSTM and GRU: ``gates`` times as many sums as units, of the input and of h, each with a bias."""

    gates = 1

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        sums = self.gates * config.d_inner
        self.in_proj = Linear(config.d_model, sums, bias=True)
        self.recurrent = nn.Parameter(torch.empty(sums, config.d_inner))
        for part in self.recurrent.data.chunk(self.gates):
            nn.init.orthogonal_(part)
        self.recurrent_bias = nn.Parameter(torch.zeros(sums))
        nn.init.zeros_(self.in_proj.bias)

    def project(self, x: Tensor) -> Tensor:
        """(batch, seqlen, d_model) -> (batch, seqlen, gates units)."""
        return self.in_proj(x)

    def weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As the fused kernels take them; see :class:`kernels.cells.fused.FusedCell`."""
        return self.in_proj.weight, self.recurrent, self.in_proj.bias, self.recurrent_bias

    def kept(self, x: Tensor, before: Tensor) -> Tensor | None:
        """No gate keeps a share of the state."""
        return None

    def gate(self, place: int, x: Tensor, before: Tensor) -> Tensor:
        """The gate at ``place`` for all tokens at once: (batch, seqlen, d_in), (batch, seqlen, units) -> the latter."""
        here = slice(place * self.config.d_inner, (place + 1) * self.config.d_inner)
        weight, recurrent, bias, recurrent_bias = (part[here] for part in self.weights())
        given = nn.functional.linear(x, weight.to(x.dtype), bias.to(x.dtype))
        return torch.sigmoid(given + nn.functional.linear(before, recurrent, recurrent_bias))


def lasting(config: ModelConfig) -> Tensor:
    """Biases of a gate that keeps: half-lives spread up to the training length (Tallec & Ollivier, arXiv 1804.11188).

    (units,): log of a uniform draw from 1 to the training length, less one.
    """
    return torch.empty(config.d_inner).uniform_(1, max(2, config.train_length - 1)).log()
