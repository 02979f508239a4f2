"""Triton: LSTM and GRU, forward, with the recurrent weights on the chip.

A program takes ROWS sequences through all of their tokens. It reads the recurrent weights once, before the first
token, and holds them in registers and shared memory until the last; from token to token it reads what the input gives
and writes what was read and what the gates were. That is the idea of FlashRNN (Pöppel et al. 2024, arXiv 2412.07752):
without it every token would fetch all weights again.

Units are padded to UNITS, a power of two: a padded unit has no weight and gives nothing, so it stays where it is and
no other unit sees it. Products are of the dtype of the weights, sums and states of float32.

    LSTM    saved: i, f, g, o after their sigmoid or tanh           carried: c, h
    GRU     saved: r, z, n, and m = R_n h + b'_n                     carried: h
"""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton.tiles import LOG2_E, dot

SIZES = ["batch", "seqlen", "nchunks", "units"]


@triton.jit
def sigmoid(u):  # type: ignore[no-untyped-def]
    """Of any block."""
    return 1 / (1 + tl.exp2(-u * LOG2_E))


@triton.jit
def tanh(u):  # type: ignore[no-untyped-def]
    """Of any block, without an overflow; exact to a rounding of one, near zero too."""
    return 2 / (1 + tl.exp2(-2 * u * LOG2_E)) - 1


@triton.jit
def square(pointer, gate, units, inside, UNITS: tl.constexpr, TURNED: tl.constexpr):  # type: ignore[no-untyped-def]
    """The weights of ``gate``: (from, to), or (to, from) if TURNED; zero where there is no unit."""
    place = tl.arange(0, UNITS)
    at = place[None, :] * units + place[:, None]
    if TURNED:
        at = place[:, None] * units + place[None, :]
    return tl.load(pointer + gate * units * units + at, mask=inside[:, None] & inside[None, :], other=0.0)


@triton.jit(do_not_specialize=SIZES)
def cell_forward(  # type: ignore[no-untyped-def]
    given, weights, bias, initial, y, saved, cells, states,
    batch, seqlen, nchunks, units,
    UNITS: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr, GRU: tl.constexpr, KEEP: tl.constexpr,
    PRODUCTS: tl.constexpr,
):  # fmt: skip
    """All tokens of ROWS rows: ``y``, the boundary ``states``, and with KEEP what the backward pass needs.

    given (batch, seqlen, gates, units), weights (gates, units, units) from second to first, bias (units,) of the GRU's
    m, initial (batch, units, vectors); y (batch, seqlen, units), saved (batch, seqlen, 4, units), cells (batch, seqlen,
    units) of the LSTM's c, states (batch, nchunks + 1, units, vectors).
    """
    GATES: tl.constexpr = 3 if GRU else 4
    VECTORS: tl.constexpr = 1 if GRU else 2
    row, unit = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, UNITS)
    known = unit < units
    inside = (row < batch)[:, None] & known[None, :]
    first = square(weights, 0, units, known, UNITS, False)
    second = square(weights, 1, units, known, UNITS, False)
    third = square(weights, 2, units, known, UNITS, False)
    if not GRU:
        fourth = square(weights, 3, units, known, UNITS, False)
    row = row.to(tl.int64)[:, None]
    at = (row * units + unit[None, :]) * VECTORS
    c = tl.load(initial + at, mask=inside, other=0.0)
    h = tl.load(initial + at + VECTORS - 1, mask=inside, other=0.0)
    if GRU:
        shift = tl.load(bias + unit, mask=known, other=0.0)[None, :]
    boundary = (row * (nchunks + 1) * units + unit[None, :]) * VECTORS
    tl.store(states + boundary, c, mask=inside)
    tl.store(states + boundary + VECTORS - 1, h, mask=inside)
    by_gate = row * seqlen * GATES * units + unit[None, :]
    by_saved = row * seqlen * 4 * units + unit[None, :]
    by_token = row * seqlen * units + unit[None, :]
    for t in range(seqlen):
        a = tl.load(given + by_gate, mask=inside, other=0.0)
        b = tl.load(given + by_gate + units, mask=inside, other=0.0)
        d = tl.load(given + by_gate + 2 * units, mask=inside, other=0.0)
        a = sigmoid(a + dot(h, first, PRODUCTS))
        b = sigmoid(b + dot(h, second, PRODUCTS))
        if GRU:
            e = dot(h, third, PRODUCTS) + shift
            d = tanh(d + a * e)
            h = b * h + (1 - b) * d
        else:
            e = tl.load(given + by_gate + 3 * units, mask=inside, other=0.0)
            d = tanh(d + dot(h, third, PRODUCTS))
            e = sigmoid(e + dot(h, fourth, PRODUCTS))
            c = b * c + a * d
            h = e * tanh(c)
        tl.store(y + by_token, h, mask=inside)
        if KEEP:
            tl.store(saved + by_saved, a, mask=inside)
            tl.store(saved + by_saved + units, b, mask=inside)
            tl.store(saved + by_saved + 2 * units, d, mask=inside)
            tl.store(saved + by_saved + 3 * units, e, mask=inside)
            if not GRU:
                tl.store(cells + by_token, c, mask=inside)
        if ((t + 1) % CHUNK == 0) | (t + 1 == seqlen):
            boundary += units * VECTORS
            if not GRU:
                tl.store(states + boundary, c, mask=inside)
            tl.store(states + boundary + VECTORS - 1, h, mask=inside)
        by_gate += GATES * units
        by_saved += 4 * units
        by_token += units
