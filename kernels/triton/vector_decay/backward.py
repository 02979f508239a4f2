"""Triton: the gradient of the scan with one decay per channel of the key, chunk by chunk, without atomics.

With D = dy x^T inside a chunk, A the scores of the forward pass, h_0 the state at the chunk's start, dh_1
the gradient of the state at its end, and exponents split at the borders of blocks as in the forward pass:

    dx_j  = sum_{i >= j} A_ij dy_i + dh_1 (B_j o decay to the end)                              vector_input_gradients
    dC_in = sum_{j <= i} D_ij B_jn exp(g_in - g_jn) + (decay to i)_n (h_0^T dy_i)_n             vector_key_gradients
    dB_jn = sum_{i >= j} D_ij C_in exp(g_in - g_jn) + (decay to the end)_n (dh_1^T x_j)_n       vector_key_gradients

The log decay of token t acts on every pair with j < t <= i, on what reads the start from t on, and on what was written
before t; the pair of a token with itself is left out, and with it what would have to cancel (vector_decay_gradients).
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.triton.boundaries import carry_gradients
from kernels.triton.scalar_decay.forward import depth, launch
from kernels.triton.scalar_decay.spans import SIZES
from kernels.triton.tiles import LOG2_E, dot, products_of, rows_of
from kernels.triton.vector_decay.forward import BLOCK, causal_scores, decay_after, forward, vector_states
from kernels.types import ScanInputs


@triton.jit(do_not_specialize=SIZES)
def vector_input_gradients(  # type: ignore[no-untyped-def]
    B, log_decay, scores, dy, dstates, dx,
    seqlen, nchunks, nheads, ngroups,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """``dx`` of one chunk and head."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, row, column = tl.arange(0, CHUNK), tl.arange(0, HEADDIM), tl.arange(0, DEPTH)
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    count = seqlen - chunk * CHUNK
    B += (start * ngroups + head // (nheads // ngroups)) * D_STATE
    log_decay += (start * nheads + head) * D_STATE
    at = (batch.to(tl.int64) * (nchunks + 1) + chunk + 1) * nheads + head
    by_row = at * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :]
    met = tl.zeros([CHUNK, HEADDIM], tl.float32)
    for _ in range(0, D_STATE, DEPTH):
        fading = tl.exp2(decay_after(log_decay, token, CHUNK - 1, nheads * D_STATE, count, DEPTH))
        B_tile = rows_of(B, token, ngroups * D_STATE, count, DEPTH) * fading
        met += dot(B_tile, tl.trans(tl.load(dstates + by_row)), PRODUCTS)
        by_row += DEPTH
        B += DEPTH
        log_decay += DEPTH
    at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
    by_head = (start * nheads + head) * HEADDIM
    dy_tile = rows_of(dy + by_head, token, nheads * HEADDIM, count, HEADDIM)
    met += dot(tl.trans(causal_scores(scores, at, CHUNK)), dy_tile, PRODUCTS)
    by_token = by_head + token[:, None] * (nheads * HEADDIM) + row[None, :]
    tl.store(dx + by_token, met, mask=(token < count)[:, None])


