"""Triton: the gradient of the scan with one decay per head, chunk by chunk, without atomics.

The states at the boundaries are kept by the forward pass. With dh_c the gradient of the state at boundary c, L the
decay from token to token inside a chunk (i >= j), D = dy x^T, and h_0, dh_1 at the chunk's start and end:

    dh_c  = decay dh_{c+1} + sum_i (decay to i) dy_i C_i^T + what comes in        span_states and carry_gradients
    dx    = (C B^T o L)^T dy + (decay to the end) dh_1 B                          input_gradients
    dB    = (D o L)^T C + (decay to the end) dh_1^T x                             key_gradients, heads summed
    dC    = (D o L) B + (decay to i) h_0^T dy                                     key_gradients, heads summed

A log decay acts on every pair of tokens that it stands between, so its gradient is the sum of their parts in y dy; the
pair of a token with itself is left out, and with it what would have to cancel.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.triton.boundaries import carry_gradients
from kernels.triton.scalar_decay.forward import Options, depth, forward, launch
from kernels.triton.scalar_decay.spans import FACTORS, SIZES, span_states
from kernels.triton.tiles import LOG2_E, causal, dot, products_of, running_decay
from kernels.types import ScanInputs

ENOUGH = 256
"""Programs of :func:`key_gradients` that fill a GPU: below it, the heads of a group are split over several."""


@triton.jit(do_not_specialize=[*SIZES, *FACTORS])
def input_gradients(  # type: ignore[no-untyped-def]
    x, B, C, log_decay, states, dy, dstates, dx, dlog_decay,
    seqlen, nchunks, nheads, ngroups, decay, insertion,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """``dx`` and ``dlog_decay`` of one chunk and head."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, row, column = tl.arange(0, CHUNK), tl.arange(0, HEADDIM), tl.arange(0, DEPTH)
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    inside = token < seqlen - chunk * CHUNK
    group = head // (nheads // ngroups)
    by_head = (start * nheads + head) * HEADDIM + token[:, None] * (nheads * HEADDIM) + row[None, :]
    by_group = (start * ngroups + group) * D_STATE + token[:, None] * (ngroups * D_STATE) + column[None, :]
    scalars = start * nheads + head + token * nheads
    at = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head
    by_row = at * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :]
    after = by_row + nheads * (HEADDIM * D_STATE)

    # 1. Products over d_state: C B^T, what C reads of the start, what B meets of the gradient at the end.
    CB = tl.zeros([CHUNK, CHUNK], tl.float32)
    read = tl.zeros([CHUNK, HEADDIM], tl.float32)
    met = tl.zeros([CHUNK, HEADDIM], tl.float32)
    kept = tl.zeros([HEADDIM], tl.float32)
    for _ in range(0, D_STATE, DEPTH):
        h = tl.load(states + by_row)
        dh = tl.load(dstates + after)
        B_tile = tl.load(B + by_group, mask=inside[:, None], other=0.0)
        C_tile = tl.load(C + by_group, mask=inside[:, None], other=0.0)
        CB += dot(C_tile, tl.trans(B_tile), PRODUCTS)
        read += dot(C_tile, tl.trans(h), PRODUCTS)
        met += dot(B_tile, tl.trans(dh), PRODUCTS)
        kept += tl.sum(h * dh, axis=1)
        by_row += DEPTH
        after += DEPTH
        by_group += DEPTH

    # 2. Inside the chunk, and the decay's share of everything.
    a = tl.load(log_decay + scalars, mask=inside, other=0.0) * decay
    high, low, end, end_low = running_decay(a * LOG2_E)
    CB *= causal(high, low, CHUNK)
    dy_tile = tl.load(dy + by_head, mask=inside[:, None], other=0.0)
    x_tile = tl.load(x + by_head, mask=inside[:, None], other=0.0)
    met *= tl.exp2((end - high) + (end_low - low))[:, None]
    tl.store(dx + by_head, (dot(tl.trans(CB), dy_tile, PRODUCTS) + met) * insertion, mask=inside[:, None])
    to_end = tl.sum(met * x_tile.to(tl.float32), axis=1) * insertion
    from_start = tl.sum(read * dy_tile, axis=1) * tl.exp2(high + low)
    pairs = CB * dot(dy_tile, tl.trans(x_tile), PRODUCTS) * insertion
    pairs = tl.where(token[:, None] > token[None, :], pairs, 0.0)
    later = tl.cumsum(tl.sum(pairs, axis=1) - tl.sum(pairs, axis=0) + from_start, axis=0, reverse=True)
    earlier = tl.cumsum(to_end, axis=0) - to_end
    across = tl.exp2(end) * tl.sum(kept, axis=0)
    tl.store(dlog_decay + scalars, (later + earlier + across) * decay, mask=inside)


