"""The scan whose transition is diagonal plus low rank, in chunk-parallel PyTorch: the delta rule and its kin.

    h_t = h_{t-1} diag(d_t) (I + a_t b_t^T) + x_t B_t^T

With u_t = h_{t-1} diag(d_t) a_t, what the decayed state holds at a, a token writes u_t b_t^T beside x_t B_t^T. In a
chunk that starts from h_0, with g_i the running sum of log_decay, the u solve a unit lower triangular system (the WY
form of Yang et al. 2024, arXiv 2406.06484; with decay, arXiv 2412.06464):

    u_i - sum_{j < i} <a_i, b_j> u_j = sum_{j < i} <a_i, B_j> x_j + h_0 (exp(g_i) a_i)
    y_i = sum_{j <= i} (<C_i, b_j> u_j + <C_i, B_j> x_j) + h_0 (exp(g_i) C_i)
    <r_i, w_j> = sum_n r_in w_jn exp(g_in - g_jn)

All chunks are solved at once, for h_0 = 0 and for what each row of h_0 adds; then one short loop carries the state.
One decay per head comes out of the sum over n and chunks are long; a decay per channel does not, and blocks are short
as in :mod:`kernels.cpu.chunked_vector`. Every exponent is at most zero. Everything runs in the dtype of the state.
Differentiable.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from kernels.cpu.chunked_scalar import STEEP
from kernels.cpu.chunked_vector import BLOCK, by_token, in_blocks
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput


class Blocks(NamedTuple):
    """Inputs in blocks: each (batch, nblocks, nheads, block, ...); ``decay`` is the running sum of log_decay."""

    x: Tensor
    B: Tensor
    C: Tensor
    a: Tensor
    b: Tensor
    log_decay: Tensor
    decay: Tensor


def low_rank_scan(inputs: ScanInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK) -> ScanOutput:
    """Run ``inputs`` with their pair from ``memory``; see :mod:`kernels.types` for every shape.

    Also under autocast in the dtype of the state: the triangular system multiplies rounding by rounding. Raises
    ValueError for inputs without a pair.
    """
    if inputs.low_rank is None:
        raise ValueError("low_rank_scan takes inputs with a low-rank pair")
    with torch.autocast(inputs.x.device.type, enabled=False):
        return _scan(inputs, memory, token_norms, chunk)


def _scan(inputs: ScanInputs, memory: Memory, token_norms: bool, chunk: int) -> ScanOutput:
    seqlen, per_head = inputs.x.shape[1], inputs.log_decay.shape[3] == 1
    block = min(chunk, max(seqlen, 1)) if per_head or chunk % BLOCK else BLOCK
    blocks = cut(inputs, block, memory.state.dtype)
    x, B, C, a, b, _, decay = blocks
    dtype = memory.state.dtype

    # 1. What is read of what is written: of x at B and of u at b, by a and by C.
    from_a, from_C = scores(blocks)  # each (batch, nblocks, nheads, block, 2 block): at B, then at b
    strict = torch.ones(block, block, dtype=torch.bool, device=x.device).tril(-1)
    at_B, at_b = ((half * strict) for half in from_a.split(block, dim=-1))
    grown = decay.to(dtype).exp()

    # 2. Every u, as what the block itself gives and what each row of its first state adds.
    known = torch.cat([torch.matmul(at_B, x), a * grown], dim=-1)
    solved = torch.linalg.solve_triangular(-at_b, known, upper=False, unitriangular=True)
    own, seen = solved.split([x.shape[-1], a.shape[-1]], dim=-1)

    # 3. The only loop: u of a block from its first state, and the state after it.
    to_end = (decay[..., -1:, :] - decay).to(dtype).exp()
    additions, kept, erased = torch.matmul(x.transpose(-1, -2), B * to_end), grown[..., -1:, :], b * to_end
    borders, us = [memory.state], []
    for index in range(x.shape[1]):
        state = borders[-1]
        u = own[:, index] + torch.matmul(seen[:, index], state.transpose(-1, -2))
        us.append(u)
        added = additions[:, index] + torch.matmul(u.transpose(-1, -2), erased[:, index])
        borders.append(torch.addcmul(added, state, kept[:, index]))
    u = torch.stack(us, dim=1) if us else own
    states = torch.stack(borders, dim=1)

    # 4. Read.
    start = states[:, :-1]
    y = torch.matmul(C * grown, start.transpose(-1, -2)) + torch.matmul(from_C, torch.cat([x, u], dim=-2))
    norms = None
    if token_norms:
        found = norms_per_head(blocks, u, start) if per_head else norms_inside(blocks, start)
        norms = by_token(found[..., None], seqlen).squeeze(-1)
    last = states.shape[1] - 1
    boundaries = states[:, [*range(0, last, max(1, chunk // block)), last]]
    memory = Memory(boundaries[:, -1])
    return ScanOutput(by_token(y, seqlen), boundaries, memory, norms, inputs.log_decay, low_rank=inputs.low_rank)


def cut(inputs: ScanInputs, block: int, dtype: torch.dtype) -> Blocks:
    """``inputs`` in blocks, filled up with tokens that write, erase and decay nothing."""
    assert inputs.low_rank is not None
    nheads = inputs.x.shape[2]

    def of_heads(tensor: Tensor) -> Tensor:
        return in_blocks(tensor.to(dtype).repeat_interleave(nheads // tensor.shape[2], dim=2), block)

    log_decay = in_blocks(inputs.log_decay, block)
    decay = log_decay.double().cumsum(-2)
    if decay.numel() == 0 or decay.detach().amin() > -STEEP:
        decay = decay.to(dtype)
    x, B, C, a, b = map(of_heads, (inputs.x, inputs.B, inputs.C, *inputs.low_rank))
    return Blocks(x, B, C, a, b, log_decay.to(dtype), decay)


def scores(blocks: Blocks) -> tuple[Tensor, Tensor]:
    """What a and what C read at every earlier B and b, zero above the diagonal: each (..., block, 2 block)."""
    readers = torch.cat([blocks.a, blocks.C], dim=-2)
    length = blocks.x.shape[-2]
    if blocks.decay.shape[-1] == 1:
        weights = causal_weights(blocks.decay, blocks.x.dtype)
        written = torch.cat([blocks.B, blocks.b], dim=-2)
        found = torch.matmul(readers, written.transpose(-1, -2)) * weights.repeat(*(1,) * (weights.dim() - 2), 2, 2)
        from_a, from_C = found.split(length, dim=-2)
        return from_a, from_C
    rows = []
    both = torch.stack([blocks.B, blocks.b], dim=-3)  # (..., 2, block, d_state)
    for i in range(length):
        faded = (blocks.decay[..., i : i + 1, :] - blocks.decay[..., : i + 1, :]).to(blocks.x.dtype).exp()
        reader = torch.stack([blocks.a[..., i, :], blocks.C[..., i, :]], dim=-2)  # (..., 2, d_state)
        met = torch.einsum("...kjn,...rn->...rkj", faded.unsqueeze(-3) * both[..., : i + 1, :], reader)
        rows.append(torch.nn.functional.pad(met, (0, length - 1 - i)).flatten(-2))
    from_a, from_C = torch.stack(rows, dim=-2).unbind(-3)
    return from_a, from_C


def causal_weights(decay: Tensor, dtype: torch.dtype) -> Tensor:
    """exp(g_i - g_j) for j <= i, zero above: (..., block, 1) -> (..., block, block)."""
    length = decay.shape[-2]
    future = torch.ones(length, length, dtype=torch.bool, device=decay.device).triu(1)
    return (decay - decay.transpose(-1, -2)).to(dtype).masked_fill(future, -torch.inf).exp()


def norms_per_head(blocks: Blocks, u: Tensor, start: Tensor) -> Tensor:
    """The norm of every state without forming one, for one decay per head: (batch, nblocks, nheads, block).

    With w_t = u_t b_t^T + x_t B_t^T, what token t writes:

        |h_t|^2 = d_t^2 |h_{t-1}|^2 + 2 <h_t, w_t> - |w_t|^2

    a scalar recurrence, as in :mod:`kernels.cpu.chunked_scalar`; <h_t, w_t> takes what b and B read of the state.
    """
    x, B, b, dtype = blocks.x, blocks.B, blocks.b, blocks.x.dtype
    grown, weights = blocks.decay.to(dtype).exp(), causal_weights(blocks.decay, dtype)

    def read(reader: Tensor) -> Tensor:
        written = sum(torch.matmul(torch.matmul(reader, key.mT) * weights, of) for key, of in ((B, x), (b, u)))
        return torch.matmul(reader * grown, start.mT) + written

    met = (read(B) * x).sum(-1) + (read(b) * u).sum(-1)
    own = B.square().sum(-1) * x.square().sum(-1) + b.square().sum(-1) * u.square().sum(-1)
    own = own + 2 * (B * b).sum(-1) * (x * u).sum(-1)
    squared = torch.matmul(causal_weights(2 * blocks.decay, dtype), (2 * met - own)[..., None]).squeeze(-1)
    squared = squared + grown.squeeze(-1).square() * start.square().sum((-1, -2))[..., None]
    return squared.clamp_min(0).sqrt()


def norms_inside(blocks: Blocks, start: Tensor) -> Tensor:
    """The norm of the state after every token, token by token, all blocks side by side."""
    state, norms = start, []
    for i in range(blocks.x.shape[-2]):
        state = step(state, *(each[..., i, :] for each in blocks[:2]), *(each[..., i, :] for each in blocks[3:6]))
        norms.append(state.square().sum((-1, -2)).sqrt())
    return torch.stack(norms, dim=-1)


def step(state: Tensor, x: Tensor, B: Tensor, a: Tensor, b: Tensor, log_decay: Tensor) -> Tensor:
    """One token: (..., headdim, d_state), (..., headdim), and (..., d_state) for the others -> the next state."""
    state = state * log_decay.exp()[..., None, :]
    u = torch.matmul(state, a[..., None])
    return state + u * b[..., None, :] + x[..., None] * B[..., None, :]
