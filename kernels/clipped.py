"""The scan with every head's state held to a norm: matrix products in a chunk, and a scalar recursion for the scales.

    h_t = s_t (a_t h_{t-1} + x_t B_t^T)        s_t = min(1, limit / |a_t h_{t-1} + x_t B_t^T|)

The scales make it nonlinear, but they depend on scalars only. Given them the recurrence is linear, with decay
s_t a_t and input s_t x_t; and the norms that they follow from need no state, only the products of the chunk's B and
x with themselves and what B reads from the state at the chunk's start (:mod:`kernels.clip_recursion`). So a chunk is

    1. one read of its starting state, by C and by B
    2. the recursion, which yields the weight of every token in every later state
    3. the next starting state, and y, from these weights as in :mod:`kernels.chunked`

Letters and shapes are those of :mod:`kernels.types`. Here ``rows`` is batch * ngroups, ``heads`` those of one group
and ``width`` heads * headdim; chunks come first, because they are taken one after another.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.chunked import pack_state, unpack_states
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput


def clipped_scan(
    inputs: ScanInputs, memory: Memory, limit: Tensor, token_norms: bool = False, *, chunk: int = CHUNK
) -> ScanOutput:
    """Run ``inputs`` from ``memory`` with head norms of at most ``limit`` (nheads,), infinite where there is none.

    A state to start from may be above the limit; no later one is. Norms cost nothing more. Matrix products run in the
    dtype of ``inputs.x``, and bfloat16 products make the norms as coarse as themselves. No gradient passes.
    Raises ValueError for a decay per channel, or if a gradient is asked for.
    """
    from kernels.clip_recursion import clip_recursion

    inputs = inputs.for_rows(memory.state.shape[0])
    batch, seqlen, nheads, headdim = inputs.x.shape
    ngroups, d_state = inputs.B.shape[2:]
    if inputs.log_decay.shape != (batch, seqlen, nheads, 1):
        raise ValueError(f"clipped_scan takes one decay per head, got log_decay of shape {inputs.log_decay.shape}")
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*inputs, memory.state)):
        raise ValueError("clipped_scan has no gradient; call it under torch.no_grad()")
    chunk = min(chunk, seqlen)
    rows, heads = batch * ngroups, nheads // ngroups
    compute, sums = inputs.x.dtype, memory.state.dtype

    # 1. What the chunks need, all at once: products of B and x with themselves, C with B.
    x = _by_chunk(inputs.x, chunk, ngroups)  # (nchunks, rows, chunk, width)
    B = _by_chunk(inputs.B, chunk, ngroups)
    reader = torch.cat([_by_chunk(inputs.C, chunk, ngroups), B], dim=2)
    nchunks = x.shape[0]
    x_heads = x.unflatten(-1, (heads, headdim)).transpose(2, 3).contiguous()  # (nchunks, rows, heads, chunk, headdim)
    CB, BB = torch.matmul(reader, B.transpose(-1, -2)).to(sums).split(chunk, dim=2)
    BB = BB.contiguous()  # one memory layout, whatever the batch: one compilation of the recursion
    XX = torch.matmul(x_heads, x_heads.transpose(-1, -2)).to(sums)
    decay = _by_chunk(inputs.log_decay, chunk, ngroups).transpose(-1, -2).exp().contiguous()
    limits = limit.to(decay).view(ngroups, heads).repeat(batch, 1)

    # 2. Chunk after chunk: read the state, find the scales, make the next state.
    boundary = pack_state(memory.state, ngroups).reshape(rows, d_state, heads * headdim)
    boundaries = [boundary]
    reads = torch.empty(nchunks, rows, chunk, heads * headdim, dtype=sums)
    weights = torch.zeros(nchunks, rows, heads, chunk, chunk, dtype=sums)
    grown, norms = torch.empty_like(decay), torch.empty_like(decay)
    for index in range(nchunks):
        read = torch.bmm(reader[index], boundary.to(compute)).to(sums)
        reads[index] = read[:, :chunk]
        from_start = (read[:, chunk:] * x[index]).unflatten(-1, (heads, headdim)).sum(-1)
        squared = boundary.square().sum(1).unflatten(-1, (heads, headdim)).sum(-1)
        scalars = (BB[index], XX[index], from_start, squared, decay[index], limits)
        results = (weights[index], grown[index], norms[index])
        clip_recursion(*(tensor.numpy() for tensor in (*scalars, *results)))
        to_end = weights[index, :, :, -1].transpose(1, 2)[..., None]  # (rows, chunk, heads, 1)
        scaled = (x[index].unflatten(-1, (heads, headdim)) * to_end).to(compute).flatten(-2)
        over_chunk = grown[index, :, :, -1:].expand(-1, -1, headdim).flatten(1)[:, None]
        boundary = torch.addcmul(torch.bmm(B[index].transpose(1, 2), scaled).to(sums), boundary, over_chunk)
        boundaries.append(boundary)

    # 3. Read: within the chunk, and from the state at its start.
    mixed = weights.mul_(CB[:, :, None]).to(compute)
    inside = torch.matmul(mixed, x_heads).to(sums)  # (nchunks, rows, heads, chunk, headdim)
    reads = reads.unflatten(-1, (heads, headdim)).transpose(2, 3)
    y = _by_token(torch.addcmul(inside, reads, grown[..., None]), batch, seqlen)
    packed = torch.stack(boundaries, dim=1).view(batch, ngroups, nchunks + 1, d_state, heads * headdim)
    states = unpack_states(packed.transpose(1, 2), headdim)
    kept = _by_token(norms[..., None], batch, seqlen).squeeze(-1) if token_norms else None
    return ScanOutput(y, states, Memory(states[:, -1]), kept, inputs.log_decay)


def _by_chunk(tensor: Tensor, chunk: int, ngroups: int) -> Tensor:
    """(batch, seqlen, heads or groups, k) -> (nchunks, rows, chunk, k of a group's heads), filled up with zeros."""
    batch, seqlen = tensor.shape[:2]
    tensor = F.pad(tensor, (0, 0, 0, 0, 0, -seqlen % chunk)) if seqlen % chunk else tensor
    tensor = tensor.reshape(batch, -1, chunk, ngroups, tensor.shape[2] // ngroups * tensor.shape[3])
    return tensor.permute(1, 0, 3, 2, 4).flatten(1, 2)


def _by_token(tensor: Tensor, batch: int, seqlen: int) -> Tensor:
    """(nchunks, rows, heads, chunk, k) -> (batch, seqlen, nheads, k)."""
    tensor = tensor.unflatten(1, (batch, -1)).permute(1, 0, 4, 2, 3, 5)
    return tensor.flatten(3, 4).flatten(1, 2)[:, :seqlen]