@triton.jit(do_not_specialize=[*SIZES, *FACTORS, "splits"])
def key_gradients(  # type: ignore[no-untyped-def]
    x, B, C, log_decay, states, dy, dstates, dB, dC,
    seqlen, nchunks, nheads, ngroups, splits, decay, insertion,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """``dB`` and ``dC`` of one chunk and DEPTH columns, summed over a share of a group's heads."""
    chunk, share, rest = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    parts: tl.constexpr = D_STATE // DEPTH
    batch, group, split = rest // parts, share // splits, share % splits
    token, row = tl.arange(0, CHUNK), tl.arange(0, HEADDIM)
    column = rest % parts * DEPTH + tl.arange(0, DEPTH)
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    inside = token < seqlen - chunk * CHUNK
    by_group = (start * ngroups + group) * D_STATE + token[:, None] * (ngroups * D_STATE) + column[None, :]
    heads = nheads // ngroups // splits
    head = group * (nheads // ngroups) + split * heads
    by_head = (start * nheads + head) * HEADDIM + token[:, None] * (nheads * HEADDIM) + row[None, :]
    scalars = start * nheads + head + token * nheads
    at = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head
    by_row = at * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :]
    after = by_row + nheads * (HEADDIM * D_STATE)

    B_tile = tl.load(B + by_group, mask=inside[:, None], other=0.0)
    C_tile = tl.load(C + by_group, mask=inside[:, None], other=0.0)
    dB_tile = tl.zeros([CHUNK, DEPTH], tl.float32)
    dC_tile = tl.zeros([CHUNK, DEPTH], tl.float32)
    for _ in range(heads):
        a = tl.load(log_decay + scalars, mask=inside, other=0.0) * decay
        high, low, end, end_low = running_decay(a * LOG2_E)
        x_tile = tl.load(x + by_head, mask=inside[:, None], other=0.0).to(tl.float32) * insertion
        dy_tile = tl.load(dy + by_head, mask=inside[:, None], other=0.0)
        pairs = dot(dy_tile, tl.trans(x_tile), PRODUCTS) * causal(high, low, CHUNK)
        dB_tile += dot(tl.trans(pairs), C_tile, PRODUCTS)
        dC_tile += dot(pairs, B_tile, PRODUCTS)
        to_end = tl.exp2((end - high) + (end_low - low))
        dB_tile += dot(x_tile * to_end[:, None], tl.load(dstates + after), PRODUCTS)
        dC_tile += dot(dy_tile * tl.exp2(high + low)[:, None], tl.load(states + by_row), PRODUCTS)
        by_head += HEADDIM
        scalars += 1
        by_row += HEADDIM * D_STATE
        after += HEADDIM * D_STATE
    batches = tl.num_programs(2) // parts
    out = split.to(tl.int64) * batches * seqlen * ngroups * D_STATE + by_group
    tl.store(dB + out, dB_tile, mask=inside[:, None])
    tl.store(dC + out, dC_tile, mask=inside[:, None])


class ScalarDecay(torch.autograd.Function):
    """The scan with its gradient. Norms and telemetry are looked at, never learned from: they carry none."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, B: Tensor, C: Tensor, log_decay: Tensor, initial: Tensor, options: Options
    ) -> tuple[Tensor, ...]:
        """See :func:`kernels.triton.scalar_decay.forward.forward`."""
        y, states, *rest, totals = forward(ScanInputs(x, B, C, log_decay), initial, options)
        ctx.save_for_backward(x, B, C, log_decay, states, totals)
        ctx.options = options
        ctx.mark_non_differentiable(*rest)
        ctx.set_materialize_grads(False)
        return y, states, *rest

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, given: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        """Gradients of x, B, C, log_decay and the initial state."""
        x, B, C, log_decay, states, totals = ctx.saved_tensors
        chunk, decay, insertion = ctx.options.chunk, ctx.options.decay, ctx.options.insertion
        batch, seqlen, nheads, headdim = x.shape
        ngroups, d_state = B.shape[2:]
        nchunks = totals.shape[1]
        sizes = (seqlen, nchunks, nheads, ngroups)
        products = products_of(x)
        tile = {"HEADDIM": headdim, "D_STATE": d_state, "CHUNK": chunk, "PRODUCTS": products}
        deep, how = min(depth(products), d_state), launch(products)
        grid = (nchunks, nheads, batch)
        dy = torch.zeros_like(x, dtype=states.dtype) if dy is None else dy.contiguous()

        # 1. The gradient at every boundary.
        dstates = torch.empty_like(states)
        span_states[grid](
            dy, C, log_decay, dstates, *[totals] * 3, *sizes, 1, nchunks, 0, decay, 1.0,
            **tile, SPAN=1, REVERSE=True, **how,
        )  # fmt: skip
        carry_gradients(given, dstates, totals[..., None])

        # 2. Of what is written, and of the decay.
        dx, dlog_decay = torch.empty_like(x), torch.empty_like(log_decay)
        both = (x, B, C, log_decay, states, dy, dstates)
        input_gradients[grid](
            *both, dx, dlog_decay, *sizes, decay, insertion, **tile, DEPTH=deep, **how
        )  # fmt: skip

        # 3. Of what all heads of a group share.
        heads = nheads // ngroups
        programs = nchunks * ngroups * batch * (d_state // deep)
        splits = next((n for n in range(1, heads) if heads % n == 0 and n * programs >= ENOUGH), heads)
        dB, dC = states.new_empty(2, splits, *B.shape)
        key_gradients[(nchunks, ngroups * splits, batch * (d_state // deep))](
            *both, dB, dC, *sizes, splits, decay, insertion, **tile, DEPTH=deep, num_warps=8, num_stages=1
        )  # fmt: skip
        return dx, dB.sum(0).to(B.dtype), dC.sum(0).to(C.dtype), dlog_decay, dstates[:, 0], None
