"""The scan with one decay per channel of the key, in blocks of PyTorch products: GLA, HGRN-2, RWKV-6.

With g_i the running sum of log_decay within a block, one number per channel n, and h_0 the state at its start:

    y_i     = sum_{j <= i} x_j sum_n C_in B_jn exp(g_in - g_jn)  +  h_0 (exp(g_i) C_i)
    h_block = h_0 exp(g_last) + sum_j x_j (exp(g_last - g_j) B_j)^T

A decay per head can be taken out of the inner sum, one per channel cannot; dividing B by exp(g) instead would overflow
as soon as a token resets a channel. So blocks are short, :data:`BLOCK` tokens, their scores are summed channel by
channel, and every exponent that is taken is a difference of at most zero. Blocks meet through the state.

Everything runs in the dtype of the state, whatever that of x: the sums are not matrix products. Differentiable.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cpu.chunked_scalar import STEEP, carry
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput

BLOCK = 16
"""Tokens of a block: its scores cost BLOCK times d_state per token, its state one update for all of them."""


def chunked_vector_scan(
    inputs: ScanInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK
) -> ScanOutput:
    """Run ``inputs`` from ``memory`` with a decay for every head, or for every channel of every head."""
    batch, seqlen, nheads, _ = inputs.x.shape
    d_state = inputs.B.shape[3]
    block = BLOCK if chunk % BLOCK == 0 else chunk
    dtype = memory.state.dtype
    repeats = nheads // inputs.B.shape[2]

    # 1. Blocks: every tensor (batch, nblocks, nheads, block, ...).
    x = in_blocks(inputs.x.to(dtype), block)
    B = in_blocks(inputs.B.to(dtype).repeat_interleave(repeats, dim=2), block)
    C = in_blocks(inputs.C.to(dtype).repeat_interleave(repeats, dim=2), block)
    log_decay = in_blocks(inputs.log_decay.expand(batch, seqlen, nheads, d_state), block)
    decay = log_decay.double().cumsum(-2)
    if decay.numel() == 0 or decay.detach().amin() > -STEEP:
        decay = decay.to(dtype)

    # 2. The state at every border: what blocks add, and the only loop over them.
    to_end = (decay[..., -1:, :] - decay).to(dtype).exp()
    additions = torch.matmul(x.transpose(-1, -2), B * to_end)
    from_start = decay.to(dtype).exp()
    borders = carry(memory.state, additions, from_start[..., -1:, :])  # (batch, nblocks + 1, nheads, headdim, d_state)

    # 3. Read: inside the block, and from the state at its start.
    read = torch.matmul(C * from_start, borders[:, :-1].transpose(-1, -2))
    y = read + torch.matmul(scores(B, C, decay), x)
    norms = None
    if token_norms:
        norms = by_token(norms_inside(x, B, log_decay.to(dtype), borders[:, :-1])[..., None], seqlen).squeeze(-1)

    last = borders.shape[1] - 1
    kept = [*range(0, last, max(1, chunk // block)), last]
    states = borders[:, kept]
    return ScanOutput(by_token(y, seqlen), states, Memory(states[:, -1]), norms, inputs.log_decay)


def scores(B: Tensor, C: Tensor, decay: Tensor) -> Tensor:
    """``sum_n C_in B_jn exp(g_in - g_jn)`` for j <= i, zero above: (..., block, d_state) -> (..., block, block)."""
    rows = []
    length = B.shape[-2]
    for i in range(length):
        kept = (decay[..., i : i + 1, :] - decay[..., : i + 1, :]).to(B.dtype).exp()
        rows.append(F.pad((kept * B[..., : i + 1, :] * C[..., i : i + 1, :]).sum(-1), (0, length - 1 - i)))
    return torch.stack(rows, dim=-2)


def norms_inside(x: Tensor, B: Tensor, log_decay: Tensor, start: Tensor) -> Tensor:
    """The norm of the state after every token, all blocks side by side: (batch, nblocks, nheads, block).

    Token by token: with a decay per channel no scalar recurrence has the norms.
    """
    state, norms = start, []
    for i in range(x.shape[-2]):
        write = x[..., i, :, None] * B[..., i, None, :]
        state = torch.addcmul(write, state, log_decay[..., i, None, :].exp())
        norms.append(state.square().sum((-1, -2)).sqrt())
    return torch.stack(norms, dim=-1)


def in_blocks(tensor: Tensor, block: int) -> Tensor:
    """(batch, seqlen, nheads, k) -> (batch, nblocks, nheads, block, k); filled up with zeros, which change no state."""
    tensor = F.pad(tensor, (0, 0, 0, 0, 0, -tensor.shape[1] % block))
    return tensor.unflatten(1, (-1, block)).transpose(2, 3)


def by_token(tensor: Tensor, seqlen: int) -> Tensor:
    """(batch, nblocks, nheads, block, k) -> (batch, seqlen, nheads, k)."""
    return tensor.transpose(2, 3).flatten(1, 2)[:, :seqlen]
