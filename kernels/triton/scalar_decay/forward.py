"""Triton: the scan with one decay per head (Mamba-2, Dao & Gu 2024, arXiv 2405.21060), which records while it scans.

The equations are those of :mod:`kernels.cpu.chunked_scalar`. A head's state passes through memory once per span of SPAN
tokens, and inside a span from chunk to chunk (:mod:`.spans`):

    span_states   x^T (B o decay to the span's end), what every span adds, and the mean decay of every chunk
    pass_states   of :mod:`kernels.triton.boundaries`, h <- decay h + what a span adds: a program per slice of a state
    read_spans    y and all that is recorded: statistics of every boundary state, those that are wanted, norms

A bound on the norm at every boundary has spans of one chunk, and passes a whole head at once.

Tensors are contiguous, so sizes and no strides are passed, and sizes are not specialised: one binary per dtype,
headdim, d_state and chunk, whatever the model.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
from torch import Tensor

from kernels.triton.boundaries import Rows, carry_spans, carry_states, mean_log_decay, statistics
from kernels.triton.scalar_decay.spans import read_spans, span_states
from kernels.triton.shapes import takes
from kernels.triton.tiles import PRODUCTS_OF, products_of
from kernels.types import ScanInputs, boundary_count

SPAN = 256
"""Tokens between two states that pass through memory from kernel to kernel, as many as mamba_ssm has."""

CHUNKS = (16, 32, 64, 128)
"""Lengths of a chunk."""


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
    boundaries: Tensor | None = None
    parts: int = 1


def forward(inputs: ScanInputs, initial: Tensor, options: Options) -> tuple[Tensor, ...]:
    """y, boundary states, token norms, the six tensors of :class:`Telemetry`, and log2 decay over every chunk."""
    x, B, C, log_decay = inputs[:4]
    batch, seqlen, nheads, headdim = x.shape
    ngroups, d_state = B.shape[2:]
    chunk, limit, parts = options.chunk, options.limit, options.parts
    nchunks = boundary_count(seqlen, chunk) - 1
    span = chunks_of_span(chunk) if limit is None else 1
    nspans = triton.cdiv(nchunks, span)
    rows = Rows.of(initial, nchunks, span, options.boundaries)
    sizes, factors = (seqlen, nchunks, nheads, ngroups, rows.every, rows.last), (options.decay, options.insertion)
    products = products_of(x)
    tile = {"HEADDIM": headdim, "D_STATE": d_state, "CHUNK": chunk, "SPAN": span, "PRODUCTS": products}
    totals, decays = initial.new_empty(2, batch, nchunks, nheads)
    span_totals = initial.new_empty(batch, nspans, nheads)
    span_states[nspans, nheads, batch](
        x, B, log_decay, rows.states, totals, decays, span_totals, *sizes, 1, *factors, **tile, REVERSE=False,
        num_warps=8, num_stages=1,
    )  # fmt: skip
    if limit is None:
        carry_spans(initial, rows.states, span_totals[..., None], rows.every)
    else:  # which acts at every boundary, and bounds a head, not its parts
        whole = rows.states.unflatten(2, (-1, parts)).flatten(3, 4)
        carry_states(initial, whole, totals[..., ::parts, None].contiguous(), limit)
    y = initial.new_empty(x.shape)
    sums = initial.new_empty(3, batch, nchunks + 1, nheads)
    sums[:, :, -1] = sums_of(rows.states[:, -1])
    norms = initial.new_empty(x.shape[:3] if options.token_norms else 0)
    read_spans[nspans, nheads, batch](
        x, B, C, log_decay, rows.states, rows.slots, rows.kept, y, *sums, norms, *sizes, rows.kept.shape[1], *factors,
        **tile, DEPTH=min(depth(products), d_state), NORMS=options.token_norms, **launch(products, options.token_norms),
    )  # fmt: skip
    squares, summed, most = sums.unflatten(-1, (-1, parts)).unbind()
    norm, mean, std, largest = statistics(squares, summed, most, parts * headdim * d_state)
    mean_log = mean_log_decay(totals[..., None], seqlen, chunk)
    return y, rows.close(), norms, norm, mean, std, largest, mean_log, decays, totals


def chunks_of_span(chunk: int) -> int:
    """Chunks between two states that pass through memory."""
    return max(1, SPAN // chunk)


def sums_of(states: Tensor) -> Tensor:
    """Sum of squares, sum, largest element: (batch, nheads, headdim, d_state) -> (3, batch, nheads)."""
    flat = states.flatten(2)
    return torch.stack([flat.square().sum(-1), flat.sum(-1), flat.abs().amax(-1)])


def launch(products: str, more: bool = False) -> dict[str, int]:
    """Warps and stages: float32 in three parts, and a kernel that does ``more``, need the registers of eight warps."""
    return {"num_warps": 8 if more or products == "tf32x3" else 4, "num_stages": 1}


def depth(products: str) -> int:
    """Columns of a state that are multiplied at once in :func:`read_spans`: measured to keep it free of spills."""
    return 16 if products == "tf32x3" else 32
