"""The scan in chunk-parallel PyTorch: matrix products inside a chunk, a short loop over chunks.

The recurrence is that of :mod:`kernels.types`, here for one decay per head (the SSD form of Mamba-2, Dao & Gu 2024,
arXiv 2405.21060). With g_i the running sum of log_decay within a chunk and h_0 the state at its start:

    y_i = sum_{j <= i} exp(g_i - g_j) (C_i . B_j) x_j  +  exp(g_i) h_0 C_i
    h_chunk = exp(g_last) h_0 + sum_j exp(g_last - g_j) x_j B_j^T

It is differentiable, takes any length and any initial state, and is the path of training and of every CPU.
Three choices carry its speed. Decay is scaled to base two, because ``exp2`` stays fast where ``exp`` underflows. The
state is laid out as (d_state, nheads * headdim) meanwhile, so that all heads of a group share one product. And where
a chunk forgets little, the decay between two of its tokens is taken apart,

    y_i = exp(g_i) (sum_{j <= i} (C_i . B_j) exp(-g_j) x_j  +  h_0 C_i)

so that the scores, too, are one matrix for all heads of a group. A head that forgets so much within one chunk that
exp(-g_j) could overflow is steep: its scores are weighted pair by pair, in which every exponent is at most zero. How
much that is depends on how large the inputs are (:func:`room`); of inputs so large that a product could overflow
although it decays afterwards, the whole scan is in float64.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput

LOG2_E = 1.4426950408889634

STEEP = 256.0
"""A sum of log2 decay in a chunk from which float32 differences of sums would cost digits (2^-24 * 256 = 1.5e-5)."""


GENTLE = 90.0
"""A sum of log2 decay in a chunk up to which 2^GENTLE may stand in a product of inputs of ordinary size."""

LARGEST = 125.0
"""Log2 of what float32 and bfloat16 hold, less their roundings."""


class Chunks(NamedTuple):
    """A segment cut into chunks; ``rows`` is batch * nchunks * ngroups, ``width`` is (nheads / ngroups) * headdim.

    ``x`` (rows, chunk, width); ``B``, ``C`` (rows, chunk, d_state); ``decay`` (rows, chunk, heads of a group): running
    sum of log2 decay within the chunk, in float64: its differences matter, and a token that resets a head may make
    the sum large.
    """

    x: Tensor
    B: Tensor
    C: Tensor
    decay: Tensor


def chunked_scalar_scan(
    inputs: ScanInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK
) -> ScanOutput:
    """Run ``inputs`` from ``memory``; see :mod:`kernels.types` for every shape.

    Matrix products run in the dtype of ``inputs.x``, those of float16 in float32; states and sums in float32, or in
    float64 if x is float64.
    """
    inputs = without_float16(inputs)
    free = room(inputs, memory.state, token_norms)
    if free < 0:
        return _in_float64(inputs, memory, token_norms, chunk)
    batch, seqlen, nheads, headdim = inputs.x.shape
    ngroups, d_state = inputs.B.shape[2:]
    chunk = min(chunk, seqlen)
    nchunks = -(-seqlen // chunk)
    heads = nheads // ngroups
    compute = inputs.x.dtype
    state = memory.state
    chunks = cut(inputs, chunk)
    steep = steep_heads(chunks.decay, free)

    # 1. What each chunk adds to the state: (batch, nchunks, ngroups, d_state, width). What is written is scaled to
    #    the chunk's start, as if nothing decayed in between; that of a steep head to the chunk's end.
    last = chunks.decay[:, -1:]
    origin = torch.zeros_like(last)
    origin[..., steep] = last[..., steep]
    written = scale_heads(chunks.x, torch.exp2(origin - chunks.decay).to(state.dtype))
    additions = torch.bmm(chunks.B.transpose(1, 2), written).to(state.dtype)
    additions = additions.view(batch, nchunks, ngroups, d_state, heads * headdim)

    # 2. The state at every boundary: the only loop.
    last, origin = (decay.view(batch, nchunks, ngroups, heads) for decay in (last, origin))
    additions = scaled(additions, over_width(last - origin, additions))
    over_chunk = over_width(last, additions)
    packed = carry(pack_state(state, ngroups), additions, over_chunk)  # (batch, nchunks + 1, ngroups, d_state, width)

    # 3. Read: from the state at a chunk's start, and within the chunk. With norms asked for, B reads beside C.
    reader = torch.cat([chunks.C, chunks.B], dim=1) if token_norms else chunks.C
    readers = reader.shape[1] // chunk
    start = packed[:, :-1].reshape(-1, d_state, heads * headdim).to(compute)
    scores = torch.bmm(reader, chunks.B.transpose(1, 2))
    scores.view(-1, readers, chunk, chunk).tril_()
    read = torch.baddbmm(torch.bmm(reader, start), scores, written).to(state.dtype)
    grown = torch.exp2(chunks.decay).to(state.dtype).repeat(1, readers, 1)
    read = scaled(read.view(-1, reader.shape[1], heads, headdim), grown[..., None])
    if steep:
        pair_by_pair = _steep_read(chunks, steep, reader, scores, start)
        copy = read.index_copy if torch.is_grad_enabled() else read.index_copy_
        read = copy(2, torch.tensor(steep, device=read.device), pair_by_pair)
    y = join_heads(read[:, :chunk], batch, ngroups, seqlen)

    norms = None
    if token_norms:
        norms = _token_norms(chunks, steep, read[:, chunk:], start)
        norms = join_heads(norms[..., None], batch, ngroups, seqlen).squeeze(-1)
    states = unpack_states(packed, headdim)
    return ScanOutput(y, states, Memory(states[:, -1]), norms, inputs.log_decay)


def room(inputs: ScanInputs, state: Tensor, token_norms: bool) -> float:
    """Log2 of the factor that every product of the scan has room for, up to GENTLE; below 0 if one could overflow.

    By Cauchy and Schwarz: no state is larger than the norm of the first one plus those of x and B multiplied. Norms,
    because they are the cheapest bound that one pass finds.
    """
    if inputs.x.dtype == torch.float64 or not inputs.x.numel():
        return GENTLE
    norms = [torch.linalg.vector_norm(tensor.detach()).double() for tensor in (*inputs[:3], state)]
    x, B, C, start = torch.stack(norms).tolist()
    reached = max(start + x * B, x, B, 1.0)
    needed = math.log2(reached) + math.log2(max(B, C, 1.0))
    if token_norms:
        needed = max(needed, 2 + 2 * math.log2(reached))
    return GENTLE if math.isnan(needed) else min(GENTLE, LARGEST - needed)


def without_float16(inputs: ScanInputs) -> ScanInputs:
    """float16 as float32: its products overflow where what they add up to, or what is left of it, does not."""
    if inputs.x.dtype != torch.float16:
        return inputs
    return inputs.map(Tensor.float)


def _in_float64(inputs: ScanInputs, memory: Memory, token_norms: bool, chunk: int) -> ScanOutput:
    """The scan in float64, its results in the dtype of the state."""
    dtype = memory.state.dtype
    wide = chunked_scalar_scan(inputs.map(Tensor.double), Memory(memory.state.double()), token_norms, chunk=chunk)
    states = wide.boundary_states.to(dtype)
    norms = None if wide.token_norms is None else wide.token_norms.to(dtype)
    return ScanOutput(wide.y.to(dtype), states, Memory(states[:, -1]), norms, inputs.log_decay)


def steep_heads(decay: Tensor, free: float = GENTLE) -> list[int]:
    """Heads of a group that forget more than 2^``free`` in some chunk: decay (rows, chunk, heads) -> their places."""
    if decay.numel() == 0:
        return []
    return (decay.detach()[:, -1].amin(0) < -free).nonzero()[:, 0].tolist()


def _steep_read(chunks: Chunks, steep: list[int], reader: Tensor, scores: Tensor, start: Tensor) -> Tensor:
    """What is read of the ``steep`` heads: (rows, readers, steep heads, headdim), all else as above."""
    rows, chunk, heads = chunks.decay.shape
    dtype, readers = start.dtype, reader.shape[1] // chunk
    decay = chunks.decay[..., steep]
    sums = torch.promote_types(dtype, torch.float32)
    weights = causal_decay(decay, sums).unsqueeze(2)  # (rows, steep heads, 1, chunk, chunk)
    # In bfloat16 every factor is rounded before the product: promoting the other would cost a pass over memory.
    mixed = (scores.view(rows, 1, readers, chunk, chunk) * weights.to(dtype)).flatten(2, 3)
    inside = torch.matmul(mixed, chunks.x.view(rows, chunk, heads, -1)[:, :, steep].transpose(1, 2)).transpose(1, 2)
    columns = start.view(rows, -1, heads, start.shape[-1] // heads)[:, :, steep]
    from_start = torch.bmm(reader, columns.flatten(2)).view(inside.shape)
    grown = torch.exp2(decay).to(sums).repeat(1, readers, 1)[..., None]
    return torch.addcmul(inside.to(sums), from_start.to(sums), grown)


def _token_norms(chunks: Chunks, steep: list[int], read_with_B: Tensor, start: Tensor) -> Tensor:
    """The norm of every state without forming one: (rows, chunk, heads).

    With s_i = B_i^T h_i x_i, what B reads from the state dotted with what is written, and w_i = |B_i|^2 |x_i|^2:

        |h_i|^2 = a_i^2 |h_{i-1}|^2 + 2 s_i - w_i

    a scalar recurrence, here as a running sum scaled to the chunk's start, for a steep head as a product with the
    squared decays between any two tokens; and anchored at each chunk's own start.
    """
    rows, chunk, heads, headdim = read_with_B.shape
    x = chunks.x.to(read_with_B.dtype).view(rows, chunk, heads, headdim)
    written = chunks.B.to(x.dtype).square().sum(-1, keepdim=True) * x.square().sum(-1)
    gain = (2 * (read_with_B * x).sum(-1) - written).double()
    anchor = start.to(x.dtype).view(rows, -1, heads, headdim).square().sum((1, 3))[:, None]
    kept = torch.exp2(2 * chunks.decay)
    squared = (gain * torch.exp2(-2 * chunks.decay.clamp_min(-GENTLE))).cumsum(1) * kept
    if steep:
        weights = causal_decay(2 * chunks.decay[..., steep], x.dtype)
        inside = torch.matmul(weights, gain[..., steep].to(x.dtype).transpose(1, 2)[..., None]).squeeze(-1)
        squared[..., steep] = inside.transpose(1, 2).double()
    return torch.addcmul(squared, anchor.double(), kept).clamp_min(0).sqrt().to(x.dtype)


def scaled(tensor: Tensor, factor: Tensor) -> Tensor:
    """``tensor`` times ``factor``, in place where no gradient is wanted."""
    return tensor * factor if torch.is_grad_enabled() else tensor.mul_(factor)


def over_width(log_factor: Tensor, state: Tensor) -> Tensor:
    """2 to the power of (..., heads), for each column of a state (..., d_state, width): (..., 1, width)."""
    factor = torch.exp2(log_factor).to(state.dtype)
    return factor.repeat_interleave(state.shape[-1] // factor.shape[-1], dim=-1).unsqueeze(-2)


def carry(state: Tensor, additions: Tensor, decay: Tensor) -> Tensor:
    """The state before every chunk and after the last: (batch, ...), twice (batch, n, ...) -> (batch, n + 1, ...)."""
    batch, count = additions.shape[:2]
    if torch.is_grad_enabled():
        states = [state]
        for index in range(count):
            states.append(torch.addcmul(additions[:, index], states[-1], decay[:, index]))
        return torch.stack(states, dim=1)
    carried = additions.new_empty(batch, count + 1, *additions.shape[2:])
    carried[:, 0] = state
    for index in range(count):
        torch.addcmul(additions[:, index], carried[:, index], decay[:, index], out=carried[:, index + 1])
    return carried


def cut(inputs: ScanInputs, chunk: int) -> Chunks:
    """Cut a segment into chunks; the last is filled up with tokens that write nothing and decay nothing."""
    batch, seqlen, nheads, headdim = inputs.x.shape
    ngroups, d_state = inputs.B.shape[2:]
    fill = -seqlen % chunk
    x, B, C, log_decay = inputs[:4]
    log_decay = log_decay[..., 0]
    if fill:
        x, B, C = (F.pad(tensor, (0, 0, 0, 0, 0, fill)) for tensor in (x, B, C))
        log_decay = F.pad(log_decay, (0, 0, 0, fill))
    heads = nheads // ngroups

    def by_group(tensor: Tensor, last: int) -> Tensor:
        if ngroups == 1:
            return tensor.reshape(-1, chunk, last)
        return tensor.reshape(batch, -1, chunk, ngroups, last).transpose(2, 3).reshape(-1, chunk, last)

    decay = by_group(log_decay.double() * LOG2_E, heads).cumsum(1)
    return Chunks(by_group(x, heads * headdim), by_group(B, d_state), by_group(C, d_state), decay)


def causal_decay(decay: Tensor, dtype: torch.dtype) -> Tensor:
    """exp(g_i - g_j) for j <= i, zero above: (rows, chunk, heads) float64 -> (rows, heads, chunk, chunk) ``dtype``."""
    decay = decay.transpose(1, 2).contiguous()
    if decay.numel() == 0 or decay.detach()[..., -1].amin() > -STEEP:
        decay = decay.to(dtype)  # half the memory traffic of the largest tensor here
    chunk = decay.shape[-1]
    future = torch.ones(chunk, chunk, dtype=torch.bool, device=decay.device).triu(1)
    return torch.exp2((decay[..., :, None] - decay[..., None, :]).to(dtype).masked_fill(future, -torch.inf))


def scale_heads(x: Tensor, factor: Tensor) -> Tensor:
    """Scale each head of ``x`` (rows, chunk, heads * headdim) by ``factor`` (rows, chunk, heads), in x's dtype."""
    return (x.view(*factor.shape, -1) * factor.to(x.dtype)[..., None]).view(x.shape)


def join_heads(tensor: Tensor, batch: int, ngroups: int, seqlen: int) -> Tensor:
    """(rows, chunk, heads, last) -> (batch, seqlen, nheads, last)."""
    _, chunk, heads, last = tensor.shape
    if ngroups > 1:
        tensor = tensor.reshape(batch, -1, ngroups, chunk, heads, last).transpose(2, 3)
    return tensor.reshape(batch, -1, ngroups * heads, last)[:, :seqlen]


def pack_state(state: Tensor, ngroups: int) -> Tensor:
    """(batch, nheads, headdim, d_state) -> (batch, ngroups, d_state, heads * headdim)."""
    batch, nheads, headdim, d_state = state.shape
    return state.reshape(batch, ngroups, nheads // ngroups * headdim, d_state).transpose(-1, -2)


def unpack_states(packed: Tensor, headdim: int) -> Tensor:
    """(batch, n, ngroups, d_state, heads * headdim) -> (batch, n, nheads, headdim, d_state)."""
    batch, count, _, d_state, _ = packed.shape
    return packed.transpose(-1, -2).reshape(batch, count, -1, headdim, d_state)
