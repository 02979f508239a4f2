"""Triton: the scan with one decay per head (Mamba-2, Dao & Gu 2024, arXiv 2405.21060), which records while it scans.

The equations are those of :mod:`kernels.cpu.chunked_scalar`. Four kernels, one program per chunk and head or as noted:

    chunk_states   x^T (B o decay to the chunk's end), CHUNK x d_state by CHUNK x headdim, and the chunk's mean decay
    carry_states   h <- decay h + chunk's state, along the chunks: a program per slice of a head's state; the statistics
                   of every boundary state are summed as it passes, and a bound on its norm acts here
    read_chunks    y: (C B^T o decay) x inside the chunk, C h from the state at its start. With norms asked for, B reads
                   beside C, which gives what every token adds to the squared norm: one scalar per token, no state
    token_norms    the squared norm from these scalars and from that at the chunk's start

A state is formed once per chunk, in float32, and read once; a tile of 64 tokens keeps every kernel free of spills.
Tensors are contiguous, so sizes and no strides are passed, and sizes are not specialised: one binary per dtype,
headdim, d_state and chunk, whatever the model.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.triton.boundaries import carry_states, mean_log_decay
from kernels.triton.tiles import LOG2_E, PRODUCTS_OF, causal, dot, products_of, running_decay
from kernels.types import ScanInputs, boundary_count

SIZES = ["seqlen", "nchunks", "nheads", "ngroups"]
FACTORS = ["decay", "insertion"]
WIDTHS = (16, 32, 64, 128)
"""Sizes of headdim and d_state that a tile can have."""


@triton.jit(do_not_specialize=[*SIZES, *FACTORS])
def chunk_states(  # type: ignore[no-untyped-def]
    x, B, log_decay, states, totals, decays,
    seqlen, nchunks, nheads, ngroups, first, decay, insertion,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr, REVERSE: tl.constexpr,
):  # fmt: skip
    """What each chunk adds to the state, to ``states[:, first + chunk]``; REVERSE: to the gradient of its start."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, row, column = tl.arange(0, CHUNK), tl.arange(0, HEADDIM), tl.arange(0, D_STATE)
    count = seqlen - chunk * CHUNK
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    inside = token < count
    group = head // (nheads // ngroups)

    a = tl.load(log_decay + start * nheads + head + token * nheads, mask=inside, other=0.0) * decay
    high, low, end, end_low = running_decay(a * LOG2_E)
    weight = tl.exp2(high + low) if REVERSE else tl.exp2((end - high) + (end_low - low))
    x_tile = tl.load(
        x + (start * nheads + head) * HEADDIM + token[:, None] * (nheads * HEADDIM) + row[None, :],
        mask=inside[:, None], other=0.0,
    )  # fmt: skip
    B_tile = tl.load(
        B + (start * ngroups + group) * D_STATE + token[:, None] * (ngroups * D_STATE) + column[None, :],
        mask=inside[:, None], other=0.0,
    )  # fmt: skip
    state = dot(tl.trans(x_tile.to(tl.float32) * (weight * insertion)[:, None]), B_tile, PRODUCTS)

    at = (batch.to(tl.int64) * (nchunks + 1) + chunk + first) * nheads + head
    tl.store(states + at * (HEADDIM * D_STATE) + row[:, None] * D_STATE + column[None, :], state)
    if not REVERSE:
        at = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
        kept = tl.where(inside, tl.exp2(a * LOG2_E), 0.0)
        tl.store(totals + at, end)
        tl.store(decays + at, tl.sum(kept, axis=0) / tl.minimum(count, CHUNK))


@triton.jit(do_not_specialize=[*SIZES, *FACTORS])
def read_chunks(  # type: ignore[no-untyped-def]
    x, B, C, log_decay, states, y, gains,
    seqlen, nchunks, nheads, ngroups, decay, insertion,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr,
    NORMS: tl.constexpr,
):  # fmt: skip
    """``y``; with NORMS also ``gains``: 2 B_i h_i x_i - |B_i|^2 |x_i|^2, what token i adds to the squared norm."""
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

    # 1. C B^T and C h; B B^T and B h beside them. Depth by depth, so that few operands are in registers at once.
    CB = tl.zeros([CHUNK, CHUNK], tl.float32)
    read = tl.zeros([CHUNK, HEADDIM], tl.float32)
    BB = tl.zeros([CHUNK, CHUNK], tl.float32)
    B_read = tl.zeros([CHUNK, HEADDIM], tl.float32)
    for _ in range(0, D_STATE, DEPTH):
        h = tl.trans(tl.load(states + by_row))
        B_tile = tl.load(B + by_group, mask=inside[:, None], other=0.0)
        C_tile = tl.load(C + by_group, mask=inside[:, None], other=0.0)
        CB += dot(C_tile, tl.trans(B_tile), PRODUCTS)
        read += dot(C_tile, h, PRODUCTS)
        if NORMS:
            BB += dot(B_tile, tl.trans(B_tile), PRODUCTS)
            B_read += dot(B_tile, h, PRODUCTS)
        by_row += DEPTH
        by_group += DEPTH

    # 2. What the chunk wrote itself, decayed from token to token.
    a = tl.load(log_decay + scalars, mask=inside, other=0.0) * decay
    high, low, _end, _end_low = running_decay(a * LOG2_E)
    weights = causal(high, low, CHUNK)
    grown = tl.exp2(high + low)
    x_tile = tl.load(x + by_head, mask=inside[:, None], other=0.0)
    read = read * grown[:, None] + dot(CB * weights, x_tile, PRODUCTS) * insertion
    tl.store(y + by_head, read, mask=inside[:, None])
    if NORMS:
        written = x_tile.to(tl.float32) * insertion
        B_read = B_read * grown[:, None] + dot(BB * weights, x_tile, PRODUCTS) * insertion
        own = tl.sum(tl.where(token[:, None] == token[None, :], BB, 0.0), axis=1) * tl.sum(written * written, axis=1)
        tl.store(gains + scalars, 2 * tl.sum(B_read * written, axis=1) - own, mask=inside)


