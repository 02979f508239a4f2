"""Speed alone, behind :mod:`.fork`: rows of a stack of Mamba-2 share what stands before the first scan.

Delete this file (and the two that only it imports, :mod:`.shared_mamba2` and :mod:`.shared_scans`) and the answers are
the same, several times later. Rows that read the same tokens share all that precedes the first scan, whose inputs
depend on no state, and so do suffixes; the last layer only updates its state, and not even with what its heads will
have forgotten when something is queried.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from model.arch.lm import LanguageModel
from model.mixers.mamba2 import Mamba2
from model.reading.stream import SEGMENT
from model.state import State
from model.studies.passkey.continuation import WORK, Continuation, ScansOver, each
from model.studies.passkey.shared_mamba2 import Shared, advance_model, advance_shared, join_rows, share, some_rows
from model.studies.passkey.shared_scans import shared_scan, state_scan

SIDE_BY_SIDE = 1 << 22
"""Tokens of all rows, times channels of a layer, that go through the layers at once where rows share what they read."""

KEPT = 1 << 28
"""Bytes of shared tokens, read up to the first scan, that are kept for the suffixes that pass them later."""

TURN = 8
"""Segments that rows go through before those that wait for their turn: few enough to be held at once."""


class SharedContinuation(Continuation):
    """A stack of Mamba-2 that continues from copied states; rows share what they read alike."""

    def __init__(self, model: LanguageModel, scans_over: ScansOver) -> None:
        super().__init__(model, scans_over)
        self.reading = [*scans_over(shared_scan)[:-1], scans_over(state_scan)[-1]]
        self.reach = model.config.d_conv - 1  # tokens that the window holds
        self._kept: dict[tuple[int, int] | None, Shared] = {}
        self._room, self._lock = KEPT, threading.Lock()

    @staticmethod
    def takes(model: LanguageModel) -> bool:
        """Whether ``model`` is one whose rows can share: a layer comes after the first, and all are Mamba-2."""
        return len(model.blocks) > 1 and all(isinstance(block.mixer, Mamba2) for block in model.blocks)

    def on(
        self, state: State, ids: Tensor, tick: Callable[[int], None], rows: int = 1, place: int | None = None
    ) -> State:
        """The state of ``rows`` rows after ``ids``, of one row that all of them read, or of a row each.

        ``tick(tokens read)`` is called after every segment. ``place`` says where in the filler of all trials ``ids``
        begin, so that others who come by there need not read them again.
        """
        same = shared_columns(ids)
        state = self._together(state, ids[:1, :same], tick, rows, place)
        if same < ids.shape[1]:
            state = self._segments(each(state, len(ids)), ids[:, same:], tick)
        return state

    def alike(self, state: State) -> State:
        """``state`` of rows that have read the same tokens for so long that the first layer's windows agree."""
        return (state[0]._replace(window=state[0].window[:1]), *state[1:])

    def _together(
        self, state: State, ids: Tensor, tick: Callable[[int], None], rows: int, place: int | None = None
    ) -> State:
        """Read ``ids`` (1, n) with every row: once they agree in what the first layer's window holds, as one."""
        if rows == 1 and len(state[0].memory.state) == 1:
            return self._segments(each(state, rows), ids.expand(rows, -1), tick)
        if len(state[0].window) > 1:
            state = self._segments(each(state, rows), ids[:, : self.reach].expand(rows, -1), tick)
            if ids.shape[1] < self.reach:
                return state
            state, ids = self.alike(state), ids[:, self.reach :]
            place = None if place is None else place + self.reach
        return self._shared(state, ids, tick, place)

    def _shared(self, state: State, ids: Tensor, tick: Callable[[int], None], place: int | None) -> State:
        """Read ``ids`` (1, n) with every row of ``state``, whose first window is of one row: a few rows at a time.

        What comes after the first scan is each row's own, and with a few rows at a time the caches hold it. Segments
        end where those of all others end that read this filler, so that they are the same.
        """
        read, start = 0, place or 0
        stop = start + ids.shape[1]
        edges = [start, *range(start - start % SEGMENT + SEGMENT, stop, SEGMENT), stop]
        segments = [(first, end) for first, end in pairwise(edges) if first < end]
        for turn in range(0, len(segments), TURN):
            shared, window = [], state[0].window
            for first, end in segments[turn : turn + TURN]:
                here = ids[:, first - start : end - start]
                again = place is not None and first % SEGMENT == 0  # where all suffixes come by that began before
                shared.append(self._read_once(here, window, (first, end) if again else None))
                window = shared[-1].prepared.window

            def passing(rows: int, parts: Sequence[Shared] = shared) -> Iterator[Shared]:
                nonlocal read
                for part in parts:
                    yield part
                    read += rows * part.u.shape[1]
                    tick(read)

            rows = len(state[0].memory.state)
            longest = max(part.u.shape[1] for part in shared)
            turns = -(-rows * longest * self.model.config.d_inner // SIDE_BY_SIDE)
            together = -(-rows // turns)  # as many in each turn
            after = []
            for row in range(0, rows, together):
                some = some_rows(state, slice(row, row + together))
                read_by = passing(len(some[0].memory.state))
                after.append(advance_shared(self.model, read_by, some, self.reading))
            joined = join_rows(after)
            state = (joined[0]._replace(window=window), *joined[1:])
        return state

    def _read_once(self, ids: Tensor, window: Tensor, name: tuple[int, int] | None) -> Shared:
        """``ids`` (1, n) up to the first scan; those of a ``name`` are kept, as long as there is room."""
        if name in self._kept:
            return self._kept[name]
        shared = share(self.model, ids, window)
        if name is not None:
            with self._lock:
                if self._room >= shared.size and name not in self._kept:
                    self._kept[name] = shared
                    self._room -= shared.size
        return shared

    def _segments(self, state: State, ids: Tensor, tick: Callable[[int], None]) -> State:
        rows = len(state[0].memory.state)
        size = min(SEGMENT, max(16, WORK // (self._channels * rows)))
        for first in range(0, ids.shape[1], size):
            state = advance_model(self.model, ids[:, first : first + size], state, self.reading)
            tick(rows * min(first + size, ids.shape[1]))
        return state


def shared_columns(ids: Tensor) -> int:
    """How many tokens at the start of ``ids`` (rows, n) are the same in every row."""
    differ = (ids != ids[:1]).any(0).nonzero()
    return int(differ[0, 0]) if len(differ) else ids.shape[1]
