"""Triton: the scan whose transition is diagonal plus low rank (the delta rule), which records while it scans.

The equations are those of :mod:`kernels.cpu.low_rank`. A program per chunk and head unless said otherwise:

    low_rank_scores   what C and a read at B and b inside the chunk, to memory; with one decay per channel
                      low_rank_channel_scores, a program per block of 16 rows (:mod:`.channels`)
    low_rank_solve    u = own + seen h^T, from the inverse of a triangular matrix (:mod:`.solve`)
    low_rank_carry    chunk after chunk, for a slice of the rows of a head's state, which do not meet: u from the state,
                      the next state from x and u, and the statistics of every boundary state
    low_rank_read     y: what C reads of x and of u inside the chunk, and of the state at its start
    low_rank_norms    on request: the state after every token, in registers only, for its norm

Every kernel but the first and the last also runs backwards (REVERSE), for the gradient. Keys are given for every head.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.triton.boundaries import mean_log_decay, statistics
from kernels.triton.low_rank.channels import low_rank_channel_scores
from kernels.triton.low_rank.solve import SIZES, earlier_scores, fading, low_rank_scores, low_rank_solve
from kernels.triton.scalar_decay.forward import depth, launch
from kernels.triton.shapes import takes
from kernels.triton.tiles import LOG2_E, PRODUCTS_OF, dot, products_of, rows_of
from kernels.triton.vector_decay.forward import BLOCK
from kernels.types import ScanInputs, boundary_count

CHUNKS = (16, 32, 64)
"""Lengths of a chunk: BLOCK tokens, doubled up to twice."""

ROWS_OF_DEEP = 64
"""Rows of a tile where d_state is over 128: more than elsewhere, as every tile of a head solves the same system."""


@triton.jit(do_not_specialize=SIZES)
def low_rank_carry(  # type: ignore[no-untyped-def]
    initial, values, keys, erased, erasing, seen, log_decay, totals, states, squares, sums, largest,
    seqlen, nchunks, nheads,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr, CHANNELS: tl.constexpr,
    PRODUCTS: tl.constexpr, REVERSE: tl.constexpr, GIVEN: tl.constexpr,
):  # fmt: skip
    """``states`` at all boundaries; ``erased`` holds own on entry and u when done. ``values`` x, ``keys`` B, b.

    REVERSE, from the last chunk: the gradients of the states, where ``initial`` of their shape comes in if GIVEN, and
    T^T du in ``erased``; ``values`` dy, ``keys`` C and a.
    """
    part, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    parts: tl.constexpr = HEADDIM // ROWS
    width: tl.constexpr = 1 if CHANNELS == 1 else D_STATE
    token, column = tl.arange(0, CHUNK), tl.arange(0, D_STATE)
    row = part * ROWS + tl.arange(0, ROWS)
    in_head = row[:, None] * D_STATE + column[None, :]
    boundaries = batch.to(tl.int64) * (nchunks + 1) * nheads + head
    if REVERSE:
        h = tl.zeros([ROWS, D_STATE], tl.float32)
    else:
        h = tl.load(initial + (batch.to(tl.int64) * nheads + head) * (HEADDIM * D_STATE) + in_head)
    for step in range(nchunks + 1):
        # 1. The state at this boundary.
        boundary = boundaries + (nchunks - step if REVERSE else step) * nheads
        if GIVEN:
            h += tl.load(initial + boundary * (HEADDIM * D_STATE) + in_head)
        tl.store(states + boundary * (HEADDIM * D_STATE) + in_head, h)
        if not REVERSE:
            tl.store(squares + boundary * parts + part, tl.sum(tl.sum(h * h, axis=1), axis=0))
            tl.store(sums + boundary * parts + part, tl.sum(tl.sum(h, axis=1), axis=0))
            tl.store(largest + boundary * parts + part, tl.max(tl.max(tl.abs(h), axis=1), axis=0))

        # 2. Over the chunk behind it.
        if step < nchunks:
            chunk = nchunks - 1 - step if REVERSE else step
            count = seqlen - chunk * CHUNK
            by_head = (batch.to(tl.int64) * seqlen + chunk * CHUNK) * nheads + head
            by_key, by_row = by_head * D_STATE, by_head * HEADDIM + part * ROWS
            place = erased + by_row + token[:, None] * (nheads * HEADDIM) + tl.arange(0, ROWS)[None, :]
            inside = (token < count)[:, None]
            u = tl.load(place, mask=inside, other=0.0)
            u += dot(rows_of(seen + by_key, token, nheads * D_STATE, count, D_STATE), tl.trans(h), PRODUCTS)
            tl.store(place, u, mask=inside)
            weight = fading(log_decay + by_head * CHANNELS, nheads * CHANNELS, count, CHUNK, width, REVERSE)
            at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
            h *= tl.exp2(tl.load(totals + at * CHANNELS + tl.arange(0, width)))[None, :]
            x = rows_of(values + by_row, token, nheads * HEADDIM, count, ROWS)
            h += dot(tl.trans(x), rows_of(keys + by_key, token, nheads * D_STATE, count, D_STATE) * weight, PRODUCTS)
            b = rows_of(erasing + by_key, token, nheads * D_STATE, count, D_STATE) * weight
            h += dot(tl.trans(u), b, PRODUCTS)


@triton.jit(do_not_specialize=SIZES)
def low_rank_read(  # type: ignore[no-untyped-def]
    values, erased, keys, log_decay, states, at_B, at_b, out,
    seqlen, nchunks, nheads,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr,
    CHANNELS: tl.constexpr, PRODUCTS: tl.constexpr, REVERSE: tl.constexpr,
):  # fmt: skip
    """``y`` from ``values`` x and ``erased`` u, which C (``keys``) reads ``at_B`` and ``at_b``, and from the start.

    REVERSE: ``dx`` from dy and T^T du, which have met B (``keys``) through C and a, and from the gradient at the end.
    """
    place, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    parts: tl.constexpr = HEADDIM // ROWS
    width: tl.constexpr = 1 if CHANNELS == 1 else DEPTH
    chunk, first = place // parts, place % parts * ROWS
    token, row, column = tl.arange(0, CHUNK), tl.arange(0, ROWS), tl.arange(0, DEPTH)
    count = seqlen - chunk * CHUNK
    by_head = (batch.to(tl.int64) * seqlen + chunk * CHUNK) * nheads + head
    boundary = (batch.to(tl.int64) * (nchunks + 1) + (chunk + 1 if REVERSE else chunk)) * nheads + head
    states += (boundary * HEADDIM + first + row[:, None]) * D_STATE + column[None, :]
    keys += by_head * D_STATE
    log_decay += by_head * CHANNELS
    read = tl.zeros([CHUNK, ROWS], tl.float32)
    for _ in range(0, D_STATE, DEPTH):
        weight = fading(log_decay, nheads * CHANNELS, count, CHUNK, width, not REVERSE)
        key = rows_of(keys, token, nheads * D_STATE, count, DEPTH) * weight
        read += dot(key, tl.trans(tl.load(states)), PRODUCTS)
        states += DEPTH
        keys += DEPTH
        if CHANNELS > 1:
            log_decay += DEPTH
    at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
    by_B, by_b = earlier_scores(at_B, at, CHUNK, False), earlier_scores(at_b, at, CHUNK, REVERSE)
    if REVERSE:
        by_B, by_b = tl.trans(by_B), tl.trans(by_b)
    by_row, stride = by_head * HEADDIM + first, nheads * HEADDIM
    read += dot(by_B, rows_of(values + by_row, token, stride, count, ROWS), PRODUCTS)
    read += dot(by_b, rows_of(erased + by_row, token, stride, count, ROWS), PRODUCTS)
    tl.store(out + by_row + token[:, None] * stride + row[None, :], read, mask=(token < count)[:, None])


@triton.jit(do_not_specialize=SIZES)
def low_rank_norms(  # type: ignore[no-untyped-def]
    x, u, B, b, log_decay, states, norms,
    seqlen, nchunks, nheads,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, CHUNK: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """The norm after every token of one chunk and head, token by token with the state in registers."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    width: tl.constexpr = 1 if CHANNELS == 1 else D_STATE
    row, column = tl.arange(0, HEADDIM), tl.arange(0, D_STATE)
    at = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head
    h = tl.load(states + at * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :])
    by_head = (batch.to(tl.int64) * seqlen + chunk * CHUNK) * nheads + head
    for _ in range(tl.minimum(seqlen - chunk * CHUNK, CHUNK)):
        h *= tl.exp2(tl.load(log_decay + by_head * CHANNELS + tl.arange(0, width)) * LOG2_E)[None, :]
        for_B, for_b = by_head * D_STATE + column[None, :], by_head * HEADDIM + row[:, None]
        h += tl.load(x + for_b).to(tl.float32) * tl.load(B + for_B).to(tl.float32)
        h += tl.load(u + for_b) * tl.load(b + for_B).to(tl.float32)
        tl.store(norms + by_head, tl.sqrt(tl.sum(tl.sum(h * h, axis=1), axis=0)))
        by_head += nheads


