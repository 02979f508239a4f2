"""The part of a state that a passage wrote, followed forward while a text is read on.

The recurrence is linear in what tokens write, x_t. So what the passage p left in the state after T tokens,

    M_T = sum over t in p of x_t B_t^T P_{t+1} ... P_T            letters of :mod:`model.studies.shares.run`

is itself the state of a scan: of the same inputs with x_t = 0 outside the passage, from an empty memory. It runs beside
the reading, carried in the memory's ``past``, so a state may be copied and continued as any other. The share of the
passage is <M_T, h_T> / |h_T|^2, the same as the shares of its tokens together, here for every T in one pass forward.

A bound of the norm scales a head by what depends on the whole state, so there the passage's part is stacked under the
state, in more rows of the same head, and is scaled as the state is. It is made so small (:data:`FAINT`) that it does
not count in the norm, and large again afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from kernels.types import Memory, Scan, ScanInputs, ScanOutput
from model.interventions.mitigations import MITIGATIONS, active
from model.mixers import MIXERS, additive
from model.state import State

FAINT = 1e-4
"""Factor of a part that is stacked under its state: in the square of the norm it counts 1e-8."""


def follower(settings: Mapping[str, float], layers: tuple[str, ...]) -> Callable[[Scan, int], Scan] | None:
    """How a passage is followed through scans of ``layers`` with the mitigations ``settings``; None where it cannot be.

    What a cell or a cache holds is no sum of what tokens wrote.
    """
    if not additive(layers):
        return None
    operators = [row for name in active(settings) if (row := MITIGATIONS[name]).operator is not None]
    if all(row.additive for row in operators):
        return _beside
    return _under if len(operators) == 1 and operators[0].rescales else None


def begun(state: State, mixers: Sequence[str]) -> State:
    """``state`` before the passage, of layers of ``mixers``: what scans of :func:`followed` start from."""
    layers = []
    for layer, mixer in zip(state, mixers, strict=True):
        memory = layer.memory
        rows = len(memory.state)
        # Writes of the passage that the scan has been given (below zero, those before it), tensors of the scan itself.
        marks = torch.tensor([[-MIXERS[mixer].delay, len(memory.past)]]).repeat(rows, 1)
        past = (*memory.past, torch.zeros_like(memory.state), marks)
        layers.append(layer._replace(memory=Memory(memory.state, past)))
    return tuple(layers)


def followed(scans: Sequence[Scan], length: int, how: Callable[[Scan, int], Scan] | None = None) -> list[Scan]:
    """``scans``, one a layer, which also follow what the first ``length`` tokens since :func:`begun` write.

    ``how`` is that of :func:`follower`; by default that of scans that are linear.
    """
    return [(how or _beside)(scan, length) for scan in scans]


def _beside(scan: Scan, length: int) -> Scan:
    """``scan``, which is linear in x, run a second time for the passage alone."""

    def scan_followed(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        whole, part, read = _taken_apart(memory)
        output = scan(inputs, whole, token_norms)
        alone = of_passage(inputs.x, read, length)
        left = scan(inputs._replace(x=alone), part).memory
        marks = torch.tensor([[read + inputs.x.shape[1], len(output.memory.past)]]).repeat(len(left.state), 1)
        past = (*output.memory.past, *left.past, left.state, marks)
        return output._replace(memory=Memory(output.memory.state, past))

    return scan_followed


def _under(scan: Scan, length: int) -> Scan:
    """``scan``, which scales whole heads by their norm, with the passage's part as further rows of every head."""

    def scan_stacked(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        whole, part, read = _taken_apart(memory)
        alone = FAINT * of_passage(inputs.x, read, length)
        stacked = Memory(torch.cat([whole.state, FAINT * part.state], dim=2))
        output = scan(inputs._replace(x=torch.cat([inputs.x, alone], dim=3)), stacked, token_norms)
        rows = whole.state.shape[2]
        state, left = output.memory.state.split(rows, dim=2)
        marks = torch.tensor([[read + inputs.x.shape[1], 0]]).repeat(len(state), 1)
        return output._replace(
            y=output.y[..., :rows],
            boundary_states=output.boundary_states[..., :rows, :],
            memory=Memory(state, (left / FAINT, marks)),
            telemetry=None,
        )

    return scan_stacked


def of_passage(x: Tensor, read: int, length: int) -> Tensor:
    """``x``, whose first token is number ``read`` of a passage, and zero outside its ``length`` tokens."""
    alone = x.clone()
    alone[:, : max(0, -read)] = 0
    alone[:, max(0, length - read) :] = 0
    return alone


def _taken_apart(memory: Memory) -> tuple[Memory, Memory, int]:
    """The memory of the scan itself, that of the passage alone, and what :func:`begun` counts."""
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
