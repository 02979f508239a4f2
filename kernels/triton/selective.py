"""Triton: the scan of heads one channel wide, with a decay per channel and state (Mamba-1) or per channel (RG-LRU).

    h_t = a_t h_{t-1} + x_t B_t        y_t = h_t . C_t        h a vector of d_state per channel

Nothing here is a matrix product; the decays are most of what there is to read. A program takes a chunk of tokens and a
block of channels one token after another, the states in registers:

    selective_states   the chunk from an empty memory: what it adds, and its decay
    carry_states       of :mod:`kernels.triton.boundaries`, with statistics
    selective_read     the chunk again from its true start: y, and on request the norm of every state

Two reads of the decays buy a chunk's length of parallel work; no product of decays is ever divided by. No gradient.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from kernels.triton.boundaries import carry_states, mean_log_decay
from kernels.triton.scalar_decay.spans import SIZES
from kernels.triton.tiles import LOG2_E, PRODUCTS_OF
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput, Telemetry, boundary_count

TILE = 512
"""States that one program holds: two for every thread."""


@triton.jit
def selective_places(start, nheads, ngroups, D_STATE: tl.constexpr, WIDTH: tl.constexpr, CHANNELS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Channels of this program, and where its first token's x, B and decays are."""
    channel, state = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH), tl.arange(0, D_STATE)
    inside = channel < nheads
    group = tl.where(inside, channel // (nheads // ngroups), 0)
    key = (start * ngroups + group[:, None]) * D_STATE + state[None, :]
    decay = (start * nheads + channel[:, None]) * CHANNELS + state[None, :] % CHANNELS
    return channel, inside, start * nheads + channel, key, decay


@triton.jit(do_not_specialize=SIZES)
def selective_states(  # type: ignore[no-untyped-def]
    x, B, log_decay, states, totals, decays,
    seqlen, nchunks, nheads, ngroups,
    D_STATE: tl.constexpr, WIDTH: tl.constexpr, CHANNELS: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """What each chunk adds to the state, to ``states[:, 1 + chunk]``, and its log2 and mean decay."""
    chunk, batch = tl.program_id(0), tl.program_id(2)
    count = tl.minimum(seqlen - chunk * CHUNK, CHUNK)
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    channel, inside, by_head, key, decay = selective_places(start, nheads, ngroups, D_STATE, WIDTH, CHANNELS)
    h = tl.zeros([WIDTH, D_STATE], tl.float32)
    total = tl.zeros([WIDTH, D_STATE], tl.float32)
    kept = tl.zeros([WIDTH, D_STATE], tl.float32)
    for _ in range(count):
        a = tl.load(log_decay + decay, mask=inside[:, None], other=0.0) * LOG2_E
        x_row = tl.load(x + by_head, mask=inside, other=0.0).to(tl.float32)
        h = h * tl.exp2(a) + x_row[:, None] * tl.load(B + key).to(tl.float32)
        total += a
        kept += tl.exp2(a)
        by_head += nheads
        key += ngroups * D_STATE
        decay += nheads * CHANNELS
    state = tl.arange(0, D_STATE)
    at = (batch.to(tl.int64) * (nchunks + 1) + chunk + 1) * nheads + channel
    tl.store(states + at[:, None] * D_STATE + state[None, :], h, mask=inside[:, None])
    at = (batch.to(tl.int64) * nchunks + chunk) * nheads + channel
    tl.store(totals + at[:, None] * D_STATE + state[None, :], total, mask=inside[:, None])
    tl.store(decays + at, tl.sum(kept, axis=1) / (count * D_STATE), mask=inside)


@triton.jit(do_not_specialize=SIZES)
def selective_read(  # type: ignore[no-untyped-def]
    x, B, C, log_decay, states, y, norms,
    seqlen, nchunks, nheads, ngroups,
    D_STATE: tl.constexpr, WIDTH: tl.constexpr, CHANNELS: tl.constexpr, CHUNK: tl.constexpr, NORMS: tl.constexpr,
):  # fmt: skip
    """``y`` of one chunk and block of channels, and the norm of every state if NORMS."""
    chunk, batch = tl.program_id(0), tl.program_id(2)
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    channel, inside, by_head, key, decay = selective_places(start, nheads, ngroups, D_STATE, WIDTH, CHANNELS)
    at = (batch.to(tl.int64) * (nchunks + 1) + chunk) * nheads + channel
    by_state = at[:, None] * D_STATE + tl.arange(0, D_STATE)[None, :]
    h = tl.load(states + by_state, mask=inside[:, None], other=0.0)
    for _ in range(tl.minimum(seqlen - chunk * CHUNK, CHUNK)):
        a = tl.load(log_decay + decay, mask=inside[:, None], other=0.0) * LOG2_E
        x_row = tl.load(x + by_head, mask=inside, other=0.0).to(tl.float32)
        h = h * tl.exp2(a) + x_row[:, None] * tl.load(B + key).to(tl.float32)
        tl.store(y + by_head, tl.sum(h * tl.load(C + key).to(tl.float32), axis=1), mask=inside)
        if NORMS:
            tl.store(norms + by_head, tl.sqrt(tl.sum(h * h, axis=1)), mask=inside)
        by_head += nheads
        key += ngroups * D_STATE
        decay += nheads * CHANNELS


def supports(inputs: ScanInputs) -> bool:
    """Whether these kernels take ``inputs``: headdim 1, real, a power of two for d_state, and no gradient wanted."""
    d_state = inputs.B.shape[-1]
    return (
        inputs.low_rank is None
        and inputs.x.dtype in PRODUCTS_OF
        and inputs.x.shape[-1] == 1
        and d_state in (1, 2, 4, 8, 16, 32, 64, 128)
        and inputs.log_decay.shape[-1] in (1, d_state)
        and not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs[:4]))
    )


