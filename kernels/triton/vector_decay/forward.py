"""Triton: the scan with one decay per channel of the key (GLA, HGRN-2, RWKV-6), which records while it scans.

With g_i the running sum of log_decay in a chunk, a vector over d_state, and h_0 the state at the chunk's start:

    y_i = sum_{j <= i} A_ij x_j + h_0 (exp(g_i) C_i)        A_ij = sum_n C_in B_jn exp(g_in - g_jn)

The decay does not come out of the sum, and exp(-g_j) alone overflows. So A is made in blocks of 16 tokens (the
secondary blocks of GLA, Yang et al. 2023, arXiv 2312.06635): between blocks the exponent is split at their borders,

    g_i - g_j = (block's start to i) + (whole blocks between) + (j to its block's end)

three sums of numbers of one sign, so nothing overflows and nothing cancels, and a matrix product is left; inside a
block channels are summed one key at a time. Four kernels, a program per chunk and head unless said otherwise:

    vector_states   what each chunk adds to the state, and the mean decay
    carry_states    of :mod:`kernels.triton.boundaries`, with statistics
    vector_scores   A, to memory, a program per block of 16 rows
    vector_read     y = A x + C h, two products
    vector_norms    on request: the state after every token, in registers only, for its norm
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from kernels.triton.boundaries import carry_states, mean_log_decay
from kernels.triton.scalar_decay.forward import depth, launch
from kernels.triton.scalar_decay.spans import SIZES
from kernels.triton.shapes import takes
from kernels.triton.tiles import LOG2_E, PRODUCTS_OF, dot, products_of, rows_of
from kernels.types import ScanInputs, boundary_count

BLOCK = 16
"""Tokens of a block of A: the least that a matrix product takes."""


@triton.jit
def decay_after(log_decay, rows, last, stride, count, WIDTH: tl.constexpr):  # type: ignore[no-untyped-def]
    """Sum of log2 decay after each of the rows and up to row ``last``: from the rows that follow, so of one sign."""
    following = rows_of(log_decay + stride, rows, stride, count - 1, WIDTH) * LOG2_E
    return tl.cumsum(tl.where((rows < last)[:, None], following, 0.0), axis=0, reverse=True)


@triton.jit(do_not_specialize=[*SIZES, "first"])
def vector_states(  # type: ignore[no-untyped-def]
    x, B, log_decay, states, totals, decays,
    seqlen, nchunks, nheads, ngroups, first,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr, REVERSE: tl.constexpr,
):  # fmt: skip
    """What each chunk adds to the state, to ``states[:, first + chunk]``; REVERSE: to the gradient of its start."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, row, column = tl.arange(0, CHUNK), tl.arange(0, HEADDIM), tl.arange(0, D_STATE)
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    count = seqlen - chunk * CHUNK
    by_head = start * nheads + head
    log_decay += by_head * D_STATE
    x_tile = rows_of(x + by_head * HEADDIM, token, nheads * HEADDIM, count, HEADDIM)
    B_tile = rows_of(
        B + (start * ngroups + head // (nheads // ngroups)) * D_STATE, token, ngroups * D_STATE, count, D_STATE
    )
    if REVERSE:
        weight = tl.cumsum(rows_of(log_decay, token, nheads * D_STATE, count, D_STATE) * LOG2_E, axis=0)
    else:
        weight = decay_after(log_decay, token, CHUNK - 1, nheads * D_STATE, count, D_STATE)
    state = dot(tl.trans(x_tile), B_tile * tl.exp2(weight), PRODUCTS)
    at = (batch.to(tl.int64) * (nchunks + 1) + chunk + first) * nheads + head
    tl.store(states + at * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :], state)
    if not REVERSE:
        at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
        a = rows_of(log_decay, token, nheads * D_STATE, count, D_STATE) * LOG2_E
        kept = tl.where((token < count)[:, None], tl.exp2(a), 0.0)
        tl.store(totals + at * D_STATE + column, tl.sum(a, axis=0))
        tl.store(decays + at, tl.sum(tl.sum(kept, axis=1), axis=0) / (tl.minimum(count, CHUNK) * D_STATE))


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


