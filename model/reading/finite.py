"""Where numbers stop being finite, and why: a reading stops there, keeps what was before, and names the cause.

What is checked has arrived as numpy in any case. The cause is looked for only once: a weight that is not finite, or
else the first layer that overflows when the tokens in question are read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kernels.attention import AttentionInputs
from kernels.cells.types import CellInputs
from kernels.dispatch import scan
from kernels.types import CHUNK, Memory, Scan, ScanInputs, ScanOutput
from model.arch.lm import LanguageModel
from model.errors import UserError
from model.reading.stream import Segment
from model.recording.schema import DECAYS, EFFECTIVE_RANK, OVERWRITING, SKETCHED, TOKEN_NORM
from model.state import State

MAY_BE_NAN = {*DECAYS, *OVERWRITING, EFFECTIVE_RANK}
"""Telemetry that is NaN where there is nothing to tell; a state that such a decay made is not finite either."""


class NotFiniteError(ArithmeticError):
    """After ``read`` tokens the first number is not finite; ``control``: of the control, not of the reading."""

    def __init__(self, read: int, *, control: bool = False) -> None:
        super().__init__(f"not finite after {read} tokens")
        self.read, self.control = read, control

    @property
    def safe(self) -> int:
        """Tokens of whole chunks before it."""
        return (self.read - 1) // CHUNK * CHUNK


def check_segment(segment: Segment, snapshots: np.ndarray) -> None:
    """NotFiniteError for the earliest number of ``segment`` that is not finite: a loss, telemetry, or its state.

    ``snapshots`` are the positions of all snapshots, in tokens.
    """
    found = [segment.start + 1 + row for row in _first_bad(segment.losses)]
    for name, (first, values) in segment.telemetry.items():
        if name in MAY_BE_NAN:
            continue
        for row in _first_bad(values):
            if name == TOKEN_NORM:
                found.append(first + row + 1)
            elif name == SKETCHED:
                found.append(int(snapshots[first + row]))
            else:
                found.append(min((first + row) * CHUNK, segment.stop))
    if any(_first_bad(array.reshape(1, -1)) for array in segment.saved.values()):
        found.append(segment.stop)
    if found:
        raise NotFiniteError(max(1, min(found)))


def finite_control(losses: np.ndarray, first: int) -> int:
    """How many of the control's ``losses``, of the tokens from ``first`` on, are finite at their start.

    Token 0 is predicted by nothing and has none.
    """
    skipped = int(first == 0)
    return next((row + skipped for row in _first_bad(losses[skipped:])), len(losses))


def _first_bad(values: np.ndarray) -> list[int]:
    """The first row of ``values`` with a number that is not finite, if there is one."""
    fine = np.isfinite(values)
    return [] if fine.all() else [int(np.argmin(fine.reshape(len(fine), -1).all(1)))]


class Overflow(NamedTuple):
    """Where numbers overflow first: in the ``inputs`` of a layer's recurrence or its ``state``, or in the ``output``.

    ``layer`` and ``head`` are -1 for the output, after the last recurrence. ``read``: tokens until then, 0 if it takes
    all of them at once.
    """

    where: str
    layer: int = -1
    head: int = -1
    read: int = 0


class Passage(NamedTuple):
    """What is read again to find a cause: ``model`` reads ``tokens``, which come after ``start`` others."""

    model: LanguageModel
    start: int
    tokens: np.ndarray
    state: State
    scans: Sequence[Scan]


def explained(error: NotFiniteError, passage: Passage, kept: int) -> UserError:
    """``error``, met in ``passage``, in a sentence with its nearest cause; ``kept`` tokens are recorded."""
    overflow = overflow_in(passage)
    token = passage.start + overflow.read if overflow.read else error.read
    place = UserError(f"reading.place.{overflow.where}", layer=overflow.layer, head=overflow.head)
    if error.control:
        place = UserError("reading.place.control", place=place)
    cause = cause_in(passage.model)
    before = UserError("reading.kept", tokens=kept) if kept else UserError("reading.nothing_kept")
    return UserError("reading.not_finite", token=token, place=place, cause=cause, kept=before)


def cause_in(model: LanguageModel) -> UserError:
    """Why numbers of ``model`` are not finite: the first weight that is not, or else an overflow."""
    weights = model.named_parameters()
    broken = next((name for name, weight in weights if not bool(torch.isfinite(weight).all())), None)
    return UserError("reading.cause.overflow") if broken is None else UserError("reading.cause.weight", tensor=broken)


def check_scores(model: LanguageModel, scores: Tensor) -> None:
    """UserError if ``scores`` of the next token, of any shape, are not finite: nothing is predicted then."""
    if not bool(torch.isfinite(scores).all()):
        raise UserError("reading.scores_not_finite", cause=cause_in(model))


def overflow_in(passage: Passage) -> Overflow:
    """Where numbers overflow first in ``passage``.

    Its tokens are read one by one, for in the products of a chunk one bad token spoils those before it; and if that
    goes well, all at once.
    """
    model, _, tokens, state, scans = passage
    ids = torch.from_numpy(tokens.astype(np.int64)).to(model.head.device)[None]
    with torch.inference_mode():
        for row in range(len(tokens)):
            found, state = _look(model, ids[:, row : row + 1], state, scans)
            if found is not None:
                return found._replace(read=row + 1)
        found, _ = _look(model, ids, passage.state, scans)
    return found or Overflow("output")


def _look(model: LanguageModel, ids: Tensor, state: State, scans: Sequence[Scan]) -> tuple[Overflow | None, State]:
    """The first overflow while ``ids`` are read, if there is one, and the state after them."""
    found: list[Overflow] = []

    def watched(layer: int, scan: Scan) -> Scan:
        def scan_watched(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
            output = scan(inputs, memory, token_norms)
            states = output.boundary_states
            places = {
                "inputs": _given(inputs),
                "state": [output.y, states, states.square().sum(-1)],
            }
            for where, tensors in places.items():
                heads = [head for tensor in tensors for head in _bad_heads(tensor, states.shape[2])]
                found.extend([Overflow(where, layer, min(heads))] if heads else [])
            return output

        return scan_watched

    hidden, state = model.hidden(ids, state, [watched(layer, scan) for layer, scan in enumerate(scans)])
    if not found and not bool(torch.isfinite(model.logits(hidden)).all()):
        found.append(Overflow("output"))
    return (found[0] if found else None), state


def _given(inputs: ScanInputs | CellInputs | AttentionInputs) -> list[Tensor]:
    """What is checked of the inputs of a layer; those of a cell are no head's own."""
    if isinstance(inputs, CellInputs):
        return [inputs.x[:, :, None]]
    if isinstance(inputs, AttentionInputs):
        return list(inputs[:3])
    decay = inputs.log_decay.clamp_min(-1)  # minus infinity is a decay too: all is forgotten
    return [*inputs[:3], decay, *(inputs.low_rank or ())]


def _bad_heads(tensor: Tensor, nheads: int) -> list[int]:
    """The first head of ``tensor`` (batch, rows, heads or groups, ...) with a number that is not finite."""
    fine = torch.isfinite(tensor[0]).flatten(2).all(-1).all(0)
    return [] if bool(fine.all()) else [int((~fine).nonzero()[0]) * (nheads // len(fine))]


def control_passage(model: LanguageModel, tokens: np.ndarray, token: int, train_length: int) -> Passage:
    """The window of the control that scores ``token`` of ``tokens``: ``model`` is plain, its state fresh."""
    step = max(1, train_length // 2)
    start = max(0, -(-(token - train_length) // step)) * step
    window = tokens[start : start + train_length]
    return Passage(model, start, window, model.zero_state(), [scan] * len(model.config.layers))
