"""Triton: the scan with one decay per channel of the key (GLA, HGRN-2, RWKV-6), which records while it scans.

With g_i the running sum of log_decay in a chunk, a vector over d_state, and h_0 the state at the chunk's start:

    y_i = sum_{j <= i} A_ij x_j + h_0 (exp(g_i) C_i)        A_ij = sum_n C_in B_jn exp(g_in - g_jn)

The decay does not come out of the sum, and exp(-g_j) alone overflows. So A is made in blocks of 16 tokens (the
secondary blocks of GLA, Yang et al. 2023, arXiv 2312.06635): between blocks the exponent is split at their borders,

    g_i - g_j = (block's start to i) + (whole blocks between) + (j to its block's end)

three sums of numbers of one sign, so nothing overflows and nothing cancels, and a matrix product is left; inside a
block channels are summed one key at a time. As in :mod:`kernels.triton.scalar_decay.forward` a state passes through
memory once per span of several chunks, and a program has a span of one head unless said otherwise:

    vector_states   what each span adds to the state, and the mean decay of every chunk
    pass_states     of :mod:`kernels.triton.boundaries`, along the spans
    vector_scores   A, to memory, a program per block of 16 rows
    vector_norms    on request: the state after every token, in registers only, for its norm
    vector_read     y = A x + C h, two products; statistics of every boundary state, and those that are wanted
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from kernels.triton.boundaries import Rows, carry_spans, mean_log_decay, row_of, statistics
from kernels.triton.scalar_decay.forward import chunks_of_span, depth, launch, sums_of
from kernels.triton.scalar_decay.spans import ROWS, SIZES
from kernels.triton.shapes import takes
from kernels.triton.tiles import LOG2_E, PRODUCTS_OF, dot, products_of, rows_of, state_at, store_rows
from kernels.types import ScanInputs, boundary_count

BLOCK = 16
"""Tokens of a block of A: the least that a matrix product takes."""


@triton.jit
def decay_after(log_decay, rows, last, stride, count, WIDTH: tl.constexpr):  # type: ignore[no-untyped-def]
    """Sum of log2 decay after each of the rows and up to row ``last``: from the rows that follow, so of one sign."""
    following = rows_of(log_decay + stride, rows, stride, count - 1, WIDTH) * LOG2_E
    return tl.cumsum(tl.where((rows < last)[:, None], following, 0.0), axis=0, reverse=True)


@triton.jit(do_not_specialize=[*SIZES, *ROWS, "first"])
def vector_states(  # type: ignore[no-untyped-def]
    x, B, log_decay, states, totals, decays, span_totals,
    seqlen, nchunks, nheads, ngroups, every, last, first,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, CHUNK: tl.constexpr, SPAN: tl.constexpr, PRODUCTS: tl.constexpr,
    REVERSE: tl.constexpr,
):  # fmt: skip
    """What each span of SPAN chunks adds to the state, to the row of its end if ``first`` is 1, of its start if 0.

    REVERSE, where a span is one chunk: what it adds to the gradient of the state at its start.
    """
    span, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, column, group = tl.arange(0, CHUNK), tl.arange(0, D_STATE), head // (nheads // ngroups)
    h = tl.zeros([HEADDIM, D_STATE], tl.float32)
    whole = tl.zeros([D_STATE], tl.float32)
    for chunk in range(span * SPAN, tl.minimum((span + 1) * SPAN, nchunks)):
        start = batch.to(tl.int64) * seqlen + chunk * CHUNK
        count = seqlen - chunk * CHUNK
        by_head, stride = start * nheads + head, nheads * D_STATE
        decay = log_decay + by_head * D_STATE
        a = rows_of(decay, token, stride, count, D_STATE) * LOG2_E
        weight = tl.cumsum(a, axis=0) if REVERSE else decay_after(decay, token, CHUNK - 1, stride, count, D_STATE)
        x_tile = rows_of(x + by_head * HEADDIM, token, nheads * HEADDIM, count, HEADDIM)
        B_tile = rows_of(B + (start * ngroups + group) * D_STATE, token, ngroups * D_STATE, count, D_STATE)
        total = tl.sum(a, axis=0)
        h = tl.exp2(total)[None, :] * h + dot(tl.trans(x_tile), B_tile * tl.exp2(weight), PRODUCTS)
        whole += total
        if not REVERSE:
            at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
            kept = tl.where((token < count)[:, None], tl.exp2(a), 0.0)
            tl.store(totals + at * D_STATE + column, total)
            tl.store(decays + at, tl.sum(tl.sum(kept, axis=1), axis=0) / (tl.minimum(count, CHUNK) * D_STATE))
    if not REVERSE:
        nspans = (nchunks + SPAN - 1) // SPAN
        tl.store(span_totals + ((batch.to(tl.int64) * nspans + span) * nheads + head) * D_STATE + column, whole)
    at = (batch.to(tl.int64) * (last + 1) + tl.minimum((span + first) * every, last)) * nheads + head
    tl.store(states + state_at(at, HEADDIM, D_STATE, D_STATE), h)


@triton.jit(do_not_specialize=SIZES)
def vector_scores(  # type: ignore[no-untyped-def]
    B, C, log_decay, scores,
    seqlen, nchunks, nheads, ngroups,
    D_STATE: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """``scores`` (batch, nchunks, nheads, CHUNK, CHUNK): A up to the diagonal blocks, nothing to their right."""
    place, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    parts: tl.constexpr = CHUNK // BLOCK
    chunk, block = place // parts, place % parts
    token, column = tl.arange(0, BLOCK), tl.arange(0, D_STATE)
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    count = seqlen - chunk * CHUNK
    by_group, by_head = ngroups * D_STATE, nheads * D_STATE
    B += (start * ngroups + head // (nheads // ngroups)) * D_STATE
    C += (start * ngroups + head // (nheads // ngroups)) * D_STATE
    log_decay += (start * nheads + head) * D_STATE
    rows = block * BLOCK + token
    out = ((batch.to(tl.int64) * nchunks + chunk) * nheads + head) * (CHUNK * CHUNK) + rows[:, None] * CHUNK

    C_tile = rows_of(C, rows, by_group, count, D_STATE)
    a = rows_of(log_decay, rows, by_head, count, D_STATE) * LOG2_E
    read = C_tile * tl.exp2(tl.cumsum(a, axis=0))
    between = tl.zeros([D_STATE], tl.float32)
    for back in range(block):
        earlier = (block - 1 - back) * BLOCK + token
        after = decay_after(log_decay, earlier, (block - back) * BLOCK - 1, by_head, count, D_STATE)
        key = rows_of(B, earlier, by_group, count, D_STATE) * tl.exp2(after + between[None, :])
        tl.store(scores + out + earlier[None, :], dot(read, tl.trans(key), PRODUCTS))
        between += tl.sum(rows_of(log_decay, earlier, by_head, count, D_STATE) * LOG2_E, axis=0)

    # Inside the block, a key at a time from the last: each step back adds one token's decay to those that follow.
    log2_kept = tl.zeros([BLOCK, D_STATE], tl.float32)
    inside = tl.zeros([BLOCK, BLOCK], tl.float32)
    for back in range(BLOCK):
        j = BLOCK - 1 - back
        this, following = tl.minimum(block * BLOCK + j, count - 1), tl.minimum(block * BLOCK + j + 1, count - 1)
        passed = tl.load(log_decay + following * by_head + column) * LOG2_E
        log2_kept = tl.where(token[:, None] > j, log2_kept + passed[None, :], 0.0)
        key = tl.load(B + this * by_group + column).to(tl.float32)
        score = tl.sum(C_tile * key[None, :] * tl.exp2(log2_kept), axis=1)
        inside = tl.where(token[None, :] == j, score[:, None], inside)
    inside = tl.where(token[:, None] >= token[None, :], inside, 0.0)
    tl.store(scores + out + rows[None, :], inside)


@triton.jit
def causal_scores(scores, at, CHUNK: tl.constexpr):  # type: ignore[no-untyped-def]
    """A of one chunk and head, (CHUNK, CHUNK), zero where j > i."""
    token = tl.arange(0, CHUNK)
    earlier = token[:, None] >= token[None, :]
    return tl.load(scores + at * (CHUNK * CHUNK) + token[:, None] * CHUNK + token[None, :], mask=earlier, other=0.0)


@triton.jit(do_not_specialize=[*SIZES, *ROWS, "nkept"])
def vector_read(  # type: ignore[no-untyped-def]
    x, B, C, log_decay, states, slots, kept, scores, y, squares, sums, largest,
    seqlen, nchunks, nheads, ngroups, every, last, nkept,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, SPAN: tl.constexpr,
    PRODUCTS: tl.constexpr,
):  # fmt: skip
    """``y``, from ``states`` at the starts of spans, which it overwrites; the rest as :func:`read_spans` has it."""
    span, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, group = tl.arange(0, CHUNK), head // (nheads // ngroups)
    stop = tl.minimum((span + 1) * SPAN, nchunks)
    to_next = every // SPAN * nheads * (HEADDIM * D_STATE)
    for chunk in range(span * SPAN, stop):
        start = batch.to(tl.int64) * seqlen + chunk * CHUNK
        count = seqlen - chunk * CHUNK
        by_head, by_group = start * nheads + head, (start * ngroups + group) * D_STATE
        x_tile = rows_of(x + by_head * HEADDIM, token, nheads * HEADDIM, count, HEADDIM)

        # 1. Depth by depth: C h, and the next state; that at the span's end is known.
        here = state_at(row_of(batch, span, chunk, every, last, SPAN) * nheads + head, HEADDIM, DEPTH, D_STATE)
        slot = tl.load(slots + chunk)
        to = state_at((batch.to(tl.int64) * nkept + slot) * nheads + head, HEADDIM, DEPTH, D_STATE)
        read = tl.zeros([CHUNK, HEADDIM], tl.float32)
        square = tl.zeros([HEADDIM], tl.float32)
        summed = tl.zeros([HEADDIM], tl.float32)
        most = tl.zeros([HEADDIM], tl.float32)
        for deep in range(0, D_STATE, DEPTH):
            h = tl.load(states + here + deep)
            square += tl.sum(h * h, axis=1)
            summed += tl.sum(h, axis=1)
            most = tl.maximum(most, tl.max(tl.abs(h), axis=1))
            decay, stride = log_decay + by_head * D_STATE + deep, nheads * D_STATE
            a = rows_of(decay, token, stride, count, DEPTH) * LOG2_E
            C_tile = rows_of(C + by_group + deep, token, ngroups * D_STATE, count, DEPTH) * tl.exp2(
                tl.cumsum(a, axis=0)
            )
            read += dot(C_tile, tl.trans(h), PRODUCTS)
            if slot >= 0:
                tl.store(kept + to + deep, h)
            if chunk + 1 < stop:
                fading = tl.exp2(decay_after(decay, token, CHUNK - 1, stride, count, DEPTH))
                B_tile = rows_of(B + by_group + deep, token, ngroups * D_STATE, count, DEPTH) * fading
                following = tl.exp2(tl.sum(a, axis=0))[None, :] * h + dot(tl.trans(x_tile), B_tile, PRODUCTS)
                tl.debug_barrier()  # another thread may have this place yet to load
                tl.store(states + here + to_next + deep, following)
        at = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head
        tl.store(squares + at, tl.sum(square, axis=0))
        tl.store(sums + at, tl.sum(summed, axis=0))
        tl.store(largest + at, tl.max(most, axis=0))

        # 2. What the chunk wrote itself.
        at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
        read += dot(causal_scores(scores, at, CHUNK), x_tile, PRODUCTS)
        store_rows(y + by_head * HEADDIM, token, nheads * HEADDIM, count, read, HEADDIM)
        tl.debug_barrier()  # the state that was stored is loaded next, maybe by another thread


@triton.jit(do_not_specialize=[*SIZES, *ROWS])
def vector_norms(  # type: ignore[no-untyped-def]
    x, B, log_decay, states, norms,
    seqlen, nchunks, nheads, ngroups, every, last,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, CHUNK: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    """The norm after every token of one span and head, token by token with the state in registers."""
    span, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row, column = tl.arange(0, HEADDIM), tl.arange(0, D_STATE)
    first = span * SPAN * CHUNK
    at = (batch.to(tl.int64) * (last + 1) + span * every) * nheads + head
    h = tl.load(states + state_at(at, HEADDIM, D_STATE, D_STATE))
    start = batch.to(tl.int64) * seqlen + first
    by_head = start * nheads + head
    x += by_head * HEADDIM + row
    B += (start * ngroups + head // (nheads // ngroups)) * D_STATE + column
    log_decay += by_head * D_STATE + column
    norms += by_head
    for _ in range(tl.minimum(seqlen - first, SPAN * CHUNK)):
        write = tl.load(x).to(tl.float32)[:, None] * tl.load(B).to(tl.float32)[None, :]
        h = h * tl.exp2(tl.load(log_decay) * LOG2_E)[None, :] + write
        tl.store(norms, tl.sqrt(tl.sum(tl.sum(h * h, axis=1), axis=0)))
        x += nheads * HEADDIM
        B += ngroups * D_STATE
        log_decay += nheads * D_STATE
        norms += nheads


def supports(inputs: ScanInputs) -> bool:
    """Whether these kernels take ``inputs``: one decay per channel, and heads that :func:`takes` takes."""
    d_state = inputs.B.shape[-1]
    return (
        inputs.low_rank is None
        and inputs.x.dtype in PRODUCTS_OF
        and inputs.log_decay.shape[-1] == d_state
        and takes(inputs.x.shape[-1], d_state)
    )


def forward(
    inputs: ScanInputs, initial: Tensor, chunk: int, token_norms: bool, boundaries: Tensor | None = None
) -> tuple[Tensor, ...]:
    """y, boundary states, token norms, the six tensors of telemetry, log2 decay over every chunk, and A."""
    x, B, C, log_decay = inputs[:4]
    batch, seqlen, nheads, headdim = x.shape
    ngroups, d_state = B.shape[2:]
    nchunks, span = boundary_count(seqlen, chunk) - 1, chunks_of_span(chunk)
    nspans = triton.cdiv(nchunks, span)
    rows = Rows.of(initial, nchunks, span, boundaries)
    sizes = (seqlen, nchunks, nheads, ngroups)
    places = (*sizes, rows.every, rows.last)
    products = products_of(x)
    tile = {"HEADDIM": headdim, "D_STATE": d_state, "CHUNK": chunk, "SPAN": span}
    grid, how = (nspans, nheads, batch), launch(products)

    totals, decays = initial.new_empty(batch, nchunks, nheads, d_state), initial.new_empty(batch, nchunks, nheads)
    span_totals = initial.new_empty(batch, nspans, nheads, d_state)
    vector_states[grid](
        x, B, log_decay, rows.states, totals, decays, span_totals, *places, 1,
        **tile, PRODUCTS=products, REVERSE=False, num_warps=8, num_stages=1,
    )  # fmt: skip
    carry_spans(initial, rows.states, span_totals, rows.every)
    scores = initial.new_empty(batch, nchunks, nheads, chunk, chunk)
    vector_scores[nchunks * (chunk // BLOCK), nheads, batch](
        B, C, log_decay, scores, *sizes, D_STATE=d_state, CHUNK=chunk, BLOCK=BLOCK, PRODUCTS=products
    )  # fmt: skip
    norms = initial.new_empty(x.shape[:3] if token_norms else 0)
    if token_norms:
        vector_norms[grid](x, B, log_decay, rows.states, norms, *places, **tile)
    y = initial.new_empty(x.shape)
    sums = initial.new_empty(3, batch, nchunks + 1, nheads)
    sums[:, :, -1] = sums_of(rows.states[:, -1])
    vector_read[grid](
        x, B, C, log_decay, rows.states, rows.slots, rows.kept, scores, y, *sums, *places, rows.kept.shape[1],
        **tile, DEPTH=min(depth(products), d_state), PRODUCTS=products, **how,
    )  # fmt: skip
    squares, summed, most = sums[..., None].unbind()
    found = statistics(squares, summed, most, headdim * d_state)
    return y, rows.close(), norms, *found, mean_log_decay(totals, seqlen, chunk), decays, totals, scores
