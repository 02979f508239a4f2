"""Triton: the scan with one decay per head (Mamba-2, Dao & Gu 2024, arXiv 2405.21060), which records while it scans.

The equations are those of :mod:`kernels.cpu.chunked_scalar`. A head's state passes through memory once per span of SPAN
tokens, and inside a span from chunk to chunk (:mod:`.spans`):

    span_states, pass_spans, read_spans   what every span adds, the states at their ends, y and all that is recorded
    token_norms                           on request: the norm after every token

A bound on the norm at every boundary has spans of one chunk, and two kernels in place of the first two:

    chunk_states   x^T (B o decay to the chunk's end), CHUNK x d_state by CHUNK x headdim, and the chunk's mean decay
    carry_states   h <- decay h + chunk's state, bounded, along the chunks: a program for a whole head

Tensors are contiguous, so sizes and no strides are passed, and sizes are not specialised: one binary per dtype,
headdim, d_state and chunk, whatever the model.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.triton.boundaries import carry_states, mean_log_decay, statistics
from kernels.triton.scalar_decay.spans import FACTORS, SIZES, pass_spans, read_spans, span_states, token_norms
from kernels.triton.shapes import takes
from kernels.triton.tiles import LOG2_E, PRODUCTS_OF, dot, products_of, running_decay
from kernels.types import ScanInputs, boundary_count

SPAN = 256
"""Tokens between two states that pass through memory from kernel to kernel, as many as mamba_ssm has."""

SLICE = 512
"""Elements of a state that one program passes over the spans: few, so that many programs hide each other's waiting."""

CHUNKS = (16, 32, 64, 128)
"""Lengths of a chunk."""


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


def supports(inputs: ScanInputs) -> bool:
    """Whether these kernels take ``inputs``: one decay per head, and heads that :func:`takes` takes."""
    return (
        inputs.low_rank is None
        and inputs.x.dtype in PRODUCTS_OF
        and inputs.log_decay.shape[-1] == 1
        and takes(inputs.x.shape[-1], inputs.B.shape[-1])
    )


class Options(NamedTuple):
    """How a scan differs from the plain one: see :func:`scalar_decay_scan`. ``parts``: tiles that make one head."""

    chunk: int
    token_norms: bool
    decay: float
    insertion: float
    limit: Tensor | None
    parts: int = 1


def forward(inputs: ScanInputs, initial: Tensor, options: Options) -> tuple[Tensor, ...]:
    """y, boundary states, token norms, the six tensors of :class:`Telemetry`, and log2 decay over every chunk."""
    x, B, C, log_decay = inputs[:4]
    batch, seqlen, nheads, headdim = x.shape
    ngroups, d_state = B.shape[2:]
    chunk, token_norms_wanted, decay, insertion, limit, parts = options
    nchunks = boundary_count(seqlen, chunk) - 1
    sizes = (seqlen, nchunks, nheads, ngroups)
    products = products_of(x)
    tile = {"HEADDIM": headdim, "D_STATE": d_state, "CHUNK": chunk, "PRODUCTS": products}
    how = launch(products)
    states = initial.new_empty(batch, nchunks + 1, nheads, headdim, d_state)
    totals, decays = initial.new_empty(2, batch, nchunks, nheads)
    if limit is None:
        span = max(1, SPAN // chunk)
        nspans = triton.cdiv(nchunks, span)
        span_totals = initial.new_empty(batch, nspans, nheads)
        span_states[nspans, nheads, batch](
            x, B, log_decay, states, totals, decays, span_totals, *sizes, decay, insertion, **tile, SPAN=span,
            num_warps=8, num_stages=1,
        )  # fmt: skip
        elements = headdim * d_state
        part = min(SLICE, elements)
        pass_spans[elements // part, nheads, batch](
            initial, states, span_totals, nchunks, nheads, ELEMENTS=elements, SLICE=part, SPAN=span
        )  # fmt: skip
    else:  # which acts at every boundary, and bounds a head, not its parts
        span, nspans = 1, nchunks
        chunk_states[nchunks, nheads, batch](
            x, B, log_decay, states, totals, decays, *sizes, 1, decay, insertion, **tile, REVERSE=False, **how
        )  # fmt: skip
        whole = states.unflatten(2, (-1, parts)).flatten(3, 4)
        carry_states(initial, whole, totals[..., ::parts, None].contiguous(), limit)
    y = initial.new_empty(x.shape)
    sums = initial.new_empty(3, batch, nchunks + 1, nheads)
    sums[:, :, -1] = sums_of(states[:, -1])
    deep = {"DEPTH": min(depth(products), d_state)}
    read_spans[nspans, nheads, batch](
        x, B, C, log_decay, states, y, *sums, *sizes, decay, insertion, **tile, **deep, SPAN=span, **how
    )  # fmt: skip
    norms = initial.new_empty(x.shape[:3] if token_norms_wanted else 0)
    if token_norms_wanted:
        token_norms[nchunks, nheads, batch](
            x, B, log_decay, states, sums[0], norms, *sizes, decay, insertion, **tile, **deep, **how
        )  # fmt: skip
    squares, summed, most = sums.unflatten(-1, (-1, parts)).unbind()
    norm, mean, std, largest = statistics(squares, summed, most, parts * headdim * d_state)
    mean_log = mean_log_decay(totals[..., None], seqlen, chunk)
    return y, states, norms, norm, mean, std, largest, mean_log, decays, totals


def sums_of(states: Tensor) -> Tensor:
    """Sum of squares, sum, largest element: (batch, nheads, headdim, d_state) -> (3, batch, nheads)."""
    flat = states.flatten(2)
    return torch.stack([flat.square().sum(-1), flat.sum(-1), flat.abs().amax(-1)])


def launch(products: str) -> dict[str, int]:
    """Warps and stages: float32 in three parts needs the registers of eight warps."""
    return {"num_warps": 8 if products == "tf32x3" else 4, "num_stages": 1}


def depth(products: str) -> int:
    """Columns of a state that are multiplied at once in :func:`read_spans`: measured to keep it free of spills."""
    return 16 if products == "tf32x3" else 32
