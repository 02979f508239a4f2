"""The loop of a cell for its inputs: PyTorch's fused kernels where one runs the cell, else the plain loop.

The Triton kernels of LSTM and GRU run where "triton" is ordered and nowhere else: whether they are quicker than cuDNN's
has not been measured yet.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from kernels.cells.fused import fused_loop, supports
from kernels.cells.loop import step_loop
from kernels.cells.types import CellInputs
from kernels.types import CHUNK, Memory, ScanOutput


def loop(
    inputs: CellInputs,
    memory: Memory,
    token_norms: bool = False,
    *,
    chunk: int = CHUNK,
    triton: bool = False,
) -> ScanOutput:
    """Run ``inputs`` from ``memory``; see :mod:`kernels.cells.types`.

    ``triton`` orders the Triton kernels; ValueError if they do not take the inputs.
    """
    if triton:
        cells: ModuleType = importlib.import_module("kernels.triton.cells.loop")  # imports Triton
        output: ScanOutput = cells.cell_loop(inputs, memory, token_norms, chunk=chunk)
        return output
    if supports(inputs, token_norms):
        return fused_loop(inputs, memory, chunk=chunk)
    return step_loop(inputs, memory, token_norms, chunk=chunk)
