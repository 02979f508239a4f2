"""The loop of a cell for its inputs: PyTorch's fused kernels where one runs the cell, else the plain loop."""

from __future__ import annotations

from kernels.cells.fused import fused_loop, supports
from kernels.cells.loop import step_loop
from kernels.cells.types import CellInputs
from kernels.types import CHUNK, Memory, ScanOutput


def loop(inputs: CellInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK) -> ScanOutput:
    """Run ``inputs`` from ``memory``; see :mod:`kernels.cells.types`."""
    if supports(inputs, token_norms):
        return fused_loop(inputs, memory, chunk=chunk)
    return step_loop(inputs, memory, token_norms, chunk=chunk)
