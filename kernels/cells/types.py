"""What goes through the second door, that of cells whose next state is no linear function of the last.

    loop(inputs: CellInputs, memory, token_norms=False) -> ScanOutput

A cell steps from one token to the next: its input gives what does not depend on the state for all tokens at once
(``project``), and its step does the rest. It carries one or more vectors of ``units``, of which the last is read: an
LSTM carries (c, h). Units are grouped into heads, so that a state is (batch, nheads, headdim, vectors) and all that
reads a scan's output reads a cell's: d_state is the number of vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor

from kernels.types import Memory, ScanOutput

Vectors = tuple[Tensor, ...]
"""What a cell carries, (batch, units) each; the last is read."""


Step = Callable[[Tensor, Vectors], tuple[Vectors, Tensor | None]]
"""One token: what it gives (batch, any) and what was carried -> what is carried on, and the share kept of it.

The share is that of a gate or rate that multiplies the old state, (batch, units), after mitigation; NaN for units
without one, None if no unit has one.
"""


class Retention(NamedTuple):
    """What a mitigation makes of the share r of its state that a cell keeps: r ** ``power`` times ``factor``."""

    power: float = 1.0
    factor: float = 1.0

    def __call__(self, kept: Tensor) -> Tensor:
        """Any shape, of numbers from 0 to 1; ``kept`` itself if nothing changes."""
        if self == Retention():
            return kept
        return kept.pow(self.power) * self.factor

    def share(self, parts: int) -> Retention:
        """The retention of one of so many ``parts`` of a step."""
        return Retention(self.power, self.factor ** (1 / parts))


class Cell(Protocol):
    """One recurrence with its weights.

    ``fused`` names the fused kernel of PyTorch that runs it ("rnn_tanh", "lstm", "gru"), or is None.
    """

    fused: str | None

    def project(self, x: Tensor) -> Tensor:
        """What the inputs give to every step: (batch, seqlen, d_in) -> (batch, seqlen, any)."""
        ...

    def stepping(self, retention: Retention) -> Step:
        """The step with ``retention``; what depends on the weights alone is computed here, once for all tokens."""
        ...


class CellInputs(NamedTuple):
    """One layer's inputs for one segment: ``x`` (batch, seqlen, d_in), read by ``cell``."""

    cell: Cell
    x: Tensor
    retention: Retention = Retention()

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What of the inputs depends on the tokens."""
        return (self.x,)

    def segment(self, start: int, stop: int) -> CellInputs:
        """The inputs of tokens ``start`` to ``stop`` (a view)."""
        return self._replace(x=self.x[:, start:stop])

    def forgetting(self, *, power: float = 1.0, factor: float = 1.0) -> CellInputs:
        """The inputs with every retention r changed to r ** ``power`` times ``factor``."""
        before = self.retention
        return self._replace(retention=Retention(before.power * power, before.factor**power * factor))


class Loop(Protocol):
    """The door: a loop over time, or a function of one (a mitigation, telemetry)."""

    def __call__(self, inputs: CellInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        """Run ``inputs`` from ``memory``."""
        ...