@triton.jit(do_not_specialize=SIZES)
def vector_key_gradients(  # type: ignore[no-untyped-def]
    x, B, C, log_decay, states, dy, dstates, dB, dC, read, written,
    seqlen, nchunks, nheads, ngroups,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, CHUNK: tl.constexpr, BLOCK: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """``dB`` and ``dC`` of 16 tokens of one head, and per channel what their decay acts on.

    ``read``: what token i reads from before it less what later tokens read from it; ``written``: what it leaves behind.
    """
    place, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    parts: tl.constexpr = CHUNK // BLOCK
    chunk, block = place // parts, place % parts
    token, row, column = tl.arange(0, BLOCK), tl.arange(0, HEADDIM), tl.arange(0, D_STATE)
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    count = seqlen - chunk * CHUNK
    by_group, by_channel, by_head = ngroups * D_STATE, nheads * D_STATE, nheads * HEADDIM
    B += (start * ngroups + head // (nheads // ngroups)) * D_STATE
    C += (start * ngroups + head // (nheads // ngroups)) * D_STATE
    log_decay += (start * nheads + head) * D_STATE
    x += (start * nheads + head) * HEADDIM
    dy += (start * nheads + head) * HEADDIM
    rows = block * BLOCK + token
    x_tile = rows_of(x, rows, by_head, count, HEADDIM)
    dy_tile = rows_of(dy, rows, by_head, count, HEADDIM)
    grown = tl.cumsum(rows_of(log_decay, rows, by_channel, count, D_STATE) * LOG2_E, axis=0)
    fading = decay_after(log_decay, rows, block * BLOCK + BLOCK - 1, by_channel, count, D_STATE)

    # 1. Blocks before this one, which its C has read, and blocks after it, which have read its B.
    dC_tile = tl.zeros([BLOCK, D_STATE], tl.float32)
    before = tl.zeros([D_STATE], tl.float32)
    for back in range(block):
        other = (block - 1 - back) * BLOCK + token
        pairs = dot(dy_tile, tl.trans(rows_of(x, other, by_head, count, HEADDIM)), PRODUCTS)
        after = decay_after(log_decay, other, (block - back) * BLOCK - 1, by_channel, count, D_STATE)
        key = rows_of(B, other, by_group, count, D_STATE) * tl.exp2(after + before[None, :])
        dC_tile += dot(pairs, key, PRODUCTS)
        before += tl.sum(rows_of(log_decay, other, by_channel, count, D_STATE) * LOG2_E, axis=0)
    dC_tile *= tl.exp2(grown)
    dB_tile = tl.zeros([BLOCK, D_STATE], tl.float32)
    behind = tl.zeros([D_STATE], tl.float32)
    for ahead in range(block + 1, parts):
        other = ahead * BLOCK + token
        pairs = dot(x_tile, tl.trans(rows_of(dy, other, by_head, count, HEADDIM)), PRODUCTS)
        a = rows_of(log_decay, other, by_channel, count, D_STATE) * LOG2_E
        query = rows_of(C, other, by_group, count, D_STATE) * tl.exp2(tl.cumsum(a, axis=0) + behind[None, :])
        dB_tile += dot(pairs, query, PRODUCTS)
        behind += tl.sum(a, axis=0)
    dB_tile *= tl.exp2(fading)

    # 2. Inside the block, a key at a time from the last; a token with itself is kept apart.
    C_tile = rows_of(C, rows, by_group, count, D_STATE)
    B_tile = rows_of(B, rows, by_group, count, D_STATE)
    pairs = dot(dy_tile, tl.trans(x_tile), PRODUCTS)
    own = tl.sum(tl.where(token[:, None] == token[None, :], pairs, 0.0), axis=1)
    pairs = tl.where(token[:, None] > token[None, :], pairs, 0.0)
    log2_kept = tl.zeros([BLOCK, D_STATE], tl.float32)
    for back in range(BLOCK):
        j = BLOCK - 1 - back
        this, following = tl.minimum(block * BLOCK + j, count - 1), tl.minimum(block * BLOCK + j + 1, count - 1)
        passed = tl.load(log_decay + following * by_channel + column) * LOG2_E
        log2_kept = tl.where(token[:, None] > j, log2_kept + passed[None, :], 0.0)
        weight = tl.sum(tl.where(token[None, :] == j, pairs, 0.0), axis=1)[:, None] * tl.exp2(log2_kept)
        dC_tile += weight * tl.load(B + this * by_group + column).to(tl.float32)[None, :]
        dB_tile = tl.where(token[:, None] == j, dB_tile + tl.sum(weight * C_tile, axis=0)[None, :], dB_tile)

    # 3. The states at the chunk's ends.
    at = ((batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head) * (HEADDIM * D_STATE)
    by_row = at + row[:, None] * D_STATE + column[None, :]
    dC_tile += dot(dy_tile, tl.load(states + by_row), PRODUCTS) * tl.exp2(grown + before[None, :])
    dh = tl.load(dstates + by_row + nheads * (HEADDIM * D_STATE))
    left = dot(x_tile, dh, PRODUCTS) * tl.exp2(fading + behind[None, :])
    out = (start * nheads + head) * D_STATE + rows[:, None] * by_channel + column[None, :]
    inside = (rows < count)[:, None]
    tl.store(dB + out, dB_tile + left + own[:, None] * C_tile, mask=inside)
    tl.store(dC + out, dC_tile + own[:, None] * B_tile, mask=inside)
    tl.store(read + out, C_tile * dC_tile - B_tile * dB_tile, mask=inside)
    tl.store(written + out, B_tile * left, mask=inside)


@triton.jit(do_not_specialize=["seqlen", "nchunks", "nheads"])
def vector_decay_gradients(  # type: ignore[no-untyped-def]
    read, written, states, dstates, totals, dlog_decay,
    seqlen, nchunks, nheads,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """``dlog_decay`` of one chunk and head, from what its decays act on."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, row, column = tl.arange(0, CHUNK), tl.arange(0, HEADDIM), tl.arange(0, D_STATE)
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    count = seqlen - chunk * CHUNK
    stride = nheads * D_STATE
    by_head = (start * nheads + head) * D_STATE
    later = tl.cumsum(rows_of(read + by_head, token, stride, count, D_STATE), axis=0, reverse=True)
    before = written + by_head + (token[:, None] - 1) * stride + column[None, :]
    earlier = tl.load(before, mask=((token > 0) & (token < count))[:, None], other=0.0)
    at = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head
    by_row = at * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :]
    met = tl.load(states + by_row) * tl.load(dstates + by_row + nheads * (HEADDIM * D_STATE))
    total = tl.load(totals + ((batch.to(tl.int64) * nchunks + chunk) * nheads + head) * D_STATE + column)
    across = tl.sum(met, axis=0) * tl.exp2(total)
    gradient = later + tl.cumsum(earlier, axis=0) + across[None, :]
    tl.store(dlog_decay + by_head + token[:, None] * stride + column[None, :], gradient, mask=(token < count)[:, None])


class VectorDecay(torch.autograd.Function):
    """The scan with its gradient. Norms and telemetry carry none."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, B: Tensor, C: Tensor, log_decay: Tensor, initial: Tensor, chunk: int, token_norms: bool
    ) -> tuple[Tensor, ...]:
        """See :func:`kernels.triton.vector_decay.forward.forward`."""
        inputs = ScanInputs(x, B, C, log_decay)
        y, states, *rest, totals, scores = forward(inputs, initial, chunk, token_norms)
        ctx.save_for_backward(x, B, C, log_decay, states, totals, scores)
        ctx.mark_non_differentiable(*rest)
        ctx.set_materialize_grads(False)
        return y, states, *rest

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, given: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        """Gradients of x, B, C, log_decay and the initial state."""
        x, B, C, log_decay, states, totals, scores = ctx.saved_tensors
        batch, seqlen, nheads, headdim = x.shape
        ngroups, d_state = B.shape[2:]
        nchunks, chunk = totals.shape[1], scores.shape[-1]
        sizes = (seqlen, nchunks, nheads, ngroups)
        products = products_of(x)
        tile = {"HEADDIM": headdim, "D_STATE": d_state, "CHUNK": chunk}
        grid, how = (nchunks, nheads, batch), launch(products)
        dy = torch.zeros_like(x, dtype=states.dtype) if dy is None else dy.contiguous()

        dstates = torch.empty_like(states)
        vector_states[grid](
            dy, C, log_decay, dstates, *[totals] * 3, *sizes, 1, nchunks, 0,
            **tile, SPAN=1, PRODUCTS=products, REVERSE=True, num_warps=8, num_stages=1,
        )  # fmt: skip
        carry_gradients(given, dstates, totals)

        dx, dlog_decay = torch.empty_like(x), torch.empty_like(log_decay)
        deep = min(depth(products), d_state)
        vector_input_gradients[grid](
            B, log_decay, scores, dy, dstates, dx, *sizes, **tile, DEPTH=deep, PRODUCTS=products, **how
        )  # fmt: skip
        dB, dC, read, written = log_decay.new_empty(4, *log_decay.shape)
        vector_key_gradients[nchunks * (chunk // BLOCK), nheads, batch](
            x, B, C, log_decay, states, dy, dstates, dB, dC, read, written, *sizes,
            **tile, BLOCK=BLOCK, PRODUCTS=products,
        )  # fmt: skip
        vector_decay_gradients[grid](
            read, written, states, dstates, totals, dlog_decay, seqlen, nchunks, nheads, **tile, num_warps=8
        )  # fmt: skip

        def of_group(gradient: Tensor, of: Tensor) -> Tensor:
            return gradient.unflatten(2, (ngroups, -1)).sum(3).to(of.dtype)

        return dx, of_group(dB, B), of_group(dC, C), dlog_decay, dstates[:, 0], None, None
