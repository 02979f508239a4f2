"""A loop whose state is emptied after every so many tokens, as an output of one piece."""

from __future__ import annotations

import torch
from torch import Tensor

from kernels.cells.types import CellInputs, Loop
from kernels.types import CHUNK, Memory, ScanOutput


def in_parts(loop: Loop, inputs: CellInputs, memory: Memory, every: int, token_norms: bool = False) -> ScanOutput:
    """Run ``inputs`` through ``loop`` from a memory that is emptied after ``every`` tokens.

    ``memory.past`` is empty at the start, then (batch,) int64: tokens since the state was empty, the same in all rows.
    The state after a token where it is emptied is the one before that; the next token sees an empty one.
    """
    seqlen, rows = inputs.x.shape[1], len(memory.state)
    since = int(memory.past[0][0]) if memory.past else 0
    state, outputs, start = memory.state, list[ScanOutput](), 0
    while start < seqlen:
        if since == every:
            state, since = torch.zeros_like(state), 0
        # Up to where it is emptied, or to a boundary of the whole where those lie elsewhere.
        left = every - since
        aligned = start % CHUNK == 0 and left % CHUNK == 0
        stop = min(seqlen, start + (left if aligned else min(left, CHUNK - start % CHUNK)))
        output = loop(inputs.segment(start, stop), Memory(state), token_norms)
        outputs.append(output)
        state, since, start = output.memory.state, since + stop - start, stop
    ends = torch.tensor([output.y.shape[1] for output in outputs]).cumsum(0).tolist()
    boundaries = [memory.state[:, None]]
    for output, end in zip(outputs, ends, strict=True):
        if end % CHUNK == 0 or end == seqlen:
            boundaries.append(output.boundary_states[:, 1:])

    def joined(parts: list[Tensor | None]) -> Tensor | None:
        known = [part for part in parts if part is not None]
        return torch.cat(known, 1) if known else None

    past = torch.full((rows,), since, dtype=torch.int64, device=state.device)
    return ScanOutput(
        torch.cat([output.y for output in outputs], 1),
        torch.cat(boundaries, 1),
        Memory(state, (past,)),
        joined([output.token_norms for output in outputs]),
        joined([output.log_decay for output in outputs]),
    )
