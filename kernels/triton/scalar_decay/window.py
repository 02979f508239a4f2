"""Triton: the scan of a sliding window with one decay per head: the state of the last R tokens alone, summed afresh.

The operator is that of :mod:`kernels.cpu.windowed`; here the grid of chunks starts at the piece's first token, and the
last R - 1 tokens before it are put in front. With R = whole * CHUNK + rest, query i of a chunk sees

    old tokens     the last ``rest`` of the chunk whole + 1 before, and the chunk whole before: those with o > i
    whole chunks   the whole - 1 before it, as one state
    local tokens   as in :mod:`kernels.triton.scalar_decay.forward`

Tokens are read once more by the chunk that they leave, and chunk states are carried, never scanned again:

    span_states        of :mod:`.spans`, a chunk at a time, the tokens in front included
    window_sums        the sum of the whole - 1 states before every chunk: the end of a block and the start of the next
    window_boundaries  the window at every boundary, with its statistics
    window_read        y

Nothing that has left the window is subtracted, so nothing cancels. No gradient, no norms between boundaries.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn import functional as F

from kernels.triton.boundaries import mean_log_decay, slice_of
from kernels.triton.scalar_decay.forward import CHUNKS, depth, launch, supports
from kernels.triton.scalar_decay.spans import SIZES, span_states
from kernels.triton.shapes import Fit
from kernels.triton.tiles import LOG2_E, causal, dot, products_of, rows_of, running_decay, state_at, store_rows
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput, Telemetry, boundary_count

PLACES = ["past", "whole", "rest", "left"]


@triton.jit(do_not_specialize=["nchunks", "nheads", "past", "width"])
def window_sums(  # type: ignore[no-untyped-def]
    states, totals, sums,
    nchunks, nheads, past, width,
    ELEMENTS: tl.constexpr, SLICE: tl.constexpr,
):  # fmt: skip
    """``sums`` (batch, nchunks, nheads, ELEMENTS): the ``width`` chunk states before every chunk, decayed to it.

    Blocks of ``width`` chunks, the first before the piece: a window is the end of one block and the start of the next.
    """
    part, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    element = part * SLICE + tl.arange(0, SLICE)
    all_chunks = past + nchunks
    states += (batch.to(tl.int64) * (all_chunks + 1) * nheads + head) * ELEMENTS + element
    totals += batch.to(tl.int64) * all_chunks * nheads + head
    sums += (batch.to(tl.int64) * nchunks * nheads + head) * ELEMENTS + element
    stride = (nheads * ELEMENTS).to(tl.int64)
    for block in range((nchunks + width - 1) // width):
        ending = tl.zeros([SLICE], tl.float32)
        log2_kept = 0.0
        for back in range(width):
            place = block * width + width - 1 - back
            ending += tl.load(states + (past - width + place) * stride) * tl.exp2(log2_kept)
            log2_kept += tl.load(totals + (past - width + place) * nheads)
            if place < nchunks:
                tl.store(sums + place * stride, ending)
        tl.debug_barrier()  # what was stored is loaded again, maybe by another thread
        beginning = tl.zeros([SLICE], tl.float32)
        log2_kept = 0.0
        for step in range(tl.minimum(width, nchunks - block * width)):
            place = block * width + step
            summed = tl.load(sums + place * stride) * tl.exp2(log2_kept) + beginning
            tl.store(sums + place * stride, summed)
            total = tl.load(totals + (past + place) * nheads)
            beginning = beginning * tl.exp2(total) + tl.load(states + (past + place) * stride)
            log2_kept += total


@triton.jit
def decay_to_span(log_decay, start, head, nheads, span, CHUNK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Decay of the tokens of a whole chunk to a place ``span`` after its end, (CHUNK,)."""
    a = tl.load(log_decay + (start + tl.arange(0, CHUNK)) * nheads + head)
    high, low, end, end_low = running_decay(a * LOG2_E)
    return tl.exp2((end - high) + (end_low - low) + span)


