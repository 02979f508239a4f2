"""Every cell as a plain loop over time, differentiable: the truth for the fused kernels, and what runs the others."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.cells.types import CellInputs
from kernels.types import CHUNK, Memory, ScanOutput

LEAST = 1e-30
"""A retention below it counts as this much, so that its logarithm is finite."""


def step_loop(
    inputs: CellInputs,
    memory: Memory,
    token_norms: bool = False,
    *,
    chunk: int = CHUNK,
    limit: Tensor | None = None,
) -> ScanOutput:
    """Run ``inputs`` from ``memory`` token by token, in the dtype of the state.

    ``limit`` (nheads,): after every token a head whose norm is larger is scaled down to it, all its vectors together.
    Retention is recorded only where no gradient is wanted.
    """
    shape = memory.state.shape
    with torch.autocast(inputs.x.device.type, enabled=False):
        step = inputs.cell.stepping(inputs.retention)
        given = inputs.cell.project(inputs.x).to(memory.state.dtype)
        carried = memory.state.flatten(1, 2).unbind(-1)
        boundaries, read, kept, norms = [memory.state], [], [], []
        last = given.shape[1] - 1
        for t, token in enumerate(given.unbind(1)):
            carried, share = step(token, carried)
            at_boundary = (t + 1) % chunk == 0 or t == last
            if token_norms or limit is not None or at_boundary:
                state = torch.stack(carried, dim=-1).view(shape)
                if limit is not None:
                    size = state.square().sum((-1, -2), keepdim=True).sqrt()
                    state = state * (limit.to(state)[:, None, None] / size.clamp_min(LEAST)).clamp_max(1)
                    carried = state.flatten(1, 2).unbind(-1)
                if token_norms:
                    norms.append(state.square().sum((-1, -2)).sqrt())
                if at_boundary:
                    boundaries.append(state)
            read.append(carried[-1])
            if share is not None:
                kept.append(share)
    decay = None if torch.is_grad_enabled() else log_decay_of(torch.stack(kept, 1) if kept else None, inputs, shape)
    return ScanOutput(
        torch.stack(read, 1).unflatten(-1, shape[1:3]),
        torch.stack(boundaries, 1),
        Memory(boundaries[-1], memory.past),
        torch.stack(norms, 1) if token_norms else None,
        decay,
    )


def log_decay_of(kept: Tensor | None, inputs: CellInputs, shape: torch.Size) -> Tensor:
    """Logarithms of the shares ``kept`` (batch, seqlen, units) by head, (batch, seqlen, nheads, headdim or 1).

    NaN where there is no gate that keeps a share.
    """
    if kept is None:
        return inputs.x.new_full((*inputs.x.shape[:2], shape[1], 1), torch.nan)
    return kept.clamp_min(LEAST).log().unflatten(-1, shape[1:3])