def selective_scan(inputs: ScanInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK) -> ScanOutput:
    """Run ``inputs`` from ``memory``; see :mod:`kernels.types` for every shape. The output has its telemetry.

    Sums are float32 whatever the dtype of x. Raises ValueError for inputs that :func:`supports` refuses.
    """
    if not supports(inputs):
        raise ValueError(f"no kernel for x {tuple(inputs.x.shape)} {inputs.x.dtype}, B {tuple(inputs.B.shape)}")
    assert inputs.log_decay.dtype == memory.state.dtype == torch.float32
    x, B, C, log_decay = (tensor.contiguous() for tensor in inputs[:4])
    batch, seqlen, nheads, _ = x.shape
    ngroups, d_state = B.shape[2:]
    nchunks = boundary_count(seqlen, chunk) - 1
    initial = memory.state.detach().contiguous()
    width = min(triton.next_power_of_2(nheads), max(1, TILE // d_state))
    tile = {"D_STATE": d_state, "WIDTH": width, "CHANNELS": log_decay.shape[-1], "CHUNK": chunk}
    grid, sizes = (nchunks, triton.cdiv(nheads, width), batch), (seqlen, nchunks, nheads, ngroups)

    states = initial.new_empty(batch, nchunks + 1, nheads, 1, d_state)
    totals, decays = initial.new_empty(batch, nchunks, nheads, d_state), initial.new_empty(batch, nchunks, nheads)
    selective_states[grid](x, B, log_decay, states, totals, decays, *sizes, **tile)
    statistics = carry_states(initial, states, totals)
    y = initial.new_empty(x.shape)
    norms = initial.new_empty(x.shape[:3] if token_norms else 0)
    selective_read[grid](x, B, C, log_decay, states, y, norms, *sizes, **tile, NORMS=token_norms)
    telemetry = Telemetry(*statistics, mean_log_decay(totals, seqlen, chunk), decays)
    return ScanOutput(y, states, Memory(states[:, -1]), norms if token_norms else None, inputs.log_decay, telemetry)
