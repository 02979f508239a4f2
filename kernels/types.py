"""What goes through the one door of all recurrent memory, and the legend of its shapes.

    scan(inputs, memory, token_norms=False) -> ScanOutput

The recurrence, per head, with the letters of Mamba-2 (Dao & Gu 2024, arXiv 2405.21060):

    h_t = a_t h_{t-1} + x_t B_t^T        a_t = exp(log_decay_t)
    y_t = h_t C_t

Words for sizes: ``batch``, ``seqlen``, ``nheads``, ``headdim`` (P), ``ngroups``, ``d_state`` (N), ``nchunks``.
``log_decay`` broadcasts over ``d_state``, so one door holds the families:

    Mamba-2             one decay per head          log_decay (batch, seqlen, nheads, 1)
    GLA, HGRN-2, RWKV-6 one per key channel         log_decay (batch, seqlen, nheads, d_state)
    Mamba-1             nheads = d_inner, headdim = 1, log_decay (batch, seqlen, d_inner, d_state)
    LRU                 complex x and log_decay, headdim = 1

With a pair (a, b) the transition is diagonal plus a matrix of rank one: what the decayed state holds at a is replaced,

    h_t = h_{t-1} diag(d_t) (I + a_t b_t^T) + x_t B_t^T        d_t = exp(log_decay_t)

    DeltaNet            log_decay 0                 a = -beta k         b = k               x = beta v, B = k
    Gated DeltaNet      one decay per head          a = -beta k         b = k               x = beta v, B = k
    Kimi delta (KDA)    one per key channel         a = -beta k         b = k               x = beta v, B = k
    RWKV-7              one per key channel         a = -kappa / d      b = eta kappa       x = v

The pair acts on the state after its decay, so a mitigation that changes the decay alone leaves the erasing as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from torch import Tensor


class LowRank(NamedTuple):
    """The pair of a transition that is diagonal plus low rank: ``a`` is read and ``b`` is written at.

    Both (batch, seqlen, nheads or a divisor of it, d_state), in the dtype of x.
    """

    a: Tensor
    b: Tensor


class ScanInputs(NamedTuple):
    """One layer's inputs for one segment.

    ``x`` (batch, seqlen, nheads, headdim): what is written, step size included (Mamba-2: delta_t x_t).
    ``B``, ``C`` (batch, seqlen, ngroups, d_state): where it is written, how it is read; nheads % ngroups == 0.
    ``log_decay`` (batch, seqlen, nheads, 1 or d_state): natural logarithm of the retention, at most 0.
    x, B and C share one dtype, which is that of the matrix products; log_decay is float32 (float64 if x is).
    ``low_rank``: the pair of a delta rule; without it the transition is diagonal.
    ``boundaries`` (n,) int64: the boundary states that the output is to have, in order, the last of all at their end;
    a scan that makes them all anyway may return all. None: all of them.
    """

    x: Tensor
    B: Tensor
    C: Tensor
    log_decay: Tensor
    low_rank: LowRank | None = None
    boundaries: Tensor | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """x, B, C, log_decay, and the pair where there is one."""
        return (*self[:4], *(self.low_rank or ()))

    def map(self, function: Callable[[Tensor], Tensor]) -> ScanInputs:
        """The inputs with ``function`` of each of their tensors, to be scanned with all boundary states."""
        return ScanInputs.of(map(function, self.tensors))

    @classmethod
    def of(cls, tensors: Iterable[Tensor]) -> ScanInputs:
        """The inputs of such ``tensors`` as :attr:`tensors` has."""
        x, B, C, log_decay, *pair = tensors
        return ScanInputs(x, B, C, log_decay, LowRank(*pair) if pair else None)

    def segment(self, start: int, stop: int) -> ScanInputs:
        """The inputs of tokens ``start`` to ``stop`` (a view)."""
        return self.map(lambda tensor: tensor[:, start:stop])

    def forgetting(self, *, power: float = 1.0, factor: float = 1.0) -> ScanInputs:
        """The inputs with every decay a changed to a ** ``power`` times ``factor``."""
        log_decay = self.log_decay if power == 1 else self.log_decay * power
        return self._replace(log_decay=log_decay if factor == 1 else log_decay + math.log(factor))

    def for_rows(self, rows: int) -> ScanInputs:
        """The inputs of ``rows`` rows that read the same tokens, where these are of one row (a view)."""
        if self.x.shape[0] == rows:
            return self
        return self.map(lambda tensor: tensor.expand(rows, *tensor.shape[1:]))


class Memory(NamedTuple):
    """What a scan carries from one segment to the next.

    ``state`` (batch, nheads, headdim, d_state), float32 (float64 if the inputs are).
    ``past``: what an operator needs beyond the state, a tuple of tensors (a sliding window: its last inputs);
    empty for a plain scan. Never changed in place.
    """

    state: Tensor
    past: tuple[Tensor, ...] = ()


class Telemetry(NamedTuple):
    """The statistics of the state that a kernel sums while it scans, so that the states are not read again.

    ``norm``, ``mean``, ``std``, ``max_abs`` (batch, nchunks + 1, nheads): of every boundary state, over its elements.
    ``log_decay``, ``decay`` (batch, nchunks, nheads): means over the tokens (and channels) of every chunk.
    """

    norm: Tensor
    mean: Tensor
    std: Tensor
    max_abs: Tensor
    log_decay: Tensor
    decay: Tensor


class ScanOutput(NamedTuple):
    """What a scan returns.

    ``y`` (batch, seqlen, nheads, headdim), in the dtype of the state.
    ``boundary_states`` (batch, nchunks + 1, nheads, headdim, d_state): first the state before the first token, then
    the state after every ``chunk`` tokens, last the state after the last token (whose chunk may be shorter).
    ``memory``: what to pass with the next segment.
    ``token_norms`` (batch, seqlen, nheads): Frobenius norm of the state after every token, if asked for.
    ``log_decay`` (batch, seqlen, nheads, 1 or d_state): the decay that was applied, mitigations of it included
    (scaling a state back to a bounded norm is not decay).
    ``telemetry``: the same reductions that a recorder would make of this output, where the kernel made them.
    ``low_rank``: the pair that was applied, where the transition erases.
    ``boundaries``: which ones ``boundary_states`` has, where it has only those that the inputs ask for.
    """

    y: Tensor
    boundary_states: Tensor
    memory: Memory
    token_norms: Tensor | None = None
    log_decay: Tensor | None = None
    telemetry: Telemetry | None = None
    low_rank: LowRank | None = None
    boundaries: Tensor | None = None


class Scan(Protocol):
    """The door: a kernel, or a function of one (a mitigation, telemetry)."""

    def __call__(self, inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        """Run ``inputs`` from ``memory``."""
        ...


CHUNK = 64
"""Tokens between two boundary states: long enough for matrix products, short enough for a telling curve."""


def boundary_count(seqlen: int, chunk: int = CHUNK) -> int:
    """Number of boundary states of a segment, the one before its first token included."""
    return -(-seqlen // chunk) + 1
