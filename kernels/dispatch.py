"""The scan for whatever device the inputs are on: Triton on a GPU, chunk-parallel PyTorch elsewhere; one signature.

    scan(inputs, memory, token_norms=False, *, chunk=CHUNK, kernel=None) -> ScanOutput

``kernel`` is "triton" or "chunked" and forces either, as does the environment variable MEMORY_EXPLORER_KERNEL.
Without both, CUDA tensors of a size that a Triton kernel takes go to it, and everything else to the chunked scan. A
Triton that is missing or fails leaves one line in the log, and the chunked scan runs from then on. Forced "triton" is
an order: what fails there is raised.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import TypeVar

import torch

from kernels.attention import AttentionInputs
from kernels.cells.dispatch import loop
from kernels.cells.types import CellInputs
from kernels.cpu.chunked import chunked_scan
from kernels.cpu.windowed import windowed_scan
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput, boundary_count

Found = TypeVar("Found")

VARIABLE = "MEMORY_EXPLORER_KERNEL"
KERNELS = ("triton", "chunked")

FAMILIES = {
    "scalar_decay": ("kernels.triton.scalar_decay.scan", "scalar_decay_scan"),
    "vector_decay": ("kernels.triton.vector_decay.scan", "vector_decay_scan"),
    "low_rank": ("kernels.triton.low_rank.scan", "low_rank_scan"),
    "selective": ("kernels.triton.selective", "selective_scan"),
    "diagonal": ("kernels.triton.diagonal", "diagonal_scan"),
}
"""The Triton kernels in the order in which they are asked: a module with ``supports``, and the name of its scan."""
WINDOW = "scalar_window", "kernels.triton.scalar_decay.window"
"""The Triton kernel of the sliding window, by its name in the log and its module."""

log = logging.getLogger(__name__)
_noted: ContextVar[set[str] | None] = ContextVar("kernels_noted", default=None)
_said: set[tuple[object, ...]] = set()
broken: set[str] = set()
"""Families and functions whose kernel failed in this process, which are not tried again."""


def scan(
    inputs: ScanInputs | CellInputs | AttentionInputs,
    memory: Memory,
    token_norms: bool = False,
    *,
    chunk: int = CHUNK,
    kernel: str | None = None,
) -> ScanOutput:
    """Run ``inputs`` from ``memory`` on the kernel for their device; see :mod:`kernels.types` for every shape.

    Inputs of a cell go through the second door, :mod:`kernels.cells`; those of attention bring their cache.
    Raises ValueError for a kernel that is not in KERNELS, and if "triton" is forced on inputs that no kernel takes.
    """
    if isinstance(inputs, AttentionInputs):
        note("pytorch")
        return inputs.run(memory, token_norms, chunk=chunk)
    forced = forced_kernel(kernel)
    if forced not in (None, *KERNELS):
        raise ValueError(f"kernel {forced!r} is none of {', '.join(KERNELS)}")
    if isinstance(inputs, CellInputs):
        note("triton cells" if forced == "triton" else "pytorch")
        return loop(inputs, memory, token_norms, chunk=chunk, triton=forced == "triton")
    if forced == "triton":
        for name in FAMILIES:
            if family(name).supports(inputs):
                note(f"triton {name}")
                return run_family(name, inputs, memory, token_norms, chunk)
        raise ValueError(f"no Triton kernel for x {tuple(inputs.x.shape)} {inputs.x.dtype}")
    if forced is None and on_gpu(inputs):
        for name in FAMILIES:
            try:
                if name not in broken and family(name).supports(inputs):
                    output = run_family(name, inputs, memory, token_norms, chunk)
                    note(f"triton {name}")
                    return output
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                give_up(set(FAMILIES) if isinstance(error, ImportError) else {name}, error)
        if not broken:  # which has left its own line
            say_once(inputs)
    note("pytorch")
    return chunked_scan(inputs, memory, token_norms, chunk=chunk)


def scan_to_end(
    inputs: ScanInputs | CellInputs | AttentionInputs, memory: Memory, token_norms: bool = False
) -> ScanOutput:
    """:func:`scan` for a caller that looks at no boundary state but the last: a GPU need not write the others."""
    if isinstance(inputs, ScanInputs):
        last = boundary_count(inputs.x.shape[1]) - 1
        inputs = inputs._replace(boundaries=torch.full((1,), last, device=inputs.x.device))
    return scan(inputs, memory, token_norms)


@contextmanager
def kernels_noted(names: set[str]) -> Iterator[None]:
    """Add to ``names`` which kernels run the scans of this context: "pytorch", "triton scalar_decay" and the like."""
    token = _noted.set(names)
    try:
        yield
    finally:
        _noted.reset(token)


def note(name: str) -> None:
    """Note for :func:`kernels_noted` that the kernel ``name`` runs."""
    names = _noted.get()
    if names is not None:
        names.add(name)


def say_once(inputs: ScanInputs, window: int | None = None) -> None:
    """Leave one line in the log for inputs on a GPU of a shape, or in a window, that no Triton kernel takes."""
    shape = (*inputs.x.shape[2:], inputs.B.shape[-1], inputs.log_decay.shape[-1], inputs.x.dtype)
    if (*shape, window) not in _said:
        _said.add((*shape, window))
        log.warning(
            "PyTorch scans on the GPU: no Triton kernel takes heads %d x %d, d_state %d (%d decays, %s)%s",
            *shape,
            f" in a window of {window}" if window else "",
        )


def windowed(
    inputs: ScanInputs, memory: Memory, window: int, token_norms: bool = False, *, kernel: str | None = None
) -> ScanOutput:
    """The scan of a sliding window on the kernel for its device; see :func:`kernels.cpu.windowed.windowed_scan`.

    Triton takes one decay per head, windows of a chunk or more, and no norms at every token; PyTorch takes the rest.
    """

    def by_triton() -> ScanOutput | None:
        module = family(WINDOW[0])
        fits = module.supports(inputs) and window >= CHUNK and not token_norms and module.carries(memory)
        return module.scalar_window_scan(inputs, memory, window) if fits else None

    output = attempt(WINDOW[0], by_triton, forced=forced_kernel(kernel), gpu=on_gpu(inputs))
    if output is not None:
        note(f"triton {WINDOW[0]}")
        return output
    if forced_kernel(kernel) is None and on_gpu(inputs) and WINDOW[0] not in broken:
        say_once(inputs, window)
    note("pytorch")
    return windowed_scan(inputs, memory, window, token_norms)


def forced_kernel(kernel: str | None = None) -> str | None:
    """The kernel that the caller or else the environment orders; None if neither does."""
    return kernel or os.environ.get(VARIABLE) or None


def attempt(name: str, by_triton: Callable[[], Found | None], *, forced: str | None, gpu: bool) -> Found | None:
    """What the Triton kernel ``name`` gives; None where it is not to run, does not take the inputs, or fails.

    A kernel that was forced, or that is out of memory, raises what it raises.
    """
    if forced != "triton" and (forced is not None or not gpu or name in broken):
        return None
    try:
        return by_triton()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        if forced == "triton":
            raise
        give_up({name}, error)
        return None


def give_up(names: set[str], error: Exception) -> None:
    """Leave one line in the log, and let PyTorch run for ``names`` from now on."""
    log.warning("PyTorch runs instead of the Triton kernels of %s: %s", ", ".join(sorted(names)), error)
    broken.update(names)


def on_gpu(inputs: ScanInputs) -> bool:
    """Whether Triton has a device for ``inputs``."""
    return inputs.x.device.type == "cuda"


def family(name: str) -> ModuleType:
    """The module of one family; importing it imports Triton."""
    return importlib.import_module(dict([WINDOW])[name] if name == WINDOW[0] else FAMILIES[name][0])


def run_family(name: str, inputs: ScanInputs, memory: Memory, token_norms: bool, chunk: int) -> ScanOutput:
    """The scan of one family."""
    output: ScanOutput = getattr(family(name), FAMILIES[name][1])(inputs, memory, token_norms, chunk=chunk)
    return output
