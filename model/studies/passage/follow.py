"""The part of a state that a passage wrote, followed forward while a text is read on.

The recurrence is linear in what tokens write, x_t. So what the passage p left in the state after T tokens,

    M_T = sum over t in p of x_t B_t^T P_{t+1} ... P_T            letters of :mod:`model.studies.shares.run`

is itself the state of a scan: of the same inputs with x_t = 0 outside the passage, from an empty memory. It runs beside
the reading, carried in the memory's ``past``, so a state may be copied and continued as any other. The share of the
passage is <M_T, h_T> / |h_T|^2, the same as the shares of its tokens together, here for every T in one pass forward.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kernels.types import Memory, Scan, ScanInputs, ScanOutput
from model.state import State


def begun(state: State) -> State:
    """``state`` before the passage: what scans of :func:`followed` start from."""
    layers = []
    for layer in state:
        memory = layer.memory
        rows = len(memory.state)
        marks = torch.tensor([[0, len(memory.past)]]).repeat(rows, 1)  # tokens read since, tensors of the scan itself
        past = (*memory.past, torch.zeros_like(memory.state), marks)
        layers.append(layer._replace(memory=Memory(memory.state, past)))
    return tuple(layers)


def followed(scans: Sequence[Scan], length: int) -> list[Scan]:
    """``scans``, one a layer, which also follow what the first ``length`` tokens since :func:`begun` write."""
    return [_followed(scan, length) for scan in scans]


def _followed(scan: Scan, length: int) -> Scan:
    def scan_followed(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        whole, part, read = _taken_apart(memory)
        output = scan(inputs, whole, token_norms)
        alone = inputs.x.clone()
        alone[:, max(0, length - read) :] = 0
        left = scan(inputs._replace(x=alone), part).memory
        marks = torch.tensor([[read + inputs.x.shape[1], len(output.memory.past)]]).repeat(len(left.state), 1)
        past = (*output.memory.past, *left.past, left.state, marks)
        return output._replace(memory=Memory(output.memory.state, past))

    return scan_followed


def _taken_apart(memory: Memory) -> tuple[Memory, Memory, int]:
    """The memory of the scan itself, that of the passage alone, and the tokens read since the passage began."""
    *carried, part, marks = memory.past
    read, count = (int(number) for number in marks[0])
    return Memory(memory.state, tuple(carried[:count])), Memory(part, tuple(carried[count:])), read


def separated(state: State) -> tuple[State, list[Tensor]]:
    """A state of followed scans as that of plain ones, and the passage's part of it in each layer, shaped like it."""
    plain, parts = [], []
    for layer in state:
        whole, part, _ = _taken_apart(layer.memory)
        plain.append(layer._replace(memory=whole))
        parts.append(part.state)
    return tuple(plain), parts
