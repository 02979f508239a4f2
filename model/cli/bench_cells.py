"""Cells at the shapes of their presets: what runs them against the plain loop over time, and torch.compile against it.

One layer, in float32: a segment of a reading, and the forward and backward pass of a batch of training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kernels.cells.dispatch import loop
from kernels.cells.loop import step_loop
from kernels.cells.types import CellInputs, Retention
from kernels.types import Memory
from model.config import PRESETS
from model.mixers import MIXERS
from model.mixers.cell import CellMixer
from model.reading.stream import segment_of
from model.training.loop import TRAINING_CHUNK
from model.training.train import TrainConfig

CELLS = tuple(name for name, row in MIXERS.items() if row.cell)
UNROLLED = 32
"""Tokens whose steps torch.compile takes together, and compiles in minutes."""


class Task(NamedTuple):
    """One comparison: its name, the tokens of a turn, and a turn of either contestant."""

    name: str
    tokens: int
    ours: Callable[[], object]
    plain: Callable[[], object]


def tasks() -> Iterator[Task]:
    """Every cell, reading and training: the loop that the door chooses, against the plain one."""
    for name in CELLS:
        mixer = make(name)
        way = "fused" if mixer.fused else "compiled"
        for label, turn, inputs in (("read", reading, segment(mixer)), ("train", training, batch(mixer))):
            tokens = inputs.x.shape[0] * inputs.x.shape[1]
            ours, plain = partial(turn, loop, inputs), partial(turn, step_loop, inputs)
            yield Task(f"{name}: {label}, {way} vs plain loop", tokens, ours, plain)


def torch_compile_tasks() -> Iterator[Task]:
    """Reading by cells without a fused kernel: what torch.compile makes of their steps, against the plain loop."""
    for name in CELLS:
        mixer = make(name)
        if not mixer.fused:
            inputs, piece = segment(mixer), torch.compile(partial(unrolled, mixer), dynamic=False)
            ours, plain = partial(in_pieces, piece, inputs), partial(reading, step_loop, inputs)
            yield Task(f"{name}: read, torch.compile vs plain loop", inputs.x.shape[1], ours, plain)


def make(name: str) -> CellMixer:
    """The cell of a preset with weights as training starts from."""
    torch.manual_seed(0)
    mixer = MIXERS[name].make(PRESETS[f"{name}-base"])
    assert isinstance(mixer, CellMixer)
    return mixer


def segment(mixer: CellMixer) -> CellInputs:
    """What one layer gets at a time in a reading."""
    return CellInputs(mixer, torch.randn(1, segment_of(mixer.config), mixer.config.d_model))


def batch(mixer: CellMixer) -> CellInputs:
    """What one layer gets at a time in training."""
    seqlen = mixer.config.train_length
    return CellInputs(mixer, torch.randn(TrainConfig.batch_tokens // seqlen, seqlen, mixer.config.d_model))


def reading(run: Any, inputs: CellInputs) -> None:
    """One segment from an empty memory."""
    with torch.inference_mode():
        run(inputs, memory_of(inputs))


def training(run: Any, inputs: CellInputs) -> None:
    """Forward and backward pass of one batch."""
    run(inputs, memory_of(inputs), chunk=TRAINING_CHUNK).y.square().sum().backward()


def memory_of(inputs: CellInputs) -> Memory:
    """An empty one for as many rows."""
    assert isinstance(inputs.cell, CellMixer)
    return inputs.cell.zero_state(len(inputs.x)).memory


def unrolled(cell: CellMixer, given: Tensor, carried: Tensor) -> Tensor:
    """The states after every token of a piece, (rows, tokens, units)."""
    step, read = cell.stepping(Retention()), []
    for token in given.unbind(1):
        (carried,), _ = step(token, (carried,))
        read.append(carried)
    return torch.stack(read, 1)


def in_pieces(piece: Callable[[Tensor, Tensor], Tensor], inputs: CellInputs) -> None:
    """One segment, UNROLLED tokens at a time."""
    with torch.no_grad():
        carried = memory_of(inputs).state.flatten(1)
        for given in inputs.cell.project(inputs.x).split(UNROLLED, dim=1):
            carried = piece(given, carried)[:, -1]
