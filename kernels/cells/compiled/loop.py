"""The compiled loops at the second door, for float32 on a CPU, with a gradient where one is wanted.

Only what goes from token to token is compiled. All else is the cell's own: its step, run for all tokens at once from
the states that are known by then, gives the gradients of inputs and weights, so that no loop needs a second copy of
every derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from kernels.cells.compiled import backward, forward
from kernels.cells.loop import log_decay_of
from kernels.cells.types import CellInputs, Retention, Step
from kernels.types import CHUNK, Memory, ScanOutput


class Loops(NamedTuple):
    """A cell's loops there and back; ``trace``: how often as many numbers as units the way back needs of a token.

    ``keeps``: whether the way there fills in the share that is kept.
    """

    there: Callable[..., None]
    back: Callable[..., None]
    trace: int
    keeps: bool


LOOPS = {
    "scrn": Loops(forward.scrn, backward.scrn, 0, True),
    "ctrnn": Loops(forward.ctrnn, backward.ctrnn, 1, True),
    "cfc": Loops(forward.cfc, backward.cfc, 4, False),
    "ltc": Loops(forward.ltc, backward.ltc, 0, True),
}


ROWS, UNITS = 64, 512
"""Rows and units up to which a loop is run: beyond them the products of a step outweigh its calls."""


class CompiledCell(Protocol):
    """What a cell of one vector has that a compiled loop runs; ``compiled`` names the loop."""

    compiled: str

    def constants(self, retention: Retention) -> tuple[Tensor | float, ...]:
        """What depends on the weights alone, in the order in which the loop takes it."""
        ...

    def stepping(self, retention: Retention) -> Step:
        """The step; see :class:`kernels.cells.types.Cell`."""
        ...

    def parameters(self) -> Iterator[Tensor]:
        """Every weight."""
        ...


def supports(inputs: CellInputs, memory: Memory) -> bool:
    """Whether a compiled loop runs the cell of ``inputs`` where its memory is."""
    state = memory.state
    known = getattr(inputs.cell, "compiled", None) in LOOPS and state.device.type == "cpu"
    return known and state.dtype == torch.float32 and len(state) <= ROWS and state[0].numel() <= UNITS


def compiled_loop(inputs: CellInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK) -> ScanOutput:
    """Run ``inputs`` from ``memory``; ValueError if :func:`supports` says no."""
    if not supports(inputs, memory):
        raise ValueError("no compiled loop runs these inputs")
    cell: CompiledCell = inputs.cell  # type: ignore[assignment]
    shape = memory.state.shape
    with torch.autocast("cpu", enabled=False):
        given = inputs.cell.project(inputs.x).float()
        before = memory.state.flatten(1)  # one vector
        kept = None
        if torch.is_grad_enabled():
            y = Run.apply(cell, inputs.retention, given, before, *cell.parameters())  # type: ignore[no-untyped-call]
        else:
            y, kept, _ = there(cell, inputs.retention, given, before)
    states, seqlen = y.view(*y.shape[:2], *shape[1:]), y.shape[1]
    ends = [*range(chunk - 1, seqlen - 1, chunk), seqlen - 1]
    boundaries = torch.cat([memory.state[:, None], states[:, ends]], 1)
    return ScanOutput(
        states[..., 0],
        boundaries,
        Memory(boundaries[:, -1], memory.past),
        states.square().sum((-1, -2)).sqrt() if token_norms else None,
        None if torch.is_grad_enabled() else log_decay_of(kept, inputs, shape),
    )


def there(
    cell: CompiledCell, retention: Retention, given: Tensor, before: Tensor
) -> tuple[Tensor, Tensor | None, Tensor]:
    """The states after every token, the shares kept, both (rows, seqlen, units), and the trace."""
    loops, (rows, seqlen, _), units = LOOPS[cell.compiled], given.shape, before.shape[1]
    y, kept = before.new_empty(rows, seqlen, units), before.new_empty(rows, seqlen, units if loops.keeps else 0)
    trace = before.new_empty(rows, seqlen, loops.trace * units)
    in_rows(loops.there, (given, before, y, kept, trace), cell.constants(retention))
    return y, kept if loops.keeps else None, trace


class Run(Function):
    """:func:`there` with a gradient: states of every token from what is given, the state before, and the weights."""

    @staticmethod
    def forward(
        ctx: Any, cell: CompiledCell, retention: Retention, given: Tensor, before: Tensor, *weights: Tensor
    ) -> Tensor:
        """The states after every token, (rows, seqlen, units)."""
        y, _, trace = there(cell, retention, given, before)
        ctx.cell, ctx.retention = cell, retention
        ctx.save_for_backward(given, before, y, trace, *weights)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of what is given, of the state before, and of every weight."""
        given, before, y, trace, *weights = ctx.saved_tensors
        errors = torch.cat([torch.zeros_like(before)[:, None], gradient], 1)
        tensors = (errors, given, before, y, trace)
        in_rows(LOOPS[ctx.cell.compiled].back, tensors, ctx.cell.constants(ctx.retention))
        # From states that are known, every token is a row of one batch, whose step depends on its own errors alone.
        rows = [given.flatten(0, 1).detach().requires_grad_(), torch.cat([before[:, None], y[:, :-1]], 1).flatten(0, 1)]
        wanted = [rows[0], *(weight for weight in weights if weight.requires_grad)]
        with torch.enable_grad(), torch.autocast("cpu", enabled=False):
            (following,), _ = ctx.cell.stepping(ctx.retention)(rows[0], (rows[1],))
            found = torch.autograd.grad(following, wanted, errors[:, 1:].flatten(0, 1), allow_unused=True)
        of_weights = iter(found[1:])
        return (
            *(None, None, found[0].view_as(given), errors[:, 0]),
            *(next(of_weights) if weight.requires_grad else None for weight in weights),
        )


def in_rows(loop: Callable[..., None], tensors: Sequence[Tensor], constants: Sequence[Tensor | float]) -> None:
    """Run ``loop`` over the rows of ``tensors``, which depend on no other, in as many threads as PyTorch has.

    Constants become float32, so that no sum of a loop is wider; a count stays one.
    """
    fixed: list[Any] = []
    for part in constants:
        if isinstance(part, Tensor):
            fixed.append(part.detach().float().contiguous().numpy())
        else:
            fixed.append(np.float32(part) if isinstance(part, float) else part)
    arrays = [tensor.detach().contiguous().numpy() for tensor in tensors]
    rows = len(arrays[0])
    threads = min(rows, torch.get_num_threads())
    places = [rows * part // threads for part in range(threads + 1)]

    def run(first: int, stop: int) -> None:
        loop(*(array[first:stop] for array in arrays), *fixed)

    if threads == 1:
        run(0, rows)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, places[:-1], places[1:]))
