"""Cells at the shapes of their presets: what runs them against the plain loop over time, and torch.compile against it.

One layer, in float32: a segment of a reading, and the forward and backward pass of a batch of training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from kernels.cells.dispatch import loop
from kernels.cells.loop import step_loop
from kernels.cells.types import CellInputs, Loop, Retention
from kernels.types import Memory
from model.config import PRESETS
from model.mixers import MIXERS
from model.mixers.cell import CellMixer
from model.reading.stream import segment_of
from model.training.loop import TRAINING_CHUNK
from model.training.train import TrainConfig

UNROLLED = 32
"""Tokens that torch.compile takes together; of more it takes longer than minutes to compile."""


class Task(NamedTuple):
    """One comparison: its name, the tokens of a turn, and a turn of either contestant."""

    name: str
    tokens: int
    ours: Callable[[], object]
    plain: Callable[[], object]


def tasks() -> Iterator[Task]:
    """Every cell, reading and training: the loop that the door chooses, against the plain one."""
    for name, row in MIXERS.items():
        if row.cell:
            for inputs, memory, turn, label in situations(name):
                tokens = inputs.x.shape[0] * inputs.x.shape[1]
                how = "fused kernel" if inputs.cell.fused else "compiled loop"
                yield Task(
                    f"{name}-base: {label}, {how} vs plain",
                    tokens,
                    partial(turn, loop, inputs, memory),
                    partial(turn, step_loop, inputs, memory),
                )


def torch_compile_tasks() -> Iterator[Task]:
    """Reading with what torch.compile makes of so many tokens' steps, against the plain loop: cells of one vector."""
    for name, row in MIXERS.items():
        if row.cell and not make(name).fused:
            (inputs, memory, turn, label), _ = situations(name)
            piece = torch.compile(partial(unrolled, inputs.cell), dynamic=False)
            yield Task(
                f"{name}-base: {label}, torch.compile vs plain",
                inputs.x.shape[1],
                partial(in_pieces, piece, inputs, memory),
                partial(turn, step_loop, inputs, memory),
            )


def make(name: str) -> CellMixer:
    """The cell of a preset with weights as training starts from."""
    torch.manual_seed(0)
    mixer = MIXERS[name].make(PRESETS[f"{name}-base"])
    assert isinstance(mixer, CellMixer)
    return mixer


def situations(name: str) -> Iterator[tuple[CellInputs, Memory, Callable[[Loop, CellInputs, Memory], object], str]]:
    """Reading a segment, then training on a batch: inputs, memory, a turn, and its label."""
    mixer, config = make(name), PRESETS[f"{name}-base"]
    seqlen, rows = config.train_length, TrainConfig.batch_tokens // config.train_length
    segment, batch = torch.randn(1, segment_of(config), config.d_model), torch.randn(rows, seqlen, config.d_model)
    yield CellInputs(mixer, segment), mixer.zero_state(1).memory, reading, "read"
    yield CellInputs(mixer, batch), mixer.zero_state(rows).memory, training, "train"


def reading(run: Loop, inputs: CellInputs, memory: Memory) -> None:
    """One segment."""
    with torch.inference_mode():
        run(inputs, memory)


def training(run: Loop, inputs: CellInputs, memory: Memory) -> None:
    """One batch, there and back."""
    partial(run, chunk=TRAINING_CHUNK)(inputs, memory).y.square().sum().backward()


def unrolled(cell: CellMixer, given: Tensor, carried: Tensor) -> Tensor:
    """The states after every token of a piece, (rows, tokens, units)."""
    step, read = cell.stepping(Retention()), []
    for token in given.unbind(1):
        (carried,), _ = step(token, (carried,))
        read.append(carried)
    return torch.stack(read, 1)


def in_pieces(piece: Callable[[Tensor, Tensor], Tensor], inputs: CellInputs, memory: Memory) -> Tensor:
    """One segment, UNROLLED tokens at a time."""
    with torch.no_grad():
        carried, read = memory.state.flatten(1), []
        for given in inputs.cell.project(inputs.x).split(UNROLLED, dim=1):
            read.append(piece(given, carried))
            carried = read[-1][:, -1]
        return torch.cat(read, 1)
