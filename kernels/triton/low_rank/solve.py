"""Triton: what the tokens of a chunk of the delta rule read of each other, and the system that this makes of them.

With A the scores of a at b, strictly lower triangular, u = T (what is read of x and of the start) with T = (I - A)^-1.
As in the kernels of the gated delta rule (Yang et al. 2024, arXiv 2412.06464) T is made in blocks: those of 16 tokens
on the diagonal by forward substitution, all side by side; then pairs of blocks merge into blocks of twice their size,

    [I - A_1    0   ]^-1   [T_1           0 ]
    [ -A_21  I - A_2]    = [T_2 A_21 T_1  T_2]

The power series of A in place of both would cancel: equal keys make its terms as large as binomials.
"""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton.tiles import LOG2_E, causal, dot, rows_of, running_decay
from kernels.triton.vector_decay.forward import decay_after

SIZES = ["seqlen", "nchunks", "nheads"]


@triton.jit(do_not_specialize=SIZES)
def low_rank_scores(  # type: ignore[no-untyped-def]
    reader, B, b, log_decay, at_B, at_b,
    seqlen, nchunks, nheads,
    D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """What a reader, C or a, meets at every B and every b up to its own, one decay per head; zero above."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token = tl.arange(0, CHUNK)
    count = seqlen - chunk * CHUNK
    by_head = (batch.to(tl.int64) * seqlen + chunk * CHUNK) * nheads + head
    stride = nheads * D_STATE
    reader += by_head * D_STATE
    B += by_head * D_STATE
    b += by_head * D_STATE
    met_B = tl.zeros([CHUNK, CHUNK], tl.float32)
    met_b = tl.zeros([CHUNK, CHUNK], tl.float32)
    for _ in range(0, D_STATE, DEPTH):
        key = rows_of(reader, token, stride, count, DEPTH)
        met_B += dot(key, tl.trans(rows_of(B, token, stride, count, DEPTH)), PRODUCTS)
        met_b += dot(key, tl.trans(rows_of(b, token, stride, count, DEPTH)), PRODUCTS)
        reader += DEPTH
        B += DEPTH
        b += DEPTH
    decay = tl.load(log_decay + by_head + token * nheads, mask=token < count, other=0.0)
    high, low, _end, _end_low = running_decay(decay * LOG2_E)
    weights = causal(high, low, CHUNK)
    at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
    place = at * (CHUNK * CHUNK) + token[:, None] * CHUNK + token[None, :]
    tl.store(at_B + place, met_B * weights)
    tl.store(at_b + place, met_b * weights)


@triton.jit
def earlier_scores(scores, at, CHUNK: tl.constexpr, STRICT: tl.constexpr):  # type: ignore[no-untyped-def]
    """Scores of one chunk and head, (CHUNK, CHUNK), zero for later tokens and, if STRICT, for the token itself."""
    token = tl.arange(0, CHUNK)
    inside = token[:, None] > token[None, :] if STRICT else token[:, None] >= token[None, :]
    return tl.load(scores + at * (CHUNK * CHUNK) + token[:, None] * CHUNK + token[None, :], mask=inside, other=0.0)


@triton.jit
def fading(  # type: ignore[no-untyped-def]
    log_decay, stride, count, CHUNK: tl.constexpr, WIDTH: tl.constexpr, FROM_START: tl.constexpr
):
    """Decay from the chunk's start up to and with every token, or else from after it to the end: (CHUNK, WIDTH)."""
    token = tl.arange(0, CHUNK)
    if WIDTH == 1:  # a running sum along a column of width one does not compile in Triton 3.6
        first = 0 if FROM_START else 1
        inside = (token + first < count) & (token + first < CHUNK)
        decay = tl.load(log_decay + (token + first) * stride, mask=inside, other=0.0) * LOG2_E
        sums = tl.cumsum(decay, axis=0, reverse=not FROM_START)[:, None]
    elif FROM_START:
        sums = tl.cumsum(rows_of(log_decay, token, stride, count, WIDTH) * LOG2_E, axis=0)
    else:
        sums = decay_after(log_decay, token, CHUNK - 1, stride, count, WIDTH)
    return tl.exp2(sums)


@triton.jit
def merged(solution, A, SIZE: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Inverses of diagonal blocks of SIZE tokens, zero elsewhere -> those of blocks of twice the size."""
    block = tl.arange(0, CHUNK) // SIZE
    pairs = (block[:, None] // 2 == block[None, :] // 2) & (block[:, None] > block[None, :])
    return solution + dot(dot(solution, tl.where(pairs, A, 0.0), PRODUCTS), solution, PRODUCTS)


@triton.jit
def inverse(A, CHUNK: tl.constexpr, BLOCK: tl.constexpr, PRODUCTS: tl.constexpr):  # type: ignore[no-untyped-def]
    """(I - A)^-1 of a strictly lower triangular A (CHUNK, CHUNK); products in tf32 where others are in bfloat16."""
    finer: tl.constexpr = "tf32x3" if PRODUCTS == "tf32x3" else "tf32"
    parts: tl.constexpr = CHUNK // BLOCK
    part, row = tl.arange(0, parts), tl.arange(0, BLOCK)
    diagonal = part[:, None, None, None] == part[None, None, :, None]
    blocks = tl.sum(tl.where(diagonal, tl.reshape(A, (parts, BLOCK, parts, BLOCK)), 0.0), axis=2)
    found = tl.where(row[:, None] == row[None, :], 1.0, 0.0)[None, :, :] + tl.zeros_like(blocks)
    for i in range(1, BLOCK):
        here = (row == i)[None, :, None]
        weights = tl.sum(tl.where(here, blocks, 0.0), axis=1)
        found += tl.where(here, tl.sum(weights[:, :, None] * found, axis=1)[:, None, :], 0.0)
    solution = tl.reshape(tl.where(diagonal, found[:, :, None, :], 0.0), (CHUNK, CHUNK))
    if CHUNK > BLOCK:
        solution = merged(solution, A, BLOCK, CHUNK, finer)
    if CHUNK > 2 * BLOCK:
        solution = merged(solution, A, 2 * BLOCK, CHUNK, finer)
    return solution


@triton.jit(do_not_specialize=SIZES)
def low_rank_solve(  # type: ignore[no-untyped-def]
    values, keys, log_decay, erasing, mixing, own, seen, totals, decays,
    seqlen, nchunks, nheads,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr,
    CHANNELS: tl.constexpr, PRODUCTS: tl.constexpr, REVERSE: tl.constexpr,
):  # fmt: skip
    """u of a chunk as ``own`` + ``seen`` h^T, h the state at its start; and the decay over it, in log2 and on average.

    ``erasing`` and ``mixing``: the scores of a at b and at B, ``values`` x, ``keys`` a. REVERSE: the same for T^T du,
    the gradient of what T is applied to, with h that of the state at the end: ``mixing`` is then what C meets at b,
    ``values`` dy and ``keys`` b.
    """
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, column = tl.arange(0, CHUNK), tl.arange(0, DEPTH)
    count = seqlen - chunk * CHUNK
    inside = (token < count)[:, None]
    by_head = (batch.to(tl.int64) * seqlen + chunk * CHUNK) * nheads + head
    at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
    log_decay += by_head * CHANNELS
    if not REVERSE:
        channel = tl.arange(0, CHANNELS)
        a = rows_of(log_decay, token, nheads * CHANNELS, count, CHANNELS) * LOG2_E
        tl.store(totals + at * CHANNELS + channel, tl.sum(a, axis=0))
        kept = tl.sum(tl.where(inside, tl.exp2(a), 0.0), axis=0)
        tl.store(decays + at, tl.sum(kept, axis=0) / (tl.minimum(count, CHUNK) * CHANNELS))

    solution = inverse(earlier_scores(erasing, at, CHUNK, True), CHUNK, BLOCK, PRODUCTS)
    mixed = earlier_scores(mixing, at, CHUNK, not REVERSE)
    if REVERSE:
        solution, mixed = tl.trans(solution), tl.trans(mixed)
    stride = nheads * HEADDIM
    values += by_head * HEADDIM
    own += by_head * HEADDIM + token[:, None] * stride + column[None, :]
    for _ in range(0, HEADDIM, DEPTH):
        read = dot(mixed, rows_of(values, token, stride, count, DEPTH), PRODUCTS)
        tl.store(own, dot(solution, read, PRODUCTS), mask=inside)
        values += DEPTH
        own += DEPTH
    width: tl.constexpr = 1 if CHANNELS == 1 else DEPTH
    stride = nheads * D_STATE
    keys += by_head * D_STATE
    seen += by_head * D_STATE + token[:, None] * stride + column[None, :]
    for _ in range(0, D_STATE, DEPTH):
        weight = fading(log_decay, nheads * CHANNELS, count, CHUNK, width, not REVERSE)
        tl.store(seen, dot(solution, rows_of(keys, token, stride, count, DEPTH) * weight, PRODUCTS), mask=inside)
        keys += DEPTH
        seen += DEPTH
        if CHANNELS > 1:
            log_decay += DEPTH
