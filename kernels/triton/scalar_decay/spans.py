"""Triton: one decay per head in spans of several chunks, so that what passes through memory is a state per span.

    span_states   chunk after chunk with the state in registers: what a span adds, and the decay of every chunk
    read_spans    chunk after chunk from the state at the span's start: y, sums for statistics of every boundary state,
                  the boundary states that are wanted, and on request the norm of the state after every token

A program has a span of one head. Between the two, :func:`kernels.triton.boundaries.pass_states` runs along the spans.
In read_spans a state has no room in registers: it is in the row that :class:`kernels.triton.boundaries.Rows` says, and
is overwritten there by the next one, in the cache.
"""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton.boundaries import row_of
from kernels.triton.tiles import LOG2_E, causal, dot, running_decay, state_at, store_rows, tokens_of

SIZES = ["seqlen", "nchunks", "nheads", "ngroups"]
FACTORS = ["decay", "insertion"]
ROWS = ["every", "last"]


@triton.jit(do_not_specialize=[*SIZES, *ROWS, "first", *FACTORS])
def span_states(  # type: ignore[no-untyped-def]
    x, B, log_decay, states, totals, decays, span_totals,
    seqlen, nchunks, nheads, ngroups, every, last, first, decay, insertion,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, CHUNK: tl.constexpr, SPAN: tl.constexpr, PRODUCTS: tl.constexpr,
    REVERSE: tl.constexpr,
):  # fmt: skip
    """What each span of SPAN chunks adds to the state, to the row of its end if ``first`` is 1, of its start if 0.

    REVERSE, where a span is one chunk: what it adds to the gradient of the state at its start.
    ``totals``, ``decays`` (batch, nchunks, nheads): log2 and mean decay of every chunk; ``span_totals``: of every span.
    """
    span, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, group = tl.arange(0, CHUNK), head // (nheads // ngroups)
    h = tl.zeros([HEADDIM, D_STATE], tl.float32)
    whole = 0.0
    for chunk in range(span * SPAN, tl.minimum((span + 1) * SPAN, nchunks)):
        start = batch.to(tl.int64) * seqlen + chunk * CHUNK
        count = seqlen - chunk * CHUNK
        inside = token < count
        a = tl.load(log_decay + start * nheads + head + token * nheads, mask=inside, other=0.0) * decay
        high, low, end, end_low = running_decay(a * LOG2_E)
        weight = tl.exp2(high + low) if REVERSE else tl.exp2((end - high) + (end_low - low))
        x_tile = tokens_of(x + (start * nheads + head) * HEADDIM, token, nheads * HEADDIM, count, HEADDIM)
        B_tile = tokens_of(B + (start * ngroups + group) * D_STATE, token, ngroups * D_STATE, count, D_STATE)
        left = tl.trans(x_tile.to(tl.float32) * (weight * insertion)[:, None])
        h = tl.exp2(end) * h + dot(left, B_tile, PRODUCTS)
        whole += end
        if not REVERSE:
            at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
            kept = tl.where(inside, tl.exp2(a * LOG2_E), 0.0)
            tl.store(totals + at, end)
            tl.store(decays + at, tl.sum(kept, axis=0) / tl.minimum(count, CHUNK))
    if not REVERSE:
        nspans = (nchunks + SPAN - 1) // SPAN
        tl.store(span_totals + (batch.to(tl.int64) * nspans + span) * nheads + head, whole)
    at = (batch.to(tl.int64) * (last + 1) + tl.minimum((span + first) * every, last)) * nheads + head
    tl.store(states + state_at(at, HEADDIM, D_STATE, D_STATE), h)