@triton.jit(do_not_specialize=[*SIZES, *PLACES])
def window_boundaries(  # type: ignore[no-untyped-def]
    x, B, log_decay, states, totals, sums, spans, initial, boundaries, statistics,
    seqlen, nchunks, nheads, ngroups, past, whole, rest, left,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """The window after every chunk, to ``boundaries[:, 1 + chunk]``, and the sums that its statistics need."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, group = tl.arange(0, CHUNK), head // (nheads // ngroups)
    count = tl.minimum(seqlen - chunk * CHUNK, CHUNK)
    here = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
    h = tl.load(sums + state_at(here, HEADDIM, D_STATE, D_STATE))
    for age in range(2):
        start = batch.to(tl.int64) * (past * CHUNK + seqlen) + (past + chunk - whole - age) * CHUNK
        weight = decay_to_span(log_decay, start, head, nheads, tl.load(spans + here * 3 + age), CHUNK)
        order = token + rest - age * CHUNK
        weight = tl.where(order >= count, weight, 0.0)
        x_tile = rows_of(x + (start * nheads + head) * HEADDIM, token, nheads * HEADDIM, CHUNK, HEADDIM)
        B_tile = rows_of(B + (start * ngroups + group) * D_STATE, token, ngroups * D_STATE, CHUNK, D_STATE)
        h += dot(tl.trans(x_tile * weight[:, None]), B_tile, PRODUCTS)
    if chunk * CHUNK + count <= left:
        first = tl.load(initial + state_at(batch.to(tl.int64) * nheads + head, HEADDIM, D_STATE, D_STATE))
        h += first * tl.exp2(tl.load(spans + here * 3 + 2))
    at = (batch.to(tl.int64) * (past + nchunks) + past + chunk) * nheads + head
    added = (batch.to(tl.int64) * (past + nchunks + 1) + past + chunk) * nheads + head
    h = h * tl.exp2(tl.load(totals + at)) + tl.load(states + state_at(added, HEADDIM, D_STATE, D_STATE))
    at = (batch.to(tl.int64) * (nchunks + 1) + chunk + 1) * nheads + head
    tl.store(boundaries + state_at(at, HEADDIM, D_STATE, D_STATE), h)
    tl.store(statistics + at * 3, tl.sum(tl.sum(h * h, axis=1), axis=0))
    tl.store(statistics + at * 3 + 1, tl.sum(tl.sum(h, axis=1), axis=0))
    tl.store(statistics + at * 3 + 2, tl.max(tl.max(tl.abs(h), axis=1), axis=0))


@triton.jit(do_not_specialize=[*SIZES, *PLACES])
def window_read(  # type: ignore[no-untyped-def]
    x, B, C, log_decay, sums, spans, initial, y,
    seqlen, nchunks, nheads, ngroups, past, whole, rest, left,
    HEADDIM: tl.constexpr, D_STATE: tl.constexpr, DEPTH: tl.constexpr, CHUNK: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """``y`` of one chunk and head: old tokens, whole chunks, local tokens, and the initial state while it is seen."""
    chunk, head, batch = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    token, group = tl.arange(0, CHUNK), head // (nheads // ngroups)
    count = seqlen - chunk * CHUNK
    here = (batch.to(tl.int64) * nchunks + chunk) * nheads + head
    start = batch.to(tl.int64) * seqlen + chunk * CHUNK
    padded = batch.to(tl.int64) * (past * CHUNK + seqlen) + (past + chunk) * CHUNK
    C += (start * ngroups + group) * D_STATE

    # 1. What is before the chunk, decayed to its start.
    read = tl.zeros([CHUNK, HEADDIM], tl.float32)
    for deep in range(0, D_STATE, DEPTH):
        C_tile = rows_of(C + deep, token, ngroups * D_STATE, count, DEPTH)
        h = tl.load(sums + state_at(here, HEADDIM, DEPTH, D_STATE) + deep)
        read += dot(C_tile, tl.trans(h), PRODUCTS)
    if chunk * CHUNK < left:
        first = tl.zeros([CHUNK, HEADDIM], tl.float32)
        for deep in range(0, D_STATE, DEPTH):
            C_tile = rows_of(C + deep, token, ngroups * D_STATE, count, DEPTH)
            h = tl.load(initial + state_at(batch.to(tl.int64) * nheads + head, HEADDIM, DEPTH, D_STATE) + deep)
            first += dot(C_tile, tl.trans(h), PRODUCTS)
        seen = chunk * CHUNK + token < left
        read += tl.where(seen[:, None], first * tl.exp2(tl.load(spans + here * 3 + 2)), 0.0)
    for age in range(2):
        old = padded - (whole + age) * CHUNK
        scores = tl.zeros([CHUNK, CHUNK], tl.float32)
        for deep in range(0, D_STATE, DEPTH):
            C_tile = rows_of(C + deep, token, ngroups * D_STATE, count, DEPTH)
            B_tile = rows_of(B + (old * ngroups + group) * D_STATE + deep, token, ngroups * D_STATE, CHUNK, DEPTH)
            scores += dot(C_tile, tl.trans(B_tile), PRODUCTS)
        weight = decay_to_span(log_decay, old, head, nheads, tl.load(spans + here * 3 + age), CHUNK)
        order = token + rest - age * CHUNK
        scores = tl.where(order[None, :] > token[:, None], scores * weight[None, :], 0.0)
        x_tile = rows_of(x + (old * nheads + head) * HEADDIM, token, nheads * HEADDIM, CHUNK, HEADDIM)
        read += dot(scores, x_tile, PRODUCTS)

    # 2. The chunk itself.
    scores = tl.zeros([CHUNK, CHUNK], tl.float32)
    for deep in range(0, D_STATE, DEPTH):
        C_tile = rows_of(C + deep, token, ngroups * D_STATE, count, DEPTH)
        B_tile = rows_of(B + (padded * ngroups + group) * D_STATE + deep, token, ngroups * D_STATE, count, DEPTH)
        scores += dot(C_tile, tl.trans(B_tile), PRODUCTS)
    a = tl.load(log_decay + (padded + token) * nheads + head, mask=token < count, other=0.0)
    high, low, _end, _end_low = running_decay(a * LOG2_E)
    x_tile = rows_of(x + (padded * nheads + head) * HEADDIM, token, nheads * HEADDIM, count, HEADDIM)
    read = read * tl.exp2(high + low)[:, None] + dot(scores * causal(high, low, CHUNK), x_tile, PRODUCTS)
    store_rows(y + (start * nheads + head) * HEADDIM, token, nheads * HEADDIM, count, read, HEADDIM)


class Past(NamedTuple):
    """What a window carries: its last tokens, the state before the document, and the log2 decay since.

    ``place`` (batch, 3), on the CPU: tokens that were read, the window, the chunk.
    """

    x: Tensor
    B: Tensor
    log_decay: Tensor
    initial: Tensor
    since: Tensor
    place: Tensor


def carries(memory: Memory) -> bool:
    """Whether ``memory`` is at the start of a document, or left by :func:`scalar_window_scan`."""
    if not memory.past:
        return True
    place = memory.past[-1]
    return len(memory.past) == len(Past._fields) and place.dtype == torch.int64 and place.shape[-1] == 3


def scalar_window_scan(inputs: ScanInputs, memory: Memory, window: int, *, chunk: int = CHUNK) -> ScanOutput:
    """Run ``inputs`` from ``memory``, remembering the last ``window`` tokens, the initial state as one before them.

    The window is at least a chunk. Raises ValueError for a shorter one, for inputs that
    :func:`kernels.triton.scalar_decay.forward.supports` refuses, and for a memory of another window.
    """
    if not supports(inputs) or chunk not in CHUNKS or window < chunk or not carries(memory):
        raise ValueError(f"no kernel for x {tuple(inputs.x.shape)} {inputs.x.dtype}, a window of {window}")
    given, fit = inputs, Fit.of(inputs)
    inputs, memory = fit.inputs(inputs), Memory(fit.state(memory.state), memory.past)
    batch, seqlen, nheads, headdim = inputs.x.shape
    ngroups, d_state = inputs.B.shape[2:]
    past = Past(*memory.past) if memory.past else begin(inputs, memory.state, window, chunk)
    position, before, before_chunk = past.place[0].tolist()
    if (before, before_chunk) != (window, chunk):
        raise ValueError(f"this memory is of a window of {before} in chunks of {before_chunk}, not {window}, {chunk}")
    whole, rest = divmod(window, chunk)
    front = whole + 1
    nchunks = boundary_count(seqlen, chunk) - 1

    # 1. Chunk states, of the tokens in front too; the decay from every old place to every chunk.
    def in_front(old: Tensor, new: Tensor) -> Tensor:
        fill = front * chunk - old.shape[1]
        return torch.cat([F.pad(old, (0, 0, 0, 0, fill, 0)), new], dim=1).contiguous()

    x, B, log_decay = (in_front(*pair) for pair in zip(past[:3], (inputs.x, inputs.B, inputs.log_decay), strict=True))
    products, everything = products_of(x), front + nchunks
    tile = {"HEADDIM": headdim, "D_STATE": d_state, "CHUNK": chunk, "PRODUCTS": products}
    how, initial = launch(products), past.initial
    states = initial.new_empty(batch, everything + 1, nheads, headdim, d_state)
    totals, decays = initial.new_empty(2, batch, everything, nheads)
    span_states[(everything, nheads, batch)](
        x, B, log_decay, states, totals, decays, totals, x.shape[1], everything, nheads, ngroups, 1, everything, 0,
        1.0, 1.0, **tile, SPAN=1, REVERSE=False, **how,
    )  # fmt: skip
    running = F.pad(totals.double().cumsum(1), (0, 0, 1, 0))  # (batch, everything + 1, nheads): log2 decay before
    at = torch.arange(front, everything, device=x.device)
    ends = [running[:, at - whole + 1], running[:, at - whole], running[:, [front]] - past.since[:, None]]
    spans = (running[:, at, :, None] - torch.stack([end.expand(-1, nchunks, -1) for end in ends], dim=-1)).float()

    # 2. Sums of whole chunks, boundaries, y.
    sums = initial.new_zeros(batch, nchunks, nheads, headdim, d_state)
    elements = headdim * d_state
    part = slice_of(elements)
    if whole > 1:
        window_sums[(elements // part, nheads, batch)](
            states, totals, sums, nchunks, nheads, front, whole - 1, ELEMENTS=elements, SLICE=part
        )
    boundaries = initial.new_empty(batch, nchunks + 1, nheads, headdim, d_state)
    boundaries[:, 0] = memory.state
    statistics = initial.new_empty(batch, nchunks + 1, nheads, 3)
    first = memory.state.flatten(2)
    statistics[:, 0] = torch.stack([first.square().sum(-1), first.sum(-1), first.abs().amax(-1)], dim=-1)
    sizes = (seqlen, nchunks, nheads, ngroups, front, whole, rest, max(0, window - 1 - position))
    grid = (nchunks, nheads, batch)
    window_boundaries[grid](
        x, B, log_decay, states, totals, sums, spans, initial, boundaries, statistics, *sizes, **tile, **how
    )  # fmt: skip
    y = initial.new_empty(inputs.x.shape)
    window_read[grid](
        x, B, inputs.C.contiguous(), log_decay, sums, spans, initial, y, *sizes,
        **tile, DEPTH=min(depth(products), d_state), **how,
    )  # fmt: skip

    # 3. What is carried on.
    squared, mean, largest = statistics[..., 0], statistics[..., 1] / elements, statistics[..., 2]
    std = (squared / elements - mean.square()).clamp_min(0).sqrt()
    mean_log = mean_log_decay(totals[:, front:, :, None], seqlen, chunk)
    telemetry = Telemetry(squared.sqrt(), mean, std, largest, mean_log, decays[:, front:])
    kept = min(position + seqlen, window - 1)
    newest = [tensor[:, tensor.shape[1] - kept :].clone() for tensor in (x, B, log_decay)]
    since = past.since + running[:, -1] - running[:, front]
    place = past.place + torch.tensor([seqlen, 0, 0], device=past.place.device)
    carried = Memory(boundaries[:, -1], (*newest, initial, since, place))
    return fit.output(ScanOutput(y, boundaries, carried, None, inputs.log_decay, telemetry), given)


def begin(inputs: ScanInputs, state: Tensor, window: int, chunk: int) -> Past:
    """Nothing read yet, and ``state`` before it."""
    x, B, _, log_decay = (tensor[:, :0] for tensor in inputs[:4])
    since = state.new_zeros(state.shape[:2], dtype=torch.float64)
    place = torch.tensor([[0, window, chunk]]).expand(len(state), 3)
    return Past(x, B, log_decay, state.contiguous(), since, place)
