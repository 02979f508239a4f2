"""The scan with every head's state held to a norm: matrix products in a chunk, and a scalar recursion for the scales.

    h_t = s_t (a_t h_{t-1} + x_t B_t^T)        s_t = min(1, limit / |a_t h_{t-1} + x_t B_t^T|)

The scales make it nonlinear, but they depend on scalars only. Given them the recurrence is linear, with decay
s_t a_t and input s_t x_t; and the norms that they follow from need no state, only the products of the chunk's B and
x with themselves and what B reads from the state at the chunk's start (:mod:`kernels.cpu.clip_recursion`). So a chunk
is

    1. one read of its starting state, by B
    2. the recursion, which yields the weight of every token in every later state
    3. the next starting state from these weights; and when all are known, y, as in :mod:`kernels.cpu.chunked_scalar`

Letters and shapes are those of :mod:`kernels.types`. Here ``rows`` is batch * ngroups, ``heads`` those of one group
and ``width`` heads * headdim; chunks come first, because they are taken one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cpu.chunked_scalar import pack_state, unpack_states, without_float16
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput

SMALL = 1 << 16
"""Elements of a layer's state up to which a product with it is not worth a second thread."""


def clipped_scan(
    inputs: ScanInputs, memory: Memory, limit: Tensor, token_norms: bool = False, *, chunk: int = CHUNK
) -> ScanOutput:
    """Run ``inputs`` from ``memory`` with head norms of at most ``limit`` (nheads,), infinite where there is none.

    A state to start from may be above the limit; no later one is. Norms cost nothing more. Matrix products run in the
    dtype of ``inputs.x`` (of float16 in float32), and bfloat16 products make the norms as coarse as themselves.
    No gradient passes.
    Raises ValueError for a decay per channel, or if a gradient is asked for.
    """
    from kernels.cpu.clip_recursion import clip_chunk

    device = inputs.x.device
    if device.type != "cpu":  # the recursion goes token by token and is compiled for CPUs
        there = clipped_scan(inputs.map(Tensor.cpu), Memory(memory.state.cpu()), limit.cpu(), token_norms, chunk=chunk)
        norms = None if there.token_norms is None else there.token_norms.to(device)
        memory = Memory(there.memory.state.to(device))
        return ScanOutput(there.y.to(device), there.boundary_states.to(device), memory, norms, inputs.log_decay)
    inputs = without_float16(inputs.for_rows(memory.state.shape[0]))
    batch, seqlen, nheads, headdim = inputs.x.shape
    ngroups, d_state = inputs.B.shape[2:]
    if inputs.low_rank is not None:
        raise ValueError("clipped_scan takes a diagonal transition; see kernels.cpu.clipped_low_rank")
    if inputs.log_decay.shape != (batch, seqlen, nheads, 1):
        raise ValueError(f"clipped_scan takes one decay per head, got log_decay of shape {inputs.log_decay.shape}")
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*inputs.tensors, memory.state)):
        raise ValueError("clipped_scan has no gradient; call it under torch.no_grad()")
    chunk = min(chunk, seqlen)
    rows, heads = batch * ngroups, nheads // ngroups
    compute, sums = inputs.x.dtype, memory.state.dtype

    # 1. What the chunks need, all at once: products of B and x with themselves, C with B.
    x, B, C = (_by_chunk(tensor, chunk, ngroups) for tensor in inputs[:3])  # (nchunks, rows, chunk, width or d_state)
    nchunks = x.shape[0]
    x_heads = x.unflatten(-1, (heads, headdim)).transpose(2, 3).contiguous()  # (nchunks, rows, heads, chunk, headdim)
    written = B.transpose(-1, -2)
    CB, BB = (torch.matmul(reader, written).to(sums) for reader in (C, B))
    XX = torch.matmul(x_heads, x_heads.transpose(-1, -2)).to(sums)
    decay = _by_chunk(inputs.log_decay, chunk, ngroups).transpose(-1, -2).exp().contiguous()
    limits = limit.to(decay).view(ngroups, heads).repeat(batch, 1)

    # 2. Chunk after chunk: B reads the state, the scales are found, and what is written makes the next state.
    states = torch.empty(nchunks + 1, rows, d_state, heads * headdim, dtype=sums)
    states[0] = pack_state(memory.state, ngroups).reshape(states.shape[1:])
    mixed = torch.empty_like(XX)
    grown, norms = torch.empty_like(decay), torch.empty_like(decay)
    scaled = torch.empty(x.shape[1:], dtype=sums)
    given = (states, CB, BB, XX, decay, limits, mixed, grown, norms, scaled)
    arrays = [tensor.numpy() for tensor in given]  # all contiguous: what is filled is no copy
    x_sums = x.to(sums).contiguous().numpy()
    steps = zip(B, written, states[:-1], states[1:], strict=True)
    with _one_thread_if(states[0].numel() <= SMALL):
        for index, (reader, writer, state, following) in enumerate(steps):
            read = torch.bmm(reader, state.to(compute)).to(sums)
            clip_chunk(index, x_sums, read.numpy(), *arrays)
            if compute == sums:
                following.baddbmm_(writer, scaled)
            else:
                following += torch.bmm(writer, scaled.to(compute)).to(sums)

    # 3. Read: within the chunk, and from the state at its start.
    inside = torch.matmul(mixed.to(compute), x_heads).to(sums).transpose(2, 3)
    reads = torch.matmul(C, states[:-1].to(compute)).to(sums).unflatten(-1, (heads, headdim))
    y = torch.addcmul(inside, reads, grown.transpose(2, 3)[..., None], out=reads)
    y = _by_token(y, batch, seqlen)
    packed = states.transpose(0, 1).reshape(batch, ngroups, nchunks + 1, d_state, heads * headdim)
    boundaries = unpack_states(packed.transpose(1, 2), headdim)
    kept = _by_token(norms.transpose(2, 3)[..., None], batch, seqlen).squeeze(-1) if token_norms else None
    return ScanOutput(y, boundaries, Memory(boundaries[:, -1]), kept, inputs.log_decay)


@contextmanager
def _one_thread_if(small: bool) -> Iterator[None]:
    """Products on one thread: threads that share small ones keep waiting in between, and slow down what comes then."""
    threads = torch.get_num_threads()
    if small:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if small:
            torch.set_num_threads(threads)


def _by_chunk(tensor: Tensor, chunk: int, ngroups: int) -> Tensor:
    """(batch, seqlen, heads or groups, k) -> (nchunks, rows, chunk, k of a group's heads), filled up with zeros."""
    batch, seqlen = tensor.shape[:2]
    tensor = F.pad(tensor, (0, 0, 0, 0, 0, -seqlen % chunk)) if seqlen % chunk else tensor
    tensor = tensor.reshape(batch, -1, chunk, ngroups, tensor.shape[2] // ngroups * tensor.shape[3])
    return tensor.permute(1, 0, 3, 2, 4).flatten(1, 2)


def _by_token(tensor: Tensor, batch: int, seqlen: int) -> Tensor:
    """(nchunks, rows, chunk, heads, k) -> (batch, seqlen, nheads, k)."""
    tensor = tensor.unflatten(1, (batch, -1)).permute(1, 0, 3, 2, 4, 5)
    return tensor.flatten(3, 4).flatten(1, 2)[:, :seqlen]
