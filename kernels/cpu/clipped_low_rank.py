"""The scan of a delta rule with its state norm bounded at every token, one token after another.

    h_t <- h_t min(1, p / |h_t|)

Unlike :mod:`kernels.cpu.clipped` it forms every state, because erasing acts on the scaled state.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.cpu.low_rank import step
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput


@torch.no_grad()
def clipped_low_rank_scan(
    inputs: ScanInputs, memory: Memory, limit: Tensor, token_norms: bool = False, *, chunk: int = CHUNK
) -> ScanOutput:
    """Run ``inputs`` with their pair from ``memory`` with head norms of at most ``limit`` (nheads,). No gradient.

    Raises ValueError for inputs without a pair.
    """
    if inputs.low_rank is None:
        raise ValueError("clipped_low_rank_scan takes inputs with a low-rank pair")
    inputs = inputs.for_rows(memory.state.shape[0])
    seqlen, nheads = inputs.x.shape[1:3]
    dtype, state = memory.state.dtype, memory.state
    wide = inputs.map(lambda tensor: tensor.to(dtype).repeat_interleave(nheads // tensor.shape[2], dim=2))
    assert wide.low_rank is not None
    y, norms, boundaries = [], [], [state]
    for t in range(seqlen):
        x, B, C, log_decay, a, b = (tensor[:, t] for tensor in wide.tensors)
        state = step(state, x, B, a, b, log_decay)
        norm = state.square().sum((-1, -2)).sqrt()
        share = (limit.to(dtype) / norm.clamp_min(1e-30)).clamp_max(1)
        state = state * share[..., None, None]
        y.append(torch.matmul(state, C[..., None]).squeeze(-1))
        norms.append(norm * share)
        if (t + 1) % chunk == 0 or t + 1 == seqlen:
            boundaries.append(state)
    kept = torch.stack(norms, dim=1) if token_norms else None
    read, states = torch.stack(y, dim=1), torch.stack(boundaries, dim=1)
    return ScanOutput(read, states, Memory(state), kept, inputs.log_decay, low_rank=inputs.low_rank)
