"""RNN, LSTM and GRU on PyTorch's fused kernels (oneDNN, cuDNN or ATen), chunk after chunk.

The fused LSTM gives h after every token and c only at its end, so a chunk is what runs at once. The share that a
gate keeps is not given either; it follows from the h that are known by then, in one product for all tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from kernels.cells.loop import log_decay_of
from kernels.cells.types import CellInputs, Retention
from kernels.types import CHUNK, Memory, ScanOutput

FUSED: dict[str, Callable[..., tuple[Tensor, ...]]] = {"rnn_tanh": torch.rnn_tanh, "lstm": torch.lstm, "gru": torch.gru}


class FusedCell(Protocol):
    """What a cell has that a fused kernel runs: weights (gates units, d_in or units) and biases (gates units,).

    Gates are in PyTorch's order: i f g o of an LSTM, r z n of a GRU.
    """

    fused: str

    def weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of the input, of the state, and the biases of both."""
        ...

    def kept(self, x: Tensor, before: Tensor) -> Tensor | None:
        """The share of the state that is kept, from inputs and what was read before: (batch, seqlen, units)."""
        ...


def supports(inputs: CellInputs, token_norms: bool) -> bool:
    """Whether a fused kernel gives all that is asked: no norm at every token, and no retention but the cell's own."""
    return inputs.cell.fused is not None and not token_norms and inputs.retention == Retention()


def fused_loop(inputs: CellInputs, memory: Memory, *, chunk: int = CHUNK) -> ScanOutput:
    """Run ``inputs`` from ``memory``; ValueError if :func:`supports` says no."""
    if not supports(inputs, token_norms=False):
        raise ValueError("no fused kernel runs these inputs")
    cell: FusedCell = inputs.cell  # type: ignore[assignment]
    run, shape, dtype = FUSED[cell.fused], memory.state.shape, memory.state.dtype
    with torch.autocast(inputs.x.device.type, enabled=False):
        x, weights = inputs.x.to(dtype), [weight.to(dtype) for weight in cell.weights()]
        carried = tuple(vector[None].contiguous() for vector in memory.state.flatten(1, 2).unbind(-1))[::-1]
        boundaries, read = [memory.state], []
        for part in x.split(chunk, dim=1):
            start = carried if len(carried) > 1 else carried[0]
            y, *last = run(part, start, weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
            carried = tuple(last)
            read.append(y)
            boundaries.append(torch.stack([vector[0] for vector in carried[::-1]], dim=-1).view(shape))
        y = torch.cat(read, 1)
        decay = None
        if not torch.is_grad_enabled():
            first = memory.state[..., -1].flatten(1)[:, None]
            decay = log_decay_of(cell.kept(x, torch.cat([first, y[:, :-1]], 1)), inputs, shape)
    return ScanOutput(
        y.unflatten(-1, shape[1:3]),
        torch.stack(boundaries, 1),
        Memory(boundaries[-1], memory.past),
        None,
        decay,
    )
