"""What is still remembered: how much of the state at one moment comes from each token of the text before it.

A state is a sum of what single tokens wrote, each carried from there to here by the transitions between,

    h_T = h_0 P_1 ... P_T + sum over t of x_t B_t^T P_{t+1} ... P_T            P_t = diag(d_t) (I + a_t b_t^T)

with the letters of :mod:`kernels.types`; P, B and the decays are those that the text chose, so the sum is exact. The
share of token t is the part of the state's squared norm that its term holds,

    share_t = <x_t B_t^T P_{t+1} ... P_T, h_T> / |h_T|^2

and all shares, that of the initial state among them, add up to 1. A share below zero belongs to a token whose term
points against the state: later tokens took back what it wrote. No term is ever formed: with L = |h_T|^2 / 2 a share is
x_t . dL/dx_t / |h_T|^2, the derivative through the scan alone, which kernels have. The text is read forward once more
for every level of checkpoints, then backwards piece by piece, so memory is bounded whatever the length.

The convolution before a scan mixes a token with the few before it; what it writes counts as the token's own. Where the
scan gets a write one token later (Mamba-3), the last token has no share yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kernels.dispatch import scan
from kernels.types import CHUNK, Memory, ScanInputs, ScanOutput
from model.errors import UserError
from model.interventions.mitigations import MITIGATIONS, active
from model.mixers import MIXERS
from model.reading.again import first_state, reader_of
from model.studies.shares.result import Shares, no_shares

if TYPE_CHECKING:
    from kernels.types import Scan
    from model.arch.lm import LanguageModel
    from model.config import ModelConfig
    from model.reading.prepare import Prepared
    from model.state import State

LEAF = 1024
"""Tokens whose scan inputs are held at once."""
PARTS = 64
"""States held at each level of checkpoints: two levels reach four million tokens."""


class StoppedError(Exception):
    """The user cancelled; nothing is stored."""


def remembered(
    prepared: Prepared,
    moment: int,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Shares:
    """The shares of the state after ``moment`` tokens of ``prepared``.

    ``on_progress`` gets tokens that were gone back over and how many there are. UserError for a moment outside the
    document, and for a cell, attention or a mitigation that replaces the scan: no sum of what tokens wrote is kept.
    """
    experiment = prepared.experiment
    if not 1 <= moment <= experiment.tokens:
        raise UserError("shares.moment", moment=moment, tokens=experiment.tokens)
    for name in active(dict(experiment.strategy.mitigations)):
        if MITIGATIONS[name].operator is not None:
            raise UserError("shares.operator", name=name)
    held: list[ScanInputs] = []
    model, scans = reader_of(experiment, prepared.explored, "cpu", capture(held))
    check_linear(model.config, experiment.model)
    walk = Backwards(model, prepared.tokens[:moment], scans, held, on_progress, stop)
    return walk.shares(first_state(prepared, model))


def check_linear(config: ModelConfig, name: str) -> None:
    """UserError where the memory of the model ``name`` is no sum of what tokens wrote: a cell's, or a cache."""
    obstacle = no_shares(config.layers)
    if obstacle is not None:
        raise UserError(f"shares.{obstacle}", model=name)


