"""Triton: the scan of complex channels that turn as they decay (LRU, Orvieto et al. 2023, arXiv 2303.06349).

    h_t = a_t h_{t-1} + x_t B_t        y_t = h_t C_t        a_t = exp(log_decay_t), complex, one number per channel

Complex tensors are read as pairs of real numbers. A program takes a chunk of tokens and a block of channels, one token
after another, with the state in registers:

    diagonal_states   the chunk from an empty memory, and the product of its decays: a product, because a sum of angles
                      loses digits with every turn
    diagonal_carry    the states at the boundaries
    diagonal_read     the chunk again from its true start: y

A state is a single number, so its statistics are made of the boundary states as they are. No gradient.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.triton.scalar_decay.spans import SIZES
from kernels.triton.tiles import LOG2_E
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput, Telemetry, boundary_count

WIDTH = 128
"""Channels of a program."""


@triton.jit
def pair(pointer, at, inside):  # type: ignore[no-untyped-def]
    """The real and the imaginary parts of complex numbers."""
    real = tl.load(pointer + 2 * at, mask=inside, other=0.0)
    return real, tl.load(pointer + 2 * at + 1, mask=inside, other=0.0)


@triton.jit
def store_pair(pointer, at, real, imaginary, inside):  # type: ignore[no-untyped-def]
    """Store complex numbers."""
    tl.store(pointer + 2 * at, real, mask=inside)
    tl.store(pointer + 2 * at + 1, imaginary, mask=inside)


@triton.jit
def product(a, b, c, d):  # type: ignore[no-untyped-def]
    """(a + ib)(c + id)."""
    return a * c - b * d, a * d + b * c


@triton.jit(do_not_specialize=SIZES)
def diagonal_scan_chunk(  # type: ignore[no-untyped-def]
    x, B, C, log_decay, states, products, y, norms,
    seqlen, nchunks, nheads, ngroups,
    WIDTH: tl.constexpr, CHUNK: tl.constexpr, READ: tl.constexpr, NORMS: tl.constexpr,
):  # fmt: skip
    """READ: ``y``, and ``norms`` if NORMS; else what the chunk adds, to ``states[:, 1 + chunk]``, and its decay."""
    chunk, batch = tl.program_id(0), tl.program_id(2)
    channel = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = channel < nheads
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    by_head = start * nheads + channel
    by_group = start * ngroups + tl.where(inside, channel // (nheads // ngroups), 0)
    boundary = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + channel
    h, h_turn = tl.zeros([WIDTH], tl.float32), tl.zeros([WIDTH], tl.float32)
    total, total_turn = tl.full([WIDTH], 1.0, tl.float32), tl.zeros([WIDTH], tl.float32)
    if READ:
        h, h_turn = pair(states, boundary, inside)
    for _ in range(tl.minimum(seqlen - chunk * CHUNK, CHUNK)):
        size, angle = pair(log_decay, by_head, inside)
        size = tl.exp2(size * LOG2_E)
        a, a_turn = size * tl.cos(angle), size * tl.sin(angle)
        value, value_turn = pair(x, by_head, inside)
        key, key_turn = pair(B, by_group, inside)
        h, h_turn = product(a, a_turn, h, h_turn)
        write, write_turn = product(value, value_turn, key, key_turn)
        h += write
        h_turn += write_turn
        if READ:
            query, query_turn = pair(C, by_group, inside)
            read, read_turn = product(h, h_turn, query, query_turn)
            store_pair(y, by_head, read, read_turn, inside)
            if NORMS:
                tl.store(norms + by_head, tl.sqrt(h * h + h_turn * h_turn), mask=inside)
        else:
            total, total_turn = product(a, a_turn, total, total_turn)
        by_head += nheads
        by_group += ngroups
    if not READ:
        store_pair(states, boundary + nheads, h, h_turn, inside)
        store_pair(products, (batch.to(tl.int64) * nchunks + chunk) * nheads + channel, total, total_turn, inside)


@triton.jit(do_not_specialize=["nchunks", "nheads"])
def diagonal_carry(initial, states, products, nchunks, nheads, WIDTH: tl.constexpr):  # type: ignore[no-untyped-def]
    """From what the chunks add to the states at the boundaries, in place."""
    batch = tl.program_id(1)
    channel = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    inside = channel < nheads
    h, h_turn = pair(initial, batch.to(tl.int64) * nheads + channel, inside)
    boundary = batch.to(tl.int64) * (nchunks + 1) * nheads + channel
    over = batch.to(tl.int64) * nchunks * nheads + channel
    store_pair(states, boundary, h, h_turn, inside)
    for _ in range(nchunks):
        boundary += nheads
        a, a_turn = pair(products, over, inside)
        added, added_turn = pair(states, boundary, inside)
        h, h_turn = product(a, a_turn, h, h_turn)
        h += added
        h_turn += added_turn
        store_pair(states, boundary, h, h_turn, inside)
        over += nheads


def supports(inputs: ScanInputs) -> bool:
    """Whether these kernels take ``inputs``: complex64, headdim and d_state 1, and no gradient wanted."""
    one = inputs.x.shape[-1] == inputs.B.shape[-1] == inputs.log_decay.shape[-1] == 1
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs[:4])
    return inputs.low_rank is None and inputs.x.dtype == torch.complex64 and one and not wanted


def diagonal_scan(inputs: ScanInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK) -> ScanOutput:
    """Run ``inputs`` from ``memory``, all complex64; B and C may be real. The output has its telemetry.

    A complex number counts as two in mean, std and max_abs; of a decay the telemetry has the absolute value.
    Raises ValueError for inputs that :func:`supports` refuses.
    """
    if not supports(inputs):
        raise ValueError(f"no kernel for x {tuple(inputs.x.shape)} {inputs.x.dtype}, B {tuple(inputs.B.shape)}")
    numbers = [torch.view_as_real(tensor.to(torch.complex64).contiguous()) for tensor in (*inputs[:4], memory.state)]
    x, B, C, log_decay, initial = numbers
    batch, seqlen, nheads = inputs.x.shape[:3]
    ngroups = inputs.B.shape[2]
    nchunks = boundary_count(seqlen, chunk) - 1
    grid, sizes = (nchunks, triton.cdiv(nheads, WIDTH), batch), (seqlen, nchunks, nheads, ngroups)
    states = initial.new_empty(batch, nchunks + 1, nheads, 1, 1, 2)
    products = initial.new_empty(batch, nchunks, nheads, 2)
    y = torch.empty_like(x)
    norms = initial.new_empty(inputs.x.shape[:3] if token_norms else 0)
    tensors = (x, B, C, log_decay, states, products, y, norms)
    diagonal_scan_chunk[grid](*tensors, *sizes, WIDTH=WIDTH, CHUNK=chunk, READ=False, NORMS=False)
    diagonal_carry[(grid[1], batch)](initial, states, products, nchunks, nheads, WIDTH=WIDTH)
    diagonal_scan_chunk[grid](*tensors, *sizes, WIDTH=WIDTH, CHUNK=chunk, READ=True, NORMS=token_norms)
    boundaries = torch.view_as_complex(states)
    telemetry = statistics(states, log_decay[..., 0], chunk)
    kept = norms if token_norms else None
    memory = Memory(boundaries[:, -1])
    return ScanOutput(torch.view_as_complex(y), boundaries, memory, kept, inputs.log_decay, telemetry)


def statistics(states: Tensor, log_decay: Tensor, chunk: int) -> Telemetry:
    """Of states (batch, n, nheads, 1, 1, 2) and real log_decay (batch, seqlen, nheads, 1)."""
    pairs = states.flatten(3)
    parts = log_decay[..., 0].split(chunk, dim=1)
    return Telemetry(
        norm=pairs.square().sum(-1).sqrt(),
        mean=pairs.mean(-1),
        std=pairs.std(-1, correction=0),
        max_abs=pairs.abs().amax(-1),
        log_decay=torch.stack([part.mean(1) for part in parts], dim=1),
        decay=torch.stack([part.exp().mean(1) for part in parts], dim=1),
    )