@triton.jit
def norms_after(  # type: ignore[no-untyped-def]
    written, B, stride, state, count, high, low,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """The norm of the state after every token of a chunk, of which none is formed: (CHUNK,).

    |h_i|^2 = sum_j (decay from j to i)^2 (2 B_j h_j x_j - |B_j|^2 |x_j|^2) + (decay from the start)^2 |h_0|^2
    """
    token = tl.arange(0, CHUNK)
    BB = tl.zeros([CHUNK, CHUNK], tl.float32)
    met = tl.zeros([CHUNK, HEADDIM], tl.float32)
    square = tl.zeros([HEADDIM], tl.float32)
    for deep in range(0, D_STATE, DEPTH):
        h = tl.load(state + deep)
        B_tile = tokens_of(B + deep, token, stride, count, DEPTH)
        BB += dot(B_tile, tl.trans(B_tile), PRODUCTS)
        met += dot(B_tile, tl.trans(h), PRODUCTS)
        square += tl.sum(h * h, axis=1)
    weights, grown = causal(high, low, CHUNK), tl.exp2(high + low)
    met = met * grown[:, None] + dot(BB * weights, written, PRODUCTS)
    own = tl.sum(tl.where(token[:, None] == token[None, :], BB, 0.0), axis=1) * tl.sum(written * written, axis=1)
    gain = 2 * tl.sum(met * written, axis=1) - own
    squared = tl.sum(weights * weights * gain[None, :], axis=1) + grown * grown * tl.sum(square, axis=0)
    return tl.sqrt(tl.maximum(squared, 0.0))


@triton.jit(do_not_specialize=[*SIZES, *ROWS, "nkept", *FACTORS])
def read_spans(  # type: ignore[no-untyped-def]
    x, B, C, log_decay, states, slots, kept, y, squares, sums, largest, norms,
    seqlen, nchunks, nheads, ngroups, every, last, nkept, decay, insertion,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, SPAN: tl.constexpr,
    PRODUCTS: tl.constexpr, NORMS: tl.constexpr,
):  # fmt: skip
    """``y``, and ``norms`` after every token if NORMS, from ``states`` at the starts of spans, which it overwrites.

    ``squares``, ``sums``, ``largest`` (batch, nchunks + 1, nheads): of the state at the start of every chunk, which
    goes to ``kept[:, slots[chunk]]`` of ``nkept`` if its slot is not negative.
    """
    span, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, group = tl.arange(0, CHUNK), head // (nheads // ngroups)
    stop = tl.minimum((span + 1) * SPAN, nchunks)
    to_next = every // SPAN * nheads * (HEADDIM * D_STATE)
    for chunk in range(span * SPAN, stop):
        start = batch.to(tl.int64) * seqlen + chunk * CHUNK
        count = seqlen - chunk * CHUNK
        inside = token < count
        scalars = start * nheads + head + token * nheads
        by_head, by_group = (start * nheads + head) * HEADDIM, (start * ngroups + group) * D_STATE
        a = tl.load(log_decay + scalars, mask=inside, other=0.0) * decay
        high, low, end, end_low = running_decay(a * LOG2_E)
        x_tile = tokens_of(x + by_head, token, nheads * HEADDIM, count, HEADDIM)
        row = row_of(batch, span, chunk, every, last, SPAN)
        here = state_at(row * nheads + head, HEADDIM, DEPTH, D_STATE)
        if NORMS:
            lengths = norms_after(
                x_tile.to(tl.float32) * insertion, B + by_group, ngroups * D_STATE, states + here, count, high, low,
                HEADDIM, D_STATE, DEPTH, CHUNK, PRODUCTS,
            )  # fmt: skip
            tl.store(norms + scalars, lengths, mask=inside)

        # 1. Depth by depth, so that few operands are in registers at once: C B^T, C h and the next
        #    state; that at the span's end is known.
        fading = tl.exp2((end - high) + (end_low - low)) * insertion
        left = tl.trans(x_tile.to(tl.float32) * fading[:, None])
        slot = tl.load(slots + chunk)
        to = state_at((batch.to(tl.int64) * nkept + slot) * nheads + head, HEADDIM, DEPTH, D_STATE)
        CB = tl.zeros([CHUNK, CHUNK], tl.float32)
        read = tl.zeros([CHUNK, HEADDIM], tl.float32)
        square = tl.zeros([HEADDIM], tl.float32)
        summed = tl.zeros([HEADDIM], tl.float32)
        most = tl.zeros([HEADDIM], tl.float32)
        for deep in range(0, D_STATE, DEPTH):
            h = tl.load(states + here + deep)
            B_tile = tokens_of(B + by_group + deep, token, ngroups * D_STATE, count, DEPTH)
            C_tile = tokens_of(C + by_group + deep, token, ngroups * D_STATE, count, DEPTH)
            square += tl.sum(h * h, axis=1)
            summed += tl.sum(h, axis=1)
            most = tl.maximum(most, tl.max(tl.abs(h), axis=1))
            CB += dot(C_tile, tl.trans(B_tile), PRODUCTS)
            read += dot(C_tile, tl.trans(h), PRODUCTS)
            if slot >= 0:
                tl.store(kept + to + deep, h)
            if chunk + 1 < stop:
                following = tl.exp2(end) * h + dot(left, B_tile, PRODUCTS)
                tl.debug_barrier()  # another thread may have this place yet to load
                tl.store(states + here + to_next + deep, following)
        at = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head
        tl.store(squares + at, tl.sum(square, axis=0))
        tl.store(sums + at, tl.sum(summed, axis=0))
        tl.store(largest + at, tl.max(most, axis=0))

        # 2. What the chunk wrote itself, decayed from token to token.
        weights = causal(high, low, CHUNK) * insertion
        read = read * tl.exp2(high + low)[:, None] + dot(CB * weights, x_tile, PRODUCTS)
        store_rows(y + by_head, token, nheads * HEADDIM, count, read, HEADDIM)
        tl.debug_barrier()  # the state that was stored is loaded next, maybe by another thread