def capture(held: list[ScanInputs]) -> Scan:
    """The scan of the device, which also keeps its inputs in ``held``: layer after layer."""

    def scan_capturing(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        held.append(inputs)
        return scan(inputs, memory, token_norms)

    return scan_capturing


@dataclass(eq=False)
class Backwards:
    """The way back over ``tokens`` (moment,), through ``scans`` that put their inputs into ``held``."""

    model: LanguageModel
    tokens: np.ndarray
    scans: Sequence[Scan]
    held: list[ScanInputs]
    on_progress: Callable[[int, int], None]
    stop: Callable[[], bool]
    done: int = 0

    def __post_init__(self) -> None:
        """Room for the products x_t . dL/dx_t: (layers, moment), and by head (layers, heads, nchunks)."""
        layers, moment, heads = len(self.scans), len(self.tokens), self.model.config.recorded_heads
        self.delays = [MIXERS[name].delay for name in self.model.config.layers]
        self.by_token = np.zeros((layers, moment))
        self.by_chunk = np.zeros((layers, heads, -(-moment // CHUNK)))

    def shares(self, first: State) -> Shares:
        """The shares of the state after all tokens, from the state ``first`` before them."""
        moment = len(self.tokens)
        final = [layer.memory.state.double() for layer in self.ends(0, moment, moment, first)[-1][1]]
        gradients = self.back(0, moment, first, final)
        square = np.stack([self.by_head(state.square().sum((-1, -2))) for state in final])  # (layers, heads)
        left = np.stack(
            [
                self.by_head((gradient * layer.memory.state).sum((-1, -2)))
                for gradient, layer in zip(gradients, first, strict=True)
            ]
        )

        def of(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
            whole = np.broadcast_to(whole, part.shape)
            return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0).astype(np.float32)

        return Shares(
            moment=moment,
            by_token=of(self.by_token, square.sum(1, keepdims=True)),
            by_chunk=of(self.by_chunk, square[..., None]),
            initial=of(left.sum(1), square.sum(1)),
            initial_by_head=of(left, square),
            norm=np.sqrt(square).astype(np.float32),
        )

    def by_head(self, values: Tensor) -> np.ndarray:
        """(1, nheads) -> (heads,): sums of neighbours, where a recorded head is a group of channels."""
        return grouped_sum(values, self.model.config.recorded_heads)[0].numpy()

    def back(self, start: int, end: int, state: State, gradients: list[Tensor]) -> list[Tensor]:
        """dL/dh before the token ``start``, of each layer, from ``gradients``, those after the token ``end`` - 1."""
        if end - start <= LEAF:
            return self.leaf(start, end, state, gradients)
        size = LEAF * max(1, -(-(end - start) // (LEAF * PARTS)))
        before = [(start, state), *self.ends(start, end, size, state)[:-1]]
        for first, there in reversed(before):
            gradients = self.back(first, min(end, first + size), there, gradients)
        return gradients

    def ends(self, start: int, end: int, size: int, state: State) -> list[tuple[int, State]]:
        """Where pieces of ``size`` tokens, whole LEAFs, of ``start`` to ``end`` end, and the state there."""
        found = []
        for first in range(start, end, LEAF):
            last = min(end, first + LEAF)
            state = self.read(first, last, state)
            if (last - start) % size == 0 or last == end:
                found.append((last, state))
        return found

    def read(self, first: int, last: int, state: State) -> State:
        """Read the tokens ``first`` to ``last``; afterwards ``held`` has what the scans got, one entry a layer."""
        if self.stop():
            raise StoppedError
        self.held.clear()
        ids = torch.from_numpy(self.tokens[first:last].astype(np.int64))[None].to(self.model.head.device)
        with torch.no_grad():
            return self.model.hidden(ids, state, self.scans)[1]

    def leaf(self, start: int, end: int, state: State, gradients: list[Tensor]) -> list[Tensor]:
        """:meth:`back` for a piece whose inputs are held at once; in float64, for sums over a long document."""
        self.read(start, end, state)
        before = []
        for layer, (inputs, there, gradient) in enumerate(zip(self.held, state, gradients, strict=True)):
            exact = inputs.map(lambda tensor: tensor.double())
            x = exact.x.clone().requires_grad_()
            memory = Memory(there.memory.state.double().clone().requires_grad_())
            after = scan(exact._replace(x=x), memory).memory.state
            along_x, along_state = torch.autograd.grad(after, (x, memory.state), gradient)
            parts = grouped_sum((x.detach() * along_x).sum(-1)[0], len(self.by_chunk[layer])).numpy()  # (seqlen, heads)
            tokens = np.maximum(np.arange(start, end) - self.delays[layer], 0)  # an empty window has nothing to write
            np.add.at(self.by_token[layer], tokens, parts.sum(1))
            np.add.at(self.by_chunk[layer].T, tokens // CHUNK, parts)
            before.append(along_state)
        self.done += end - start
        self.on_progress(self.done, len(self.tokens))
        return before


def grouped_sum(values: Tensor, heads: int) -> Tensor:
    """(..., nheads) -> (..., heads): sums of neighbours, where a recorded head is a group of channels."""
    return values.unflatten(-1, (heads, -1)).sum(-1).cpu()