@triton.jit(do_not_specialize=[*SIZES, "decay"])
def token_norms(  # type: ignore[no-untyped-def]
    log_decay, gains, norms, out,
    seqlen, nchunks, nheads, decay,
    CHUNK: tl.constexpr,
):  # fmt: skip
    """|h_i|^2 = sum_j (decay from j to i)^2 gains_j + (decay from the start)^2 |h_0|^2, its root to ``out``."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token = tl.arange(0, CHUNK)
    inside = token < seqlen - chunk * CHUNK
    scalars = (batch.to(tl.int64) * seqlen + chunk * CHUNK) * nheads + head + token * nheads
    a = tl.load(log_decay + scalars, mask=inside, other=0.0) * (decay * 2)
    high, low, _end, _end_low = running_decay(a * LOG2_E)
    gain = tl.load(gains + scalars, mask=inside, other=0.0)
    anchor = tl.load(norms + (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + head)
    squared = tl.sum(causal(high, low, CHUNK) * gain[None, :], axis=1) + tl.exp2(high + low) * anchor * anchor
    tl.store(out + scalars, tl.sqrt(tl.maximum(squared, 0.0)), mask=inside)


def supports(inputs: ScanInputs) -> bool:
    """Whether these kernels take ``inputs``: one decay per head, tile sizes that are powers of two from 16 to 128."""
    return (
        inputs.low_rank is None
        and inputs.x.dtype in PRODUCTS_OF
        and inputs.log_decay.shape[-1] == 1
        and inputs.x.shape[-1] in WIDTHS
        and inputs.B.shape[-1] in WIDTHS
    )


class Options(NamedTuple):
    """How a scan differs from the plain one: see :func:`scalar_decay_scan`."""

    chunk: int
    token_norms: bool
    decay: float
    insertion: float
    limit: Tensor | None


def forward(inputs: ScanInputs, initial: Tensor, options: Options) -> tuple[Tensor, ...]:
    """y, boundary states, token norms, the six tensors of :class:`Telemetry`, and log2 decay over every chunk."""
    x, B, C, log_decay = inputs[:4]
    batch, seqlen, nheads, headdim = x.shape
    ngroups, d_state = B.shape[2:]
    chunk, token_norms_wanted, decay, insertion, limit = options
    nchunks = boundary_count(seqlen, chunk) - 1
    sizes = (seqlen, nchunks, nheads, ngroups)
    products = products_of(x)
    tile = {"HEADDIM": headdim, "D_STATE": d_state, "CHUNK": chunk, "PRODUCTS": products}
    how = launch(products)
    grid = (nchunks, nheads, batch)
    states = initial.new_empty(batch, nchunks + 1, nheads, headdim, d_state)
    totals, decays = initial.new_empty(2, batch, nchunks, nheads)
    chunk_states[grid](
        x, B, log_decay, states, totals, decays, *sizes, 1, decay, insertion, **tile, REVERSE=False, **how
    )  # fmt: skip
    norm, mean, std, largest = carry_states(initial, states, totals[..., None], limit)
    y = initial.new_empty(x.shape)
    gains = initial.new_empty(x.shape[:3] if token_norms_wanted else 0)
    read_chunks[grid](
        x, B, C, log_decay, states, y, gains, *sizes, decay, insertion,
        **tile, DEPTH=min(depth(products), d_state), NORMS=token_norms_wanted, **how,
    )  # fmt: skip
    norms = torch.empty_like(gains)
    if token_norms_wanted:
        token_norms[grid](log_decay, gains, norm, norms, seqlen, nchunks, nheads, decay, CHUNK=chunk)
    mean_log = mean_log_decay(totals[..., None], seqlen, chunk)
    return y, states, norms, norm, mean, std, largest, mean_log, decays, totals


def launch(products: str) -> dict[str, int]:
    """Warps and stages: float32 in three parts needs the registers of eight warps."""
    return {"num_warps": 8 if products == "tf32x3" else 4, "num_stages": 1}


def depth(products: str) -> int:
    """Columns of a state that are multiplied at once in :func:`read_chunks`: measured to keep it free of spills."""
    return 16 if products == "tf32x3" else 32
