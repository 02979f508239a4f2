"""The compiled loops at the second door, for float32 and float64 on a CPU, with a gradient where one is wanted.

Only what goes from token to token is compiled. All else is the cell's own: its step, run for all tokens at once from
the states that are known by then, gives the gradients of inputs and weights, so that no loop needs a second copy of
every derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

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
    known = getattr(inputs.cell, "compiled", None) in LOOPS
    return known and state.device.type == "cpu" and state.dtype in (torch.float32, torch.float64)


def compiled_loop(
    inputs: CellInputs, memory: Memory, token_norms: bool = False, *, chunk: int = CHUNK
) -> ScanOutput:
    """Run ``inputs`` from ``memory``; ValueError if :func:`supports` says no."""
    if not supports(inputs, memory):
        raise ValueError("no compiled loop runs these inputs")
    cell: CompiledCell = inputs.cell  # type: ignore[assignment]
    shape, dtype = memory.state.shape, memory.state.dtype
    with torch.autocast("cpu", enabled=False):
        given = inputs.cell.project(inputs.x).to(dtype)
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
    arrays = (_numpy(tensor) for tensor in (given, before, y, kept, trace))
    loops.there(*arrays, *_constants(cell, retention, y.dtype))
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
        errors = gradient.contiguous().clone()
        arrays = (_numpy(tensor) for tensor in (errors, given, before, y, trace))
        LOOPS[ctx.cell.compiled].back(*arrays, *_constants(ctx.cell, ctx.retention, y.dtype))
        # One step from every state: each depends on its own errors alone, so all tokens are rows of one batch.
        previous = torch.cat([before[:, None], y[:, :-1]], 1)
        leaves = [tensor.flatten(0, 1).detach().requires_grad_() for tensor in (given, previous)]
        wanted = [weight for weight in weights if weight.requires_grad]
        with torch.enable_grad(), torch.autocast("cpu", enabled=False):
            (following,), _ = ctx.cell.stepping(ctx.retention)(leaves[0], (leaves[1],))
            of_given, of_previous, *of_wanted = torch.autograd.grad(
                following, leaves + wanted, errors.flatten(0, 1), allow_unused=True
            )
        of_weights = iter(of_wanted)
        return (
            *(None, None, of_given.view_as(given), of_previous.view_as(previous)[:, 0]),
            *(next(of_weights) if weight.requires_grad else None for weight in weights),
        )


def _constants(cell: CompiledCell, retention: Retention, dtype: torch.dtype) -> list[Any]:
    constants = cell.constants(retention)
    return [_numpy(part.to(dtype)) if isinstance(part, Tensor) else part for part in constants]


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()