def supports(inputs: ScanInputs) -> bool:
    """Whether these kernels take ``inputs``: a pair, one decay per head or channel, heads that :func:`takes` takes."""
    d_state = inputs.B.shape[-1]
    return (
        inputs.low_rank is not None
        and inputs.x.dtype in PRODUCTS_OF
        and inputs.log_decay.shape[-1] in (1, d_state)
        and takes(inputs.x.shape[-1], d_state)
    )


def slices(products: str, headdim: int, channels: int) -> tuple[int, int]:
    """Rows of a state that a program carries, and that one reads, so that its tiles stay in registers.

    Products of float32 in three parts, and the running sums of a decay per channel, leave room for fewer.
    """
    precise = products == "tf32x3"
    return min(16 if precise or channels > 1 else 32, headdim), min(32 if precise else 64, headdim)


def tiles(x: Tensor, d_state: int, channels: int, chunk: int) -> dict[str, int | str]:
    """The constants that all kernels but one share."""
    return {
        "HEADDIM": x.shape[3], "D_STATE": d_state, "CHUNK": chunk, "CHANNELS": channels, "PRODUCTS": products_of(x)
    }  # fmt: skip


def rounded_like(x: Tensor) -> torch.dtype:
    """The dtype of what goes into products alone: bfloat16 where they are."""
    return torch.bfloat16 if x.dtype == torch.bfloat16 else torch.float32


