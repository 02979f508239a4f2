"""The loop of a cell for its inputs: a fused kernel of PyTorch where there is one, else a compiled or the plain loop.

The Triton kernels of LSTM and GRU run where "triton" is ordered and nowhere else: whether they are quicker than cuDNN's
has not been measured yet. The compiled loops may be deleted: where they are missing or fail, one line stands in the
log and the plain loop runs from then on.
"""

from __future__ import annotations

import importlib
import logging
from types import ModuleType

import torch

from kernels.cells.fused import fused_loop, supports
from kernels.cells.loop import step_loop
from kernels.cells.types import CellInputs
from kernels.types import CHUNK, Memory, ScanOutput

COMPILED = "kernels.cells.compiled.loop"

log = logging.getLogger(__name__)
broken: set[str] = set()
"""COMPILED, once it failed in this process."""


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
    found = compiled(inputs, memory, token_norms, chunk)
    return found or step_loop(inputs, memory, token_norms, chunk=chunk)


def compiled(inputs: CellInputs, memory: Memory, token_norms: bool, chunk: int) -> ScanOutput | None:
    """What the compiled loop gives; None where it is missing, does not take the inputs, or fails."""
    if COMPILED in broken:
        return None
    try:
        module = importlib.import_module(COMPILED)  # imports numba
        if module.supports(inputs, memory):
            output: ScanOutput = module.compiled_loop(inputs, memory, token_norms, chunk=chunk)
            return output
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        log.warning("the plain loop runs instead of the compiled loops of cells: %s", error)
        broken.add(COMPILED)
    return None
