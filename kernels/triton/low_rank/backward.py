"""Triton: the gradient of the scan of the delta rule, chunk by chunk, without atomics.

With S the scores inside a chunk, dr = T^T du, h_0 and dh_1 at the chunk's start and end, g and e the decay from the
start and to the end, the gradient is a scan of the same form that runs backwards, and the kernels of :mod:`.forward`
run it with their REVERSE:

    du    = S_Cb^T dy + (e b) dh_1^T,  dr = T^T du                                    low_rank_solve, low_rank_carry
    dh_0  = decay dh_1 + dy^T (g C) + dr^T (g a) + what comes in                      low_rank_carry
    dx    = S_CB^T dy + S_aB^T dr + (e B) dh_1^T                                      low_rank_read

A pair of tokens has read its key by C, to be weighed by dy, or by a, by dr, and found x at B or u at b there:

    dC    = (dy x^T o L) B + (dy u^T o L) b + g (dy h_0)                              low_rank_key_gradients
    dB    = (dy x^T o L)^T C + (dr x^T o L)^T a + e (x dh_1)                          low_rank_key_gradients

da is like dC with dr, and db like dB with u; L is the decay from token to token, strict where a reads. A log decay acts
on every pair that it stands between, on what reads the start after it and on what was written before it; the pair of a
token with itself is left out, and with it what would have to cancel (low_rank_decay_gradients). With one decay per
channel the last two kernels are low_rank_channel_key_gradients of :mod:`.channels` and vector_decay_gradients.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.triton.low_rank.channels import low_rank_channel_key_gradients
from kernels.triton.low_rank.forward import forward, low_rank_carry, low_rank_read, rounded_like, slices, tiles
from kernels.triton.low_rank.solve import SIZES, fading, low_rank_solve
from kernels.triton.scalar_decay.forward import depth, launch
from kernels.triton.tiles import LOG2_E, causal, dot, products_of, rows_of, running_decay
from kernels.triton.vector_decay.backward import vector_decay_gradients
from kernels.triton.vector_decay.forward import BLOCK
from kernels.types import LowRank, ScanInputs


@triton.jit(do_not_specialize=SIZES)
def low_rank_key_gradients(  # type: ignore[no-untyped-def]
    mine, own, values, keys, more_values, more_keys, log_decay, states, gradient, balance, ends,
    seqlen, nchunks, nheads,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, ROWS: tl.constexpr, CHUNK: tl.constexpr,
    PRODUCTS: tl.constexpr, WRITTEN: tl.constexpr, SELF: tl.constexpr, MORE_SELF: tl.constexpr,
):  # fmt: skip
    """``gradient`` of the key ``mine``, which goes with the value ``own``, of one chunk and head, one decay per head.

    A reader (C with dy, a with dr) has met the ``keys`` of earlier tokens and the states at the start; a key that is
    WRITTEN (B with x, b with u) those of later tokens and the gradients at the end. SELF, MORE_SELF: and the token's
    own. ``balance``: what decay up to the token acts on, less what decay after it does; ``ends``: decay to the end.
    """
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, row, column = tl.arange(0, CHUNK), tl.arange(0, ROWS), tl.arange(0, DEPTH)
    count = seqlen - chunk * CHUNK
    inside = token < count
    by_head = (batch.to(tl.int64) * seqlen + chunk * CHUNK) * nheads + head
    scalars = by_head + token * nheads

    # 1. The weight of every pair of different tokens, and of a token with itself.
    high, low, _end, _end_low = running_decay(tl.load(log_decay + scalars, mask=inside, other=0.0) * LOG2_E)
    weights = tl.where(token[:, None] == token[None, :], 0.0, causal(high, low, CHUNK))
    if WRITTEN:
        weights = tl.trans(weights)
    by_row, stride = by_head * HEADDIM, nheads * HEADDIM
    pairs = tl.zeros([CHUNK, CHUNK], tl.float32)
    more_pairs = tl.zeros([CHUNK, CHUNK], tl.float32)
    itself = tl.zeros([CHUNK], tl.float32)
    more_itself = tl.zeros([CHUNK], tl.float32)
    for first in range(0, HEADDIM, ROWS):
        own_tile = rows_of(own + by_row + first, token, stride, count, ROWS)
        value = rows_of(values + by_row + first, token, stride, count, ROWS)
        more_value = rows_of(more_values + by_row + first, token, stride, count, ROWS)
        pairs += dot(own_tile, tl.trans(value), PRODUCTS)
        more_pairs += dot(own_tile, tl.trans(more_value), PRODUCTS)
        itself += tl.sum(own_tile * value, axis=1)
        more_itself += tl.sum(own_tile * more_value, axis=1)
    pairs *= weights
    more_pairs *= weights

    # 2. Depth by depth: the keys that were met, and the state.
    fade = fading(log_decay + by_head, nheads, count, CHUNK, 1, not WRITTEN)
    boundary = (batch.to(tl.int64) * (nchunks + 1) + (chunk + 1 if WRITTEN else chunk)) * nheads + head
    states += boundary * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :]
    place = by_head * D_STATE
    among = tl.zeros([CHUNK], tl.float32)
    beyond = tl.zeros([CHUNK], tl.float32)
    for _ in range(0, D_STATE, DEPTH):
        key = rows_of(keys + place, token, nheads * D_STATE, count, DEPTH)
        more_key = rows_of(more_keys + place, token, nheads * D_STATE, count, DEPTH)
        key_of_mine = rows_of(mine + place, token, nheads * D_STATE, count, DEPTH)
        met = dot(pairs, key, PRODUCTS) + dot(more_pairs, more_key, PRODUCTS)
        end = tl.zeros([CHUNK, DEPTH], tl.float32)
        for first in range(0, HEADDIM, ROWS):
            own_tile = rows_of(own + by_row + first, token, stride, count, ROWS)
            end += dot(own_tile, tl.load(states + first * D_STATE), PRODUCTS)
        end *= fade
        among += tl.sum(met * key_of_mine, axis=1)
        beyond += tl.sum(end * key_of_mine, axis=1)
        met += end
        if SELF:
            met += itself[:, None] * key
        if MORE_SELF:
            met += more_itself[:, None] * more_key
        out = gradient + place + token[:, None] * (nheads * D_STATE) + column[None, :]
        tl.store(out, met, mask=inside[:, None])
        place += DEPTH
        states += DEPTH
    if WRITTEN:
        tl.store(balance + scalars, -among, mask=inside)
        tl.store(ends + scalars, beyond, mask=inside)
    else:
        tl.store(balance + scalars, among + beyond, mask=inside)


@triton.jit(do_not_specialize=SIZES)
def low_rank_decay_gradients(  # type: ignore[no-untyped-def]
    balance, ends, states, dstates, totals, dlog_decay,
    seqlen, nchunks, nheads,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """``dlog_decay`` of one chunk and head, from what its decays act on."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, row, column = tl.arange(0, CHUNK), tl.arange(0, HEADDIM), tl.arange(0, DEPTH)
    inside = token < seqlen - chunk * CHUNK
    scalars = (batch.to(tl.int64) * seqlen + chunk * CHUNK) * nheads + head + token * nheads
    later = tl.cumsum(tl.load(balance + scalars, mask=inside, other=0.0), axis=0, reverse=True)
    left = tl.load(ends + scalars, mask=inside, other=0.0)
    boundary = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head
    states += boundary * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :]
    dstates += (boundary + nheads) * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :]
    met = tl.zeros([HEADDIM], tl.float32)
    for _ in range(0, D_STATE, DEPTH):
        met += tl.sum(tl.load(states) * tl.load(dstates), axis=1)
        states += DEPTH
        dstates += DEPTH
    total = tl.load(totals + (batch.to(tl.int64) * nchunks + chunk) * nheads + head)
    across = tl.sum(met, axis=0) * tl.exp2(total)
    tl.store(dlog_decay + scalars, later + (tl.cumsum(left, axis=0) - left) + across, mask=inside)