def forward(inputs: ScanInputs, initial: Tensor, chunk: int, token_norms: bool) -> tuple[Tensor, ...]:
    """y, boundary states, token norms, the six tensors of telemetry; then log2 decay over every chunk, u, and scores.

    Every key of ``inputs`` is given for every head. The scores (4, batch, nchunks, nheads, chunk, chunk) are those of a
    at B and at b, then of C at B and at b.
    """
    x, B, C, log_decay, a, b = inputs.tensors
    batch, seqlen, nheads, headdim = x.shape
    d_state, channels = B.shape[3], log_decay.shape[3]
    nchunks = boundary_count(seqlen, chunk) - 1
    sizes = (seqlen, nchunks, nheads)
    tile = tiles(x, d_state, channels, chunk)
    products = products_of(x)
    grid, how, deep = (nchunks, nheads, batch), launch(products), {"DEPTH": min(depth(products), headdim, d_state)}

    a_B, a_b, C_B, C_b = scores = initial.new_empty(4, batch, nchunks, nheads, chunk, chunk)
    size = {"D_STATE": d_state, "CHUNK": chunk, "PRODUCTS": products}
    for reader, at_B, at_b in ((a, a_B, a_b), (C, C_B, C_b)):
        if channels == 1:
            low_rank_scores[grid](reader, B, b, log_decay, at_B, at_b, *sizes, **size, **deep, **how)
        else:
            low_rank_channel_scores[nchunks * (chunk // BLOCK), nheads, batch](
                reader, B, b, log_decay, at_B, at_b, *sizes, **size, BLOCK=BLOCK, **how
            )  # fmt: skip

    u, seen = initial.new_empty(x.shape), x.new_empty(B.shape, dtype=rounded_like(x))
    totals, decays = initial.new_empty(batch, nchunks, nheads, channels), initial.new_empty(batch, nchunks, nheads)
    low_rank_solve[grid](
        x, a, log_decay, a_b, a_B, u, seen, totals, decays, *sizes,
        **tile, **deep, BLOCK=BLOCK, REVERSE=False, **how,
    )  # fmt: skip

    carried, read = slices(products, headdim, channels)
    parts = headdim // carried
    states = initial.new_empty(batch, nchunks + 1, nheads, headdim, d_state)
    squares, sums, largest = states.new_empty(3, batch, nchunks + 1, nheads, parts)
    low_rank_carry[parts, nheads, batch](
        initial, x, B, u, b, seen, log_decay, totals, states, squares, sums, largest, *sizes,
        **tile, ROWS=carried, REVERSE=False, GIVEN=False, num_warps=8, num_stages=1,
    )  # fmt: skip

    y = initial.new_empty(x.shape)
    low_rank_read[nchunks * (headdim // read), nheads, batch](
        x, u, C, log_decay, states, C_B, C_b, y, *sizes, **tile, **deep, ROWS=read, REVERSE=False, **how
    )  # fmt: skip
    norms = initial.new_empty(x.shape[:3] if token_norms else 0)
    if token_norms:
        low_rank_norms[grid](
            x, u, B, b, log_decay, states, norms, *sizes,
            HEADDIM=headdim, D_STATE=d_state, CHUNK=chunk, CHANNELS=channels, num_warps=8,
        )  # fmt: skip
    found = statistics(squares, sums, largest, headdim * d_state)
    return y, states, norms, *found, mean_log_decay(totals, seqlen, chunk), decays, totals, u, scores