@triton.jit(do_not_specialize=SIZES)
def vector_read(  # type: ignore[no-untyped-def]
    x, C, log_decay, states, scores, y,
    seqlen, nchunks, nheads, ngroups,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """``y`` of one chunk and head."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, row, column = tl.arange(0, CHUNK), tl.arange(0, HEADDIM), tl.arange(0, DEPTH)
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    count = seqlen - chunk * CHUNK
    C += (start * ngroups + head // (nheads // ngroups)) * D_STATE
    log_decay += (start * nheads + head) * D_STATE
    at = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head
    by_row = at * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :]
    read = tl.zeros([CHUNK, HEADDIM], tl.float32)
    for _ in range(0, D_STATE, DEPTH):
        grown = tl.exp2(tl.cumsum(rows_of(log_decay, token, nheads * D_STATE, count, DEPTH) * LOG2_E, axis=0))
        C_tile = rows_of(C, token, ngroups * D_STATE, count, DEPTH) * grown
        read += dot(C_tile, tl.trans(tl.load(states + by_row)), PRODUCTS)
        by_row += DEPTH
        C += DEPTH
        log_decay += DEPTH
    at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
    by_head = (start * nheads + head) * HEADDIM
    x_tile = rows_of(x + by_head, token, nheads * HEADDIM, count, HEADDIM)
    read += dot(causal_scores(scores, at, CHUNK), x_tile, PRODUCTS)
    by_token = by_head + token[:, None] * (nheads * HEADDIM) + row[None, :]
    tl.store(y + by_token, read, mask=(token < count)[:, None])


@triton.jit(do_not_specialize=SIZES)
def vector_norms(  # type: ignore[no-untyped-def]
    x, B, log_decay, states, norms,
    seqlen, nchunks, nheads, ngroups,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """The norm after every token of one chunk and head, token by token with the state in registers."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row, column = tl.arange(0, HEADDIM), tl.arange(0, D_STATE)
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    at = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head
    h = tl.load(states + at * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :])
    by_head = start * nheads + head
    x += by_head * HEADDIM + row
    B += (start * ngroups + head // (nheads // ngroups)) * D_STATE + column
    log_decay += by_head * D_STATE + column
    norms += by_head
    for _ in range(tl.minimum(seqlen - chunk * CHUNK, CHUNK)):
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


def forward(inputs: ScanInputs, initial: Tensor, chunk: int, token_norms: bool) -> tuple[Tensor, ...]:
    """y, boundary states, token norms, the six tensors of telemetry, log2 decay over every chunk, and A."""
    x, B, C, log_decay = inputs[:4]
    batch, seqlen, nheads, headdim = x.shape
    ngroups, d_state = B.shape[2:]
    nchunks = boundary_count(seqlen, chunk) - 1
    sizes = (seqlen, nchunks, nheads, ngroups)
    products = products_of(x)
    tile = {"HEADDIM": headdim, "D_STATE": d_state, "CHUNK": chunk}
    grid, how = (nchunks, nheads, batch), launch(products)

    states = initial.new_empty(batch, nchunks + 1, nheads, headdim, d_state)
    totals, decays = initial.new_empty(batch, nchunks, nheads, d_state), initial.new_empty(batch, nchunks, nheads)
    vector_states[grid](
        x, B, log_decay, states, totals, decays, *sizes, 1, **tile, PRODUCTS=products, REVERSE=False, **how
    )  # fmt: skip
    statistics = carry_states(initial, states, totals)
    scores = initial.new_empty(batch, nchunks, nheads, chunk, chunk)
    vector_scores[nchunks * (chunk // BLOCK), nheads, batch](
        B, C, log_decay, scores, *sizes, D_STATE=d_state, CHUNK=chunk, BLOCK=BLOCK, PRODUCTS=products
    )  # fmt: skip
    y = initial.new_empty(x.shape)
    vector_read[grid](
        x, C, log_decay, states, scores, y, *sizes,
        **tile, DEPTH=min(depth(products), d_state), PRODUCTS=products, **how,
    )  # fmt: skip
    norms = initial.new_empty(x.shape[:3] if token_norms else 0)
    if token_norms:
        vector_norms[grid](x, B, log_decay, states, norms, *sizes, **tile)
    return y, states, norms, *statistics, mean_log_decay(totals, seqlen, chunk), decays, totals, scores