class LowRankDecay(torch.autograd.Function):
    """The scan with its gradient. Norms and telemetry carry none."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor, B: Tensor, C: Tensor, log_decay: Tensor, a: Tensor, b: Tensor, initial: Tensor,
        chunk: int, token_norms: bool,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """See :func:`kernels.triton.low_rank.forward.forward`."""
        inputs = ScanInputs(x, B, C, log_decay, LowRank(a, b))
        found = forward(inputs, initial, chunk, token_norms)
        (y, states, *rest), kept = found[:9], found[9:]
        ctx.save_for_backward(*inputs.tensors, states, *kept)
        ctx.mark_non_differentiable(*rest)
        ctx.set_materialize_grads(False)
        return y, states, *rest

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, given: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        """Gradients of x, B, C, log_decay, a, b and the initial state."""
        x, B, C, log_decay, a, b, states, totals, u, scores = ctx.saved_tensors
        a_B, a_b, C_B, C_b = scores
        batch, _seqlen, nheads, headdim = x.shape
        d_state, channels = B.shape[3], log_decay.shape[3]
        nchunks, chunk = totals.shape[1], scores.shape[-1]
        sizes = (x.shape[1], nchunks, nheads)
        products = products_of(x)
        tile = tiles(x, d_state, channels, chunk)
        grid, how, deep = (nchunks, nheads, batch), launch(products), {"DEPTH": min(depth(products), headdim, d_state)}
        dy = torch.zeros_like(x, dtype=states.dtype) if dy is None else dy.contiguous()

        # 1. The scan backwards.
        dr, seen = torch.empty_like(u), torch.empty_like(B, dtype=rounded_like(x))
        low_rank_solve[grid](
            dy, b, log_decay, a_b, C_b, dr, seen, totals, totals, *sizes,
            **tile, **deep, BLOCK=BLOCK, REVERSE=True, **how,
        )  # fmt: skip
        carried, read = slices(products, headdim, channels)
        dstates = torch.empty_like(states)
        incoming = dstates if given is None else given.contiguous()
        low_rank_carry[headdim // carried, nheads, batch](
            incoming, dy, C, dr, a, seen, log_decay, totals, dstates, *[dstates] * 3, *sizes,
            **tile, ROWS=carried, REVERSE=True, GIVEN=given is not None, num_warps=8, num_stages=1,
        )  # fmt: skip
        dx = torch.empty_like(x)
        low_rank_read[nchunks * (headdim // read), nheads, batch](
            dy, dr, B, log_decay, dstates, C_B, a_B, dx, *sizes, **tile, **deep, ROWS=read, REVERSE=True, **how
        )  # fmt: skip

        # 2. The keys: what each goes with, what it has met, and where.
        read_from, written_to = (x, B, u, b), (dy, C, dr, a)
        dC, da, dB, db = (torch.empty_like(key) for key in (C, a, B, b))
        balance, ends = states.new_empty(4, *log_decay.shape), states.new_empty(2, *log_decay.shape)
        size = {name: tile[name] for name in ("HEADDIM", "D_STATE", "CHUNK")}
        if channels == 1:
            gradients_of, places, cut = low_rank_key_gradients, nchunks, deep
        else:
            gradients_of, places, cut = low_rank_channel_key_gradients, nchunks * (chunk // BLOCK), {"BLOCK": BLOCK}
        for index, (key, own, met, ends_of, gradient, selves) in enumerate((
            (C, dy, (*read_from, log_decay, states), ends[0], dC, (True, True)),
            (a, dr, (*read_from, log_decay, states), ends[0], da, (False, False)),
            (B, x, (*written_to, log_decay, dstates), ends[0], dB, (True, False)),
            (b, u, (*written_to, log_decay, dstates), ends[1], db, (True, False)),
        )):  # fmt: skip
            gradients_of[places, nheads, batch](
                key, own, *met, gradient, balance[index], ends_of, *sizes, **size, **cut, ROWS=read, PRODUCTS=products,
                WRITTEN=index > 1, SELF=selves[0], MORE_SELF=selves[1], num_warps=8, num_stages=1,
            )  # fmt: skip
        dlog_decay = torch.empty_like(log_decay)
        acted = (balance.sum(0), ends.sum(0), states, dstates, totals, dlog_decay)
        if channels == 1:
            low_rank_decay_gradients[grid](*acted, *sizes, **size, **deep)
        else:
            vector_decay_gradients[grid](*acted, *sizes, **size, num_warps=8)
        return dx, dB, dC, dlog_decay, da, db, dstates[:, 0], None, None
