"""Triton: heads of any shape in tiles, whose sides are powers of two.

The rows of a state do not meet: given B, C and the decays, each is a recurrence of its own. So a head whose headdim is
no tile is scanned as several narrower heads that share the rest, which costs a view of x and y, and what is recorded of
them is put together. A d_state that is no power of two is filled up with channels that nothing is written to.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.types import Memory, ScanInputs, ScanOutput, Telemetry

SIDE = 16
"""The least side of a tile, and what headdim and d_state are multiples of."""

WIDEST, DEEPEST = 512, 256
"""The largest headdim and d_state."""

ROWS, ROWS_OF_DEEP = 128, 32
"""The largest number of a head's rows in a tile; and where d_state is over 128, so that it stays in registers."""


def takes(headdim: int, d_state: int) -> bool:
    """Whether heads of this shape are cut into tiles."""
    sides = headdim % SIDE == d_state % SIDE == 0
    return sides and 0 < headdim <= WIDEST and 0 < d_state <= DEEPEST


class Fit(NamedTuple):
    """How heads of ``headdim`` by ``d_state`` become heads of ``rows`` by ``width``."""

    nheads: int
    headdim: int
    d_state: int
    rows: int
    width: int

    @classmethod
    def of(cls, inputs: ScanInputs, rows_of_deep: int = ROWS_OF_DEEP) -> Fit:
        """The largest tiles that fit."""
        nheads, headdim = inputs.x.shape[2:]
        d_state = inputs.B.shape[-1]
        width = 1 << (d_state - 1).bit_length()
        rows = min(headdim & -headdim, ROWS if width <= 128 else rows_of_deep)
        return cls(nheads, headdim, d_state, rows, width)

    @property
    def parts(self) -> int:
        """Heads that a head becomes."""
        return self.headdim // self.rows

    def inputs(self, inputs: ScanInputs) -> ScanInputs:
        """``inputs`` with the heads in tiles; differentiable."""
        fill, parts = (0, self.width - self.d_state), self.parts
        x, B, C, log_decay, *pair = inputs.tensors
        x = x.contiguous().unflatten(-1, (parts, self.rows)).flatten(2, 3)
        if fill[1]:
            B, C, *pair = (F.pad(tensor, fill) for tensor in (B, C, *pair))
            log_decay = F.pad(log_decay, fill) if log_decay.shape[-1] > 1 else log_decay
        if parts > 1:
            log_decay = log_decay.repeat_interleave(parts, dim=2)
        return ScanInputs.of((x, B, C, log_decay, *pair))

    def state(self, state: Tensor) -> Tensor:
        """(batch, nheads, headdim, d_state) -> (batch, nheads * parts, rows, width)."""
        state = F.pad(state, (0, self.width - self.d_state)) if self.width > self.d_state else state
        return state.contiguous().unflatten(-2, (self.parts, self.rows)).flatten(-4, -3)

    def joined(self, states: Tensor) -> Tensor:
        """(..., nheads * parts, rows, width) -> (..., nheads, headdim, d_state)."""
        return states.unflatten(-3, (self.nheads, self.parts)).flatten(-3, -2)[..., : self.d_state]

    def output(self, output: ScanOutput, inputs: ScanInputs) -> ScanOutput:
        """The ``output`` of a scan of :meth:`inputs` of ``inputs``, with heads of their own shape."""
        output = output._replace(low_rank=inputs.low_rank)
        if self.parts == 1 and self.width == self.d_state:
            return output
        states, norms, log_decay = self.joined(output.boundary_states), output.token_norms, output.log_decay
        return output._replace(
            y=output.y.unflatten(2, (self.nheads, self.parts)).flatten(3),
            boundary_states=states,
            memory=Memory(states[:, -1], output.memory.past),
            token_norms=None if norms is None else self._lengths(norms),
            log_decay=None if log_decay is None else log_decay[:, :, :: self.parts, : inputs.log_decay.shape[-1]],
            telemetry=None if output.telemetry is None else self._telemetry(output.telemetry, inputs),
        )

    def _lengths(self, norms: Tensor) -> Tensor:
        """The norm of every head from those of its parts; as it is where it was found for the head."""
        parts = norms.unflatten(-1, (self.nheads, -1))
        return torch.linalg.vector_norm(parts, dim=-1) if parts.shape[-1] > 1 else norms

    def _telemetry(self, found: Telemetry, inputs: ScanInputs) -> Telemetry:
        """That of heads from that of their parts, over the elements that are theirs."""
        norm, largest = self._lengths(found.norm), found.max_abs.unflatten(-1, (self.nheads, -1)).amax(-1)
        mean = found.mean.unflatten(-1, (self.nheads, -1)).mean(-1) * (self.width / self.d_state)
        spread = norm.square() / (self.headdim * self.d_state) - mean.square()
        log_decay, decay = (values[..., :: self.parts] for values in (found.log_decay, found.decay))
        if inputs.log_decay.shape[-1] > 1:  # those that were filled up do not decay
            empty = self.width / self.d_state - 1
            log_decay, decay = log_decay * (1 + empty), decay * (1 + empty) - empty
        return Telemetry(norm, mean, spread.clamp_min(0).sqrt(), largest, log_decay, decay)
