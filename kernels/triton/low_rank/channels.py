"""Triton: what tokens of a chunk of the delta rule read of each other, and its gradient, with one decay per channel.

The kernels of :mod:`.solve` and :mod:`.backward` where the decay does not come out of the sum over channels,

    <r_i, w_j> = sum_n r_in w_jn exp(g_in - g_jn)

A program has BLOCK tokens. As in :mod:`kernels.triton.vector_decay.forward`, the exponent between two blocks is split
at their borders into sums of one sign, and a matrix product is left; inside the block one token at a time is met, from
the nearest on, and each step adds its decay to those beyond it. Nothing overflows and nothing cancels.
"""

from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton.low_rank.solve import SIZES
from kernels.triton.tiles import LOG2_E, dot, rows_of
from kernels.triton.vector_decay.forward import decay_after


@triton.jit(do_not_specialize=SIZES)
def low_rank_channel_scores(  # type: ignore[no-untyped-def]
    reader, B, b, log_decay, at_B, at_b,
    seqlen, nchunks, nheads,
    D_STATE: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """What a reader, C or a, meets at every B and every b up to its own; nothing is stored right of its block."""
    place, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    parts: tl.constexpr = CHUNK // BLOCK
    chunk, block = place // parts, place % parts
    token, column = tl.arange(0, BLOCK), tl.arange(0, D_STATE)
    count = seqlen - chunk * CHUNK
    by_head = ((batch.to(tl.int64) * seqlen + chunk * CHUNK) * nheads + head) * D_STATE
    stride = nheads * D_STATE
    B += by_head
    b += by_head
    log_decay += by_head
    rows = block * BLOCK + token
    at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
    out = at * (CHUNK * CHUNK) + rows[:, None] * CHUNK

    # 1. Blocks before this one, from the nearest back.
    own = rows_of(reader + by_head, rows, stride, count, D_STATE)
    read = own * tl.exp2(tl.cumsum(rows_of(log_decay, rows, stride, count, D_STATE) * LOG2_E, axis=0))
    between = tl.zeros([D_STATE], tl.float32)
    for back in range(block):
        earlier = (block - 1 - back) * BLOCK + token
        after = decay_after(log_decay, earlier, (block - back) * BLOCK - 1, stride, count, D_STATE)
        weight = tl.exp2(after + between[None, :])
        met_B = dot(read, tl.trans(rows_of(B, earlier, stride, count, D_STATE) * weight), PRODUCTS)
        met_b = dot(read, tl.trans(rows_of(b, earlier, stride, count, D_STATE) * weight), PRODUCTS)
        tl.store(at_B + out + earlier[None, :], met_B)
        tl.store(at_b + out + earlier[None, :], met_b)
        between += tl.sum(rows_of(log_decay, earlier, stride, count, D_STATE) * LOG2_E, axis=0)

    # 2. Inside the block.
    log2_kept = tl.zeros([BLOCK, D_STATE], tl.float32)
    inside_B = tl.zeros([BLOCK, BLOCK], tl.float32)
    inside_b = tl.zeros([BLOCK, BLOCK], tl.float32)
    for back in range(BLOCK):
        j = BLOCK - 1 - back
        this, following = tl.minimum(block * BLOCK + j, count - 1), tl.minimum(block * BLOCK + j + 1, count - 1)
        passed = tl.load(log_decay + following * stride + column) * LOG2_E
        log2_kept = tl.where(token[:, None] > j, log2_kept + passed[None, :], 0.0)
        kept = own * tl.exp2(log2_kept)
        met_B = tl.sum(kept * tl.load(B + this * stride + column).to(tl.float32)[None, :], axis=1)
        met_b = tl.sum(kept * tl.load(b + this * stride + column).to(tl.float32)[None, :], axis=1)
        here = (token[None, :] == j) & (token[:, None] >= j)
        inside_B = tl.where(here, met_B[:, None], inside_B)
        inside_b = tl.where(here, met_b[:, None], inside_b)
    tl.store(at_B + out + rows[None, :], inside_B)
    tl.store(at_b + out + rows[None, :], inside_b)


@triton.jit
def value_pairs(  # type: ignore[no-untyped-def]
    own, values, rows, others, stride, count,
    BLOCK: tl.constexpr, HEADDIM: tl.constexpr, ROWS: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """Products of the values ``own`` of ``rows`` with the ``values`` of ``others``: (BLOCK, BLOCK)."""
    pairs = tl.zeros([BLOCK, BLOCK], tl.float32)
    for _ in range(0, HEADDIM, ROWS):
        value = rows_of(values, others, stride, count, ROWS)
        pairs += dot(rows_of(own, rows, stride, count, ROWS), tl.trans(value), PRODUCTS)
        own += ROWS
        values += ROWS
    return pairs


@triton.jit(do_not_specialize=SIZES)
def low_rank_channel_key_gradients(  # type: ignore[no-untyped-def]
    mine, own, values, keys, more_values, more_keys, log_decay, states, gradient, balance, ends,
    seqlen, nchunks, nheads,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr,
    PRODUCTS: tl.constexpr, WRITTEN: tl.constexpr, SELF: tl.constexpr, MORE_SELF: tl.constexpr,
):  # fmt: skip
    """:func:`.backward.low_rank_key_gradients` of BLOCK tokens, with ``balance`` and ``ends`` of every channel."""
    place, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    parts: tl.constexpr = CHUNK // BLOCK
    chunk, block = place // parts, place % parts
    token, row, column = tl.arange(0, BLOCK), tl.arange(0, ROWS), tl.arange(0, D_STATE)
    count = seqlen - chunk * CHUNK
    by_head = (batch.to(tl.int64) * seqlen + chunk * CHUNK) * nheads + head
    by_key, by_value = nheads * D_STATE, nheads * HEADDIM
    keys += by_head * D_STATE
    more_keys += by_head * D_STATE
    log_decay += by_head * D_STATE
    own += by_head * HEADDIM
    values += by_head * HEADDIM
    more_values += by_head * HEADDIM
    rows = block * BLOCK + token

    # 1. Other blocks, from the nearest on: those before this one, or those after it if WRITTEN.
    if WRITTEN:
        to_border = tl.exp2(decay_after(log_decay, rows, block * BLOCK + BLOCK - 1, by_key, count, D_STATE))
        others = parts - 1 - block
    else:
        to_border = tl.exp2(tl.cumsum(rows_of(log_decay, rows, by_key, count, D_STATE) * LOG2_E, axis=0))
        others = block
    met = tl.zeros([BLOCK, D_STATE], tl.float32)
    between = tl.zeros([D_STATE], tl.float32)
    for step in range(others):
        other = (block + 1 + step if WRITTEN else block - 1 - step) * BLOCK + token
        decay = rows_of(log_decay, other, by_key, count, D_STATE) * LOG2_E
        if WRITTEN:
            weight = tl.cumsum(decay, axis=0)
        else:
            weight = decay_after(log_decay, other, (block - step) * BLOCK - 1, by_key, count, D_STATE)
        weight = tl.exp2(weight + between[None, :])
        pairs = value_pairs(own, values, rows, other, by_value, count, BLOCK, HEADDIM, ROWS, PRODUCTS)
        met += dot(pairs, rows_of(keys, other, by_key, count, D_STATE) * weight, PRODUCTS)
        pairs = value_pairs(own, more_values, rows, other, by_value, count, BLOCK, HEADDIM, ROWS, PRODUCTS)
        met += dot(pairs, rows_of(more_keys, other, by_key, count, D_STATE) * weight, PRODUCTS)
        between += tl.sum(decay, axis=0)
    met *= to_border

    # 2. Inside the block; a token with itself is kept apart.
    pairs = value_pairs(own, values, rows, rows, by_value, count, BLOCK, HEADDIM, ROWS, PRODUCTS)
    more_pairs = value_pairs(own, more_values, rows, rows, by_value, count, BLOCK, HEADDIM, ROWS, PRODUCTS)
    itself = token[:, None] == token[None, :]
    log2_kept = tl.zeros([BLOCK, D_STATE], tl.float32)
    for step in range(BLOCK):
        if WRITTEN:
            j = step
            beyond, passing = token < j, j
        else:
            j = BLOCK - 1 - step
            beyond, passing = token > j, j + 1
        this, passing = tl.minimum(block * BLOCK + j, count - 1), tl.minimum(block * BLOCK + passing, count - 1)
        passed = tl.load(log_decay + passing * by_key + column) * LOG2_E
        log2_kept = tl.where(beyond[:, None], log2_kept + passed[None, :], 0.0)
        here = (token[None, :] == j) & beyond[:, None]
        of_key = tl.sum(tl.where(here, pairs, 0.0), axis=1)
        of_more = tl.sum(tl.where(here, more_pairs, 0.0), axis=1)
        key = tl.load(keys + this * by_key + column).to(tl.float32)
        more_key = tl.load(more_keys + this * by_key + column).to(tl.float32)
        met += (of_key[:, None] * key[None, :] + of_more[:, None] * more_key[None, :]) * tl.exp2(log2_kept)

    # 3. The state at the chunk's start, or its gradient at the end.
    boundary = (batch.to(tl.int64) * (nchunks + 1) + (chunk + 1 if WRITTEN else chunk)) * nheads + head
    states += boundary * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :]
    end = tl.zeros([BLOCK, D_STATE], tl.float32)
    for _ in range(0, HEADDIM, ROWS):
        end += dot(rows_of(own, rows, by_value, count, ROWS), tl.load(states), PRODUCTS)
        own += ROWS
        states += ROWS * D_STATE
    end *= to_border * tl.exp2(between)[None, :]
    key_of_mine = rows_of(mine + by_head * D_STATE, rows, by_key, count, D_STATE)
    out = by_head * D_STATE + rows[:, None] * by_key + column[None, :]
    inside = (rows < count)[:, None]
    if WRITTEN:
        tl.store(balance + out, -met * key_of_mine, mask=inside)
        tl.store(ends + out, end * key_of_mine, mask=inside)
    else:
        tl.store(balance + out, (met + end) * key_of_mine, mask=inside)
    met += end
    if SELF:
        alone = tl.sum(tl.where(itself, pairs, 0.0), axis=1)
        met += alone[:, None] * rows_of(keys, rows, by_key, count, D_STATE)
    if MORE_SELF:
        alone = tl.sum(tl.where(itself, more_pairs, 0.0), axis=1)
        met += alone[:, None] * rows_of(more_keys, rows, by_key, count, D_STATE)
    tl.store(gradient + out, met, mask=inside)
