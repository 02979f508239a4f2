"""Triton: states carried over the boundaries of chunks or spans, forwards and backwards as gradients.

    forwards    h_c  <- decay h_{c-1} + what chunk c adds        norm, mean and largest element as it passes, on request
    backwards   dh_c <- decay dh_{c+1} + what chunk c adds + what comes in

A program carries SLICE elements of one head's state along all chunks, so every state is read and written once. The
buffer holds what the chunks add on entry and the states, or their gradients, when done.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.triton.tiles import LOG2_E

SLICE = 512
"""Elements of a state that one program carries along: few, so that many programs hide each other's waiting."""


@triton.jit(do_not_specialize=["nsteps", "nheads", "every", "last"])
def pass_states(  # type: ignore[no-untyped-def]
    initial, states, totals, limit, squares, sums, largest,
    nsteps, nheads, every, last,
    ELEMENTS: tl.constexpr, SLICE: tl.constexpr, CHANNELS: tl.constexpr, CLIP: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """From what chunks or spans add to the states at their ends, in place; SUMS: with what statistics need.

    ``states`` (batch, last + 1, nheads, ELEMENTS): a step is ``every`` rows, the last one perhaps fewer.
    ``totals`` (batch, nsteps, nheads, CHANNELS): log2 decay over every step, of a head or of each d_state channel.
    """
    part, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    parts: tl.constexpr = (ELEMENTS + SLICE - 1) // SLICE
    element = part * SLICE + tl.arange(0, SLICE)
    inside = element < ELEMENTS  # all of them, but for a bounded head whose size is no power of two
    states += (batch.to(tl.int64) * (last + 1) * nheads + head) * ELEMENTS + element
    stride = (nheads * ELEMENTS).to(tl.int64)
    place = (batch.to(tl.int64) * (nsteps + 1) * nheads + head) * parts + part
    totals += (batch.to(tl.int64) * nsteps * nheads + head) * CHANNELS
    if CHANNELS > 1:
        totals += element % CHANNELS
    h = tl.load(initial + (batch.to(tl.int64) * nheads + head) * ELEMENTS + element, mask=inside, other=0.0)
    bound = tl.load(limit + head) if CLIP else 0.0
    for step in range(nsteps + 1):
        if CLIP:  # the whole head is here; a state to start from is left as it is
            square = tl.sum(h * h, axis=0)
            h *= tl.minimum(bound / tl.sqrt(tl.maximum(square, 1e-37)), 1.0) if step > 0 else 1.0
        tl.store(states + tl.minimum(step * every, last) * stride, h, mask=inside)
        if SUMS:
            tl.store(squares + place, tl.sum(h * h, axis=0))
            tl.store(sums + place, tl.sum(h, axis=0))
            tl.store(largest + place, tl.max(tl.abs(h), axis=0))
        if step < nsteps:
            added = tl.load(states + tl.minimum((step + 1) * every, last) * stride, mask=inside, other=0.0)
            h = tl.exp2(tl.load(totals)) * h + added
            totals += nheads * CHANNELS
            place += nheads * parts


@triton.jit(do_not_specialize=["nchunks", "nheads"])
def pass_gradients(  # type: ignore[no-untyped-def]
    given, gradients, totals,
    nchunks, nheads,
    ELEMENTS: tl.constexpr, SLICE: tl.constexpr, CHANNELS: tl.constexpr, GIVEN: tl.constexpr,
):  # fmt: skip
    """From what the chunks add to the gradients of the boundary states, in place, backwards; ``given`` comes in."""
    part, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    element = part * SLICE + tl.arange(0, SLICE)
    last = ((batch.to(tl.int64) * (nchunks + 1) + nchunks) * nheads + head) * ELEMENTS + element
    gradients += last
    given += last
    totals += ((batch.to(tl.int64) * nchunks + nchunks) * nheads + head) * CHANNELS + element % CHANNELS
    dh = tl.load(given) if GIVEN else tl.zeros([SLICE], tl.float32)
    tl.store(gradients, dh)
    for _ in range(nchunks):
        gradients -= nheads * ELEMENTS
        given -= nheads * ELEMENTS
        totals -= nheads * CHANNELS
        dh = tl.exp2(tl.load(totals)) * dh + tl.load(gradients)
        if GIVEN:
            dh += tl.load(given)
        tl.store(gradients, dh)


def carry_states(
    initial: Tensor, states: Tensor, totals: Tensor, limit: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Turn ``states`` (batch, nchunks + 1, nheads, headdim, d_state), what chunks add from index 1 on, into states.

    ``totals`` (batch, nchunks, nheads, channels) are in log2. Returns their norm, mean, standard deviation and
    largest element, (batch, nchunks + 1, nheads) each. A ``limit`` (nheads,) bounds the norm of all but the first.
    """
    batch, count, nheads, headdim, d_state = states.shape
    elements = headdim * d_state
    part = slice_of(elements) if limit is None else triton.next_power_of_2(elements)
    parts = triton.cdiv(elements, part)
    found = states.new_empty(3, batch, count, nheads, parts)
    pass_states[(parts, nheads, batch)](
        initial, states, totals, initial if limit is None else limit.to(initial).contiguous(), *found,
        count - 1, nheads, 1, count - 1,
        ELEMENTS=elements, SLICE=part, CHANNELS=totals.shape[-1], CLIP=limit is not None, SUMS=True,
        num_warps=warps_of(part),
    )  # fmt: skip
    squares, sums, largest = found
    return statistics(squares, sums, largest, elements)


def carry_spans(initial: Tensor, states: Tensor, totals: Tensor, every: int) -> None:
    """Like :func:`carry_states` where the ends of spans are ``every`` rows of ``states`` apart, without statistics.

    ``totals`` (batch, nspans, nheads, channels). What is between the ends is left as it is.
    """
    batch, count, nheads, headdim, d_state = states.shape
    elements = headdim * d_state
    part = slice_of(elements)
    pass_states[(elements // part, nheads, batch)](
        initial, states, totals, *[initial] * 4, totals.shape[1], nheads, every, count - 1,
        ELEMENTS=elements, SLICE=part, CHANNELS=totals.shape[-1], CLIP=False, SUMS=False, num_warps=warps_of(part),
    )  # fmt: skip


@triton.jit
def row_of(batch, span, chunk, every, last, SPAN: tl.constexpr):  # type: ignore[no-untyped-def]
    """The row of :class:`Rows` that has the state at the start of ``chunk`` while its ``span`` is read."""
    return batch.to(tl.int64) * (last + 1) + span * every + (chunk - span * SPAN) * (every // SPAN)


class Rows(NamedTuple):
    """Where the states of a scan in spans of several chunks are.

    ``states`` (batch, last + 1, nheads, headdim, d_state): what passes from kernel to kernel, the end of a span
    ``every`` rows after its start. That is one row, which inside the span every state takes over from the one before
    it; or one for every chunk, where all boundary states are wanted.
    ``kept`` (batch, n, ...): the boundary states that are wanted, ``states`` itself where all are.
    ``slots`` (nchunks + 1,) int32: which of ``kept`` a boundary is, -1 if none or if it has a row of its own.
    """

    states: Tensor
    kept: Tensor
    slots: Tensor
    every: int

    @classmethod
    def of(cls, initial: Tensor, nchunks: int, span: int, boundaries: Tensor | None) -> Rows:
        """Room for them; ``boundaries`` are those that are wanted, the last one at their end, None for all."""
        batch, *shape = initial.shape
        slots = torch.full((nchunks + 1,), -1, dtype=torch.int32, device=initial.device)
        if boundaries is None:
            states = initial.new_empty(batch, nchunks + 1, *shape)
            return cls(states, states, slots, span)
        count = len(boundaries)
        slots[boundaries] = torch.arange(count, dtype=torch.int32, device=initial.device)
        states = initial.new_empty(batch, triton.cdiv(nchunks, span) + 1, *shape)
        return cls(states, initial.new_empty(batch, count, *shape), slots, 1)

    @property
    def last(self) -> int:
        """The row of the last state."""
        return self.states.shape[1] - 1

    def close(self) -> Tensor:
        """``kept``, with the last state, which ends a span and starts none."""
        if self.kept is not self.states:
            self.kept[:, -1] = self.states[:, -1]
        return self.kept


def slice_of(elements: int) -> int:
    """Elements that one program carries: the largest power of two that divides them, SLICE at most."""
    return min(SLICE, elements & -elements)


def warps_of(part: int) -> int:
    """Warps of a program that carries so many elements, 32 to 64 a thread where a bounded head is wide."""
    return min(32, max(8, part // 1024)) if part > SLICE else 4 if part > 128 else 1


def statistics(squares: Tensor, sums: Tensor, largest: Tensor, elements: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Norm, mean, standard deviation and largest of ``elements`` numbers, from sums over their slices (..., slices)."""
    squared, mean = squares.sum(-1), sums.sum(-1) / elements
    std = (squared / elements - mean.square()).clamp_min(0).sqrt()
    return squared.sqrt(), mean, std, largest.amax(-1)


def carry_gradients(given: Tensor | None, gradients: Tensor, totals: Tensor) -> None:
    """Turn ``gradients`` of the shape of the states, what chunks add up to the last but one index, into gradients."""
    batch, count, nheads, headdim, d_state = gradients.shape
    elements = headdim * d_state
    part = slice_of(elements)
    pass_gradients[(elements // part, nheads, batch)](
        gradients if given is None else given.contiguous(), gradients, totals, count - 1, nheads,
        ELEMENTS=elements, SLICE=part, CHANNELS=totals.shape[-1], GIVEN=given is not None,
    )  # fmt: skip


def mean_log_decay(totals: Tensor, seqlen: int, chunk: int) -> Tensor:
    """The mean natural logarithm of the decay in every chunk, (batch, nchunks, nheads)."""
    counts = totals.new_full((totals.shape[1], 1), chunk)
    counts[-1] = seqlen - (len(counts) - 1) * chunk
    return totals.mean(-1) / (LOG2_E.value * counts)
