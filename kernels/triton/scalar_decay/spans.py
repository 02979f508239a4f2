"""Triton: one decay per head in spans of several chunks, so that what passes through memory is a state per span.

    span_states   chunk after chunk with the state in registers: what a span adds, and the decay of every chunk
    pass_spans    h <- decay h + what a span adds, along the spans: a program per slice of a head's state
    read_spans    chunk after chunk from the state at the span's start: y, the states at the boundaries inside the span,
                  and the sums that statistics need
    token_norms   on request: the norm of the state after every token, a program per chunk

A program of span_states and read_spans has a span of one head. A state inside a span is written to memory once, and
read where it was written, from the cache.
"""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton.tiles import LOG2_E, causal, dot, running_decay

SIZES = ["seqlen", "nchunks", "nheads", "ngroups"]
FACTORS = ["decay", "insertion"]


@triton.jit
def tokens_of(pointer, start, stride, count, WIDTH: tl.constexpr, CHUNK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Tokens of a chunk in the dtype that they have, which takes half the registers that float32 would."""
    token, column = tl.arange(0, CHUNK), tl.arange(0, WIDTH)
    at = pointer + start + token[:, None] * stride + column[None, :]
    return tl.load(at, mask=(token < count)[:, None], other=0.0)


@triton.jit(do_not_specialize=[*SIZES, *FACTORS])
def span_states(  # type: ignore[no-untyped-def]
    x, B, log_decay, states, totals, decays, span_totals,
    seqlen, nchunks, nheads, ngroups, decay, insertion,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, CHUNK: tl.constexpr, SPAN: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """What each span adds to the state, to where its end is in ``states``; SPAN is in chunks.

    ``totals``, ``decays`` (batch, nchunks, nheads): log2 and mean decay of every chunk; ``span_totals``: of every span.
    """
    span, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, row, column = tl.arange(0, CHUNK), tl.arange(0, HEADDIM), tl.arange(0, D_STATE)
    group = head // (nheads // ngroups)
    h = tl.zeros([HEADDIM, D_STATE], tl.float32)
    whole = 0.0
    for chunk in range(span * SPAN, tl.minimum((span + 1) * SPAN, nchunks)):
        start = batch.to(tl.int64) * seqlen + chunk * CHUNK
        count = seqlen - chunk * CHUNK
        inside = token < count
        a = tl.load(log_decay + start * nheads + head + token * nheads, mask=inside, other=0.0) * decay
        high, low, end, end_low = running_decay(a * LOG2_E)
        weight = tl.exp2((end - high) + (end_low - low)) * insertion
        x_tile = tokens_of(x, (start * nheads + head) * HEADDIM, nheads * HEADDIM, count, HEADDIM, CHUNK)
        B_tile = tokens_of(B, (start * ngroups + group) * D_STATE, ngroups * D_STATE, count, D_STATE, CHUNK)
        h = tl.exp2(end) * h + dot(tl.trans(x_tile.to(tl.float32) * weight[:, None]), B_tile, PRODUCTS)
        at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
        kept = tl.where(inside, tl.exp2(a * LOG2_E), 0.0)
        tl.store(totals + at, end)
        tl.store(decays + at, tl.sum(kept, axis=0) / tl.minimum(count, CHUNK))
        whole += end
    nspans = (nchunks + SPAN - 1) // SPAN
    tl.store(span_totals + (batch.to(tl.int64) * nspans + span) * nheads + head, whole)
    at = (batch.to(tl.int64) * (nchunks + 1) + tl.minimum((span + 1) * SPAN, nchunks)) * nheads + head
    tl.store(states + at * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :], h)


@triton.jit(do_not_specialize=["nchunks", "nheads"])
def pass_spans(  # type: ignore[no-untyped-def]
    initial, states, span_totals,
    nchunks, nheads,
    ELEMENTS: tl.constexpr, SLICE: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    """From what the spans add to the states at their ends, in place; what the next one adds is read ahead."""
    part, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    element = part * SLICE + tl.arange(0, SLICE)
    nspans = (nchunks + SPAN - 1) // SPAN
    stride = (nheads * ELEMENTS).to(tl.int64)
    states += (batch.to(tl.int64) * (nchunks + 1) * nheads + head) * ELEMENTS + element
    span_totals += batch.to(tl.int64) * nspans * nheads + head
    h = tl.load(initial + (batch.to(tl.int64) * nheads + head) * ELEMENTS + element)
    tl.store(states, h)
    added = tl.load(states + tl.minimum(SPAN, nchunks) * stride)
    kept = tl.exp2(tl.load(span_totals))
    for span in range(1, nspans + 1):
        h = kept * h + added
        following = tl.minimum(span + 1, nspans)
        added = tl.load(states + tl.minimum(following * SPAN, nchunks) * stride)
        kept = tl.exp2(tl.load(span_totals + (following - 1) * nheads))
        tl.store(states + tl.minimum(span * SPAN, nchunks) * stride, h)


@triton.jit(do_not_specialize=[*SIZES, *FACTORS])
def read_spans(  # type: ignore[no-untyped-def]
    x, B, C, log_decay, states, y, squares, sums, largest,
    seqlen, nchunks, nheads, ngroups, decay, insertion,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, SPAN: tl.constexpr,
    PRODUCTS: tl.constexpr,
):  # fmt: skip
    """``y``, and ``states`` inside each span.

    ``squares``, ``sums``, ``largest`` (batch, nchunks + 1, nheads): of the state at the start of every chunk.
    """
    span, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, row, column = tl.arange(0, CHUNK), tl.arange(0, HEADDIM), tl.arange(0, DEPTH)
    group = head // (nheads // ngroups)
    last = tl.minimum((span + 1) * SPAN, nchunks)
    for chunk in range(span * SPAN, last):
        start = batch.to(tl.int64) * seqlen + chunk * CHUNK
        inside = token < seqlen - chunk * CHUNK
        by_head = (start * nheads + head) * HEADDIM + token[:, None] * (nheads * HEADDIM) + row[None, :]
        by_group = (start * ngroups + group) * D_STATE + token[:, None] * (ngroups * D_STATE) + column[None, :]
        scalars = start * nheads + head + token * nheads
        at = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head
        by_row = at * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :]
        a = tl.load(log_decay + scalars, mask=inside, other=0.0) * decay
        high, low, end, end_low = running_decay(a * LOG2_E)
        x_tile = tl.load(x + by_head, mask=inside[:, None], other=0.0)
        fading = tl.exp2((end - high) + (end_low - low)) * insertion
        left = tl.trans(x_tile.to(tl.float32) * fading[:, None])

        # 1. Depth by depth, so that few operands are in registers at once: C B^T, C h and the next
        #    state; that at the span's end is known.
        CB = tl.zeros([CHUNK, CHUNK], tl.float32)
        read = tl.zeros([CHUNK, HEADDIM], tl.float32)
        square = tl.zeros([HEADDIM], tl.float32)
        summed = tl.zeros([HEADDIM], tl.float32)
        most = tl.zeros([HEADDIM], tl.float32)
        for _ in range(0, D_STATE, DEPTH):
            h = tl.load(states + by_row)
            B_tile = tl.load(B + by_group, mask=inside[:, None], other=0.0)
            C_tile = tl.load(C + by_group, mask=inside[:, None], other=0.0)
            square += tl.sum(h * h, axis=1)
            summed += tl.sum(h, axis=1)
            most = tl.maximum(most, tl.max(tl.abs(h), axis=1))
            CB += dot(C_tile, tl.trans(B_tile), PRODUCTS)
            read += dot(C_tile, tl.trans(h), PRODUCTS)
            if chunk + 1 < last:
                following = tl.exp2(end) * h + dot(left, B_tile, PRODUCTS)
                tl.store(states + by_row + nheads * (HEADDIM * D_STATE), following)
            by_row += DEPTH
            by_group += DEPTH
        tl.store(squares + at, tl.sum(square, axis=0))
        tl.store(sums + at, tl.sum(summed, axis=0))
        tl.store(largest + at, tl.max(most, axis=0))

        # 2. What the chunk wrote itself, decayed from token to token.
        weights = causal(high, low, CHUNK) * insertion
        grown = tl.exp2(high + low)
        read = read * grown[:, None] + dot(CB * weights, x_tile, PRODUCTS)
        tl.store(y + by_head, read, mask=inside[:, None])
        tl.debug_barrier()  # the state that was stored is loaded next, maybe by another thread


@triton.jit(do_not_specialize=[*SIZES, *FACTORS])
def token_norms(  # type: ignore[no-untyped-def]
    x, B, log_decay, states, squares, out,
    seqlen, nchunks, nheads, ngroups, decay, insertion,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """The norm of the state after every token of one chunk and head, of which none is formed.

    |h_i|^2 = sum_j (decay from j to i)^2 (2 B_j h_j x_j - |B_j|^2 |x_j|^2) + (decay from the start)^2 |h_0|^2
    """
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, row, column = tl.arange(0, CHUNK), tl.arange(0, HEADDIM), tl.arange(0, DEPTH)
    group = head // (nheads // ngroups)
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    inside = token < seqlen - chunk * CHUNK
    by_head = (start * nheads + head) * HEADDIM + token[:, None] * (nheads * HEADDIM) + row[None, :]
    by_group = (start * ngroups + group) * D_STATE + token[:, None] * (ngroups * D_STATE) + column[None, :]
    scalars = start * nheads + head + token * nheads
    at = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head
    by_row = at * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :]
    BB = tl.zeros([CHUNK, CHUNK], tl.float32)
    read = tl.zeros([CHUNK, HEADDIM], tl.float32)
    for _ in range(0, D_STATE, DEPTH):
        B_tile = tl.load(B + by_group, mask=inside[:, None], other=0.0)
        BB += dot(B_tile, tl.trans(B_tile), PRODUCTS)
        read += dot(B_tile, tl.trans(tl.load(states + by_row)), PRODUCTS)
        by_row += DEPTH
        by_group += DEPTH
    a = tl.load(log_decay + scalars, mask=inside, other=0.0) * decay
    high, low, _end, _end_low = running_decay(a * LOG2_E)
    weights, grown = causal(high, low, CHUNK), tl.exp2(high + low)
    x_tile = tl.load(x + by_head, mask=inside[:, None], other=0.0).to(tl.float32) * insertion
    read = read * grown[:, None] + dot(BB * weights, x_tile, PRODUCTS)
    own = tl.sum(tl.where(token[:, None] == token[None, :], BB, 0.0), axis=1) * tl.sum(x_tile * x_tile, axis=1)
    gain = 2 * tl.sum(read * x_tile, axis=1) - own
    squared = tl.sum(weights * weights * gain[None, :], axis=1) + grown * grown * tl.load(squares + at)
    tl.store(out + scalars, tl.sqrt(tl.maximum(squared, 0.0)), mask=inside)
