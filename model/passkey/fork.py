"""The same cells as :mod:`model.passkey.run`, from far fewer tokens: what prompts have in common is read once.

Prompts of a trial share their filler up to where the sentence is told, and from there on up to where the shorter of
them ends. So the trunk, the plain filler, is read once. At every place a branch leaves it: one row for each key reads
the told sentence and goes on through the filler, and at the end of every length it passes, a copy of its state reads
the question. States are never changed in place, so a copy costs nothing until it is read on.

What that saves, in tokens per key, for 10 even depths from 0 to 1 and 8 lengths that double up to L. Cell by cell it
is 10 (L + L/2 + ...) = 20 L. A branch at depth d is read for (1 - d) L, over all depths 5 L for the longest length;
of every shorter one, the even places are those of the next length (see :mod:`model.passkey.prompts`) and cost nothing,
the odd ones 20/9 of it, 2.2 L in all. That is 7.2 L, 2.8 times less. The rest comes from what these tokens cost:

    1. Rows that read the same tokens share all that stands before the first scan, whose inputs depend on no memory
       (:func:`kernels.forked.shared_scan`); only reading from a memory is each row's own.
    2. While nothing is asked nobody reads the last layer's output, so it only writes
       (:func:`kernels.forked.state_scan`).

With two layers the two make a row's token 3 to 4 times cheaper; with many layers they matter little. Where every
trial has a filler of its own, as in a document, rows share no tokens and a branch is one row: only tokens are saved.
A mitigation that replaces the operator (a window, a bounded norm) runs as it is, with its carried past copied along.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from model.errors import UserError
from model.machine import free_memory
from model.passkey.prompts import Prompts
from model.passkey.result import PasskeyResult
from model.passkey.run import Report, Scans, cell_of, said

if TYPE_CHECKING:
    from torch import Tensor

    from model.lm import LanguageModel
    from model.state import State

WORK = 1 << 21
"""Tokens times channels of all layers that are read at once, over all rows: measured fastest on CPUs."""

STATES = 1 << 29
"""Bytes of states that are read on side by side; more rows than fit in take turns. As many are kept of the trunk."""


class Ask(NamedTuple):
    """A question on a branch's way: after ``end`` tokens of the filler and ``after`` line breaks, for these cells."""

    end: int
    after: int
    length: int


@dataclass(frozen=True, kw_only=True)
class Branch:
    """Where trials leave the trunk: after ``cut`` tokens of the filler and ``before`` line breaks; whom they answer."""

    trials: tuple[int, ...]
    cut: int
    before: int
    asks: dict[Ask, list[float]] = field(default_factory=dict)

    @property
    def credit(self) -> int:
        """Tokens of the prompts that are answered here."""
        return len(self.trials) * sum(ask.length * len(depths) for ask, depths in self.asks.items())

    @property
    def work(self) -> int:
        """Tokens that are read for them, roughly."""
        return len(self.trials) * max(1, max(ask.end for ask in self.asks) - self.cut)


class StoppedError(Exception):
    """Raised through a reading that is to stop."""


class Tally:
    """What is known so far, and how far the reading is: for several threads.

    ``report`` is called by one of them at a time, first of all with what was ``begun``.
    """

    def __init__(self, begun: PasskeyResult, report: Report, stop: Callable[[], bool]) -> None:
        self.result, self.done = begun, begun.tokens
        self._begun, self._report, self._stop = begun, report, stop
        self._answers: dict[tuple[int, float], list[np.ndarray]] = {
            cell: [] for cell in begun.task.cells if cell not in begun.cells
        }
        self._started, self._lock = time.monotonic(), threading.Lock()
        self.failed = False
        report(begun, self.done)

    def reached(self, tokens: int) -> None:
        """So many ``tokens`` more of the prompts are done; StoppedError if the run is to stop."""
        with self._lock:
            self.done += tokens
            self._report(self.result, self.done)
            if self.failed or self._stop():
                raise StoppedError

    def add(self, cells: Iterable[tuple[int, float]], found: np.ndarray) -> None:
        """Take what some trials of ``cells`` have answered: (trials, 2, digits)."""
        task = self._begun.task
        with self._lock:
            for cell in cells:
                self._answers[cell].extend(found)
            full = {cell: cell_of(given) for cell, given in self._answers.items() if len(given) == task.trials}
            known = self._begun.cells | full
            seconds = self._begun.seconds + time.monotonic() - self._started
            self.result = replace(
                self.result, cells={cell: known[cell] for cell in task.cells if cell in known}, seconds=seconds
            )
            self._report(self.result, self.done)


def plan(prompts: Prompts, cells: Sequence[tuple[int, float]], rows: int) -> list[Branch]:
    """The branches that answer ``cells``, those that leave the trunk first in front; at most ``rows`` trials in one."""
    trials, found = range(prompts.task.trials), dict[tuple[int, int, int], Branch]()
    rows = rows if prompts.shared else 1
    for first in range(0, len(trials), rows):
        together = tuple(trials[first : first + rows])
        for length, depth in cells:
            place = prompts.place(length, depth, first)
            key = (place.cut, place.before, first)
            branch = found.setdefault(key, Branch(trials=together, cut=place.cut, before=place.before))
            branch.asks.setdefault(Ask(place.end, place.after, length), []).append(depth)
    return [found[key] for key in sorted(found)]


def coarse_to_fine(prompts: Prompts, cells: Sequence[tuple[int, float]], rows: int) -> list[Branch]:
    """The same in two rounds, every second depth first: a map is whole, at half its resolution, halfway through.

    Places that the rounds have in common are read on from twice: about a seventh more.
    """
    coarse = set(sorted(prompts.task.depths)[::2])
    rounds = [cell for cell in cells if cell[1] in coarse], [cell for cell in cells if cell[1] not in coarse]
    return [branch for part in rounds for branch in plan(prompts, part, rows)]


def run_forked(
    model: LanguageModel,
    prompts: Prompts,
    begun: PasskeyResult,
    *,
    scans: Scans | None = None,
    state: State | None = None,
    report: Report = lambda result, done: None,
    stop: Callable[[], bool] = lambda: False,
    watched: bool = True,
    workers: int | None = None,
) -> PasskeyResult:
    """Run the cells of ``begun.task`` that ``begun`` lacks: the results of ``run_passkey``, within rounding.

    Arguments are those of :func:`model.passkey.run.run_passkey`. When ``stop()`` turns true, the cells that are
    finished are returned, at most one segment later. Short prompts come before long ones; where somebody watches,
    every second depth comes first, which costs a seventh more. Branches know nothing of each other, so ``workers``
    threads take one each, on a CPU as many as torch would use: two cores on two branches get more done than both on
    one. ``report`` and ``stop`` are called by those threads, one at a time.
    """
    import torch

    state = model.zero_state() if state is None else state
    if workers is None:
        workers = torch.get_num_threads() if state[0].memory.state.device.type == "cpu" else 1
    bytes_of_row = sum(layer.memory.state.nbytes for layer in state)
    check_memory(prompts, bytes_of_row, workers)
    tally = Tally(begun, report, stop)
    missing = [cell for cell in begun.task.cells if cell not in begun.cells]
    reading = Reading(model, scans or Scans.plain(len(model.config.layers)))
    branches = (coarse_to_fine if watched else plan)(prompts, missing, max(1, STATES // (bytes_of_row * workers)))
    trunks = Trunks(reading, prompts, state, branches if len(branches) * bytes_of_row <= STATES else [])
    waiting, turn = iter(branches), threading.Lock()

    def work() -> None:
        if workers > 1:
            torch.set_num_threads(1)  # of this thread alone
        try:
            with torch.inference_mode():
                while True:
                    with turn:  # the trunk is read on from branch to branch
                        branch = next(waiting, None)
                        if branch is None:
                            return
                        at = trunks.at(branch, lambda: tally.reached(0))
                    follow(reading, prompts, branch, at, tally)
        except BaseException:
            tally.failed = True
            raise

    if workers == 1:
        with suppress(StoppedError):
            work()
        return tally.result
    with ThreadPoolExecutor(workers) as pool:
        ended = [thread.exception() for thread in [pool.submit(work) for _ in range(workers)]]
    for error in ended:
        if error is not None and not isinstance(error, StoppedError):
            raise error
    return tally.result


def follow(reading: Reading, prompts: Prompts, branch: Branch, state: State, tally: Tally) -> None:
    """Answer all that ``branch`` is asked, from ``state`` where it leaves the trunk."""
    credited = 0

    def tick(read: int) -> None:
        nonlocal credited
        before, credited = credited, min(branch.credit, round(read * branch.credit / branch.work))
        tally.reached(credited - before)

    for ask, found in answers_of(reading, prompts, branch, state, tick):
        tally.add([(ask.length, depth) for depth in branch.asks[ask]], found)
    tally.reached(branch.credit - credited)


def check_memory(prompts: Prompts, bytes_of_row: int, workers: int) -> None:
    """UserError if the states that are kept at once do not fit in memory.

    Rows take turns, but trials that each have a filler of their own keep a trunk each.
    """
    trials = prompts.task.trials
    rows = workers * min(trials, max(1, STATES // (bytes_of_row * workers)))
    needed, free = bytes_of_row * (4 * rows + (1 if prompts.shared else trials)), free_memory()
    if free is not None and needed > free:
        raise UserError("recall.memory", trials=trials, needed=needed >> 20, free=free >> 20)


def answers_of(
    reading: Reading, prompts: Prompts, branch: Branch, state: State, tick: Callable[[int], None]
) -> Iterator[tuple[Ask, np.ndarray]]:
    """Leave the trunk, whose memory at ``branch.cut`` is ``state``, and answer every question on the way.

    Gives for every ask, as soon as it is reached, (trials, 2, digits) as :func:`model.passkey.run.answer` does.
    """
    items = [prompts.item(trial, branch.cut + branch.before) for trial in branch.trials]
    breaks = prompts.breaks(branch.before)
    tells = reading.ids(*(np.concatenate([breaks, item.tell]) for item in items))
    state = reading.on(state, tells, lambda read: tick(0))
    position, read = branch.cut, 0
    for ask in sorted(branch.asks):
        stretch = reading.ids(prompts.filler(branch.trials[0], position, ask.end))
        state = reading.on(state, stretch, partial(add, tick, read), rows=len(items))
        position, read = ask.end, read + stretch.shape[1] * len(items)
        breaks = prompts.breaks(ask.after)
        tails = reading.ids(*(np.concatenate([breaks, item.ask]) for item in items))
        yield ask, reading.said(state, tails, ask.after + items[0].scored)


class Trunks:
    """The plain filler of all trials, or of each, read once up to every place where a branch leaves it.

    ``expected`` are the branches whose places are remembered when they are passed; for others, a trunk that is
    already past them is read anew.
    """

    def __init__(self, reading: Reading, prompts: Prompts, state: State, expected: Sequence[Branch]) -> None:
        self.reading, self.prompts, self.state = reading, prompts, state
        self.cuts: dict[int, set[int]] = {}
        for branch in expected:
            self.cuts.setdefault(self._name(branch), set()).add(branch.cut)
        self._passed: dict[tuple[int, int], State] = {}
        self._last: dict[int, tuple[int, State]] = {}

    def _name(self, branch: Branch) -> int:
        return 0 if self.prompts.shared else branch.trials[0]

    def at(self, branch: Branch, tick: Callable[[], None]) -> State:
        """The memory where ``branch`` leaves its trunk; ``tick()`` is called after every segment on the way."""
        name = self._name(branch)
        if (name, branch.cut) in self._passed:
            return self._passed[name, branch.cut]
        position, state = self._last.get(name, (0, self.state))
        if position > branch.cut:
            position, state = 0, self.state
        cuts = self.cuts.get(name, set())
        for cut in sorted({branch.cut, *(cut for cut in cuts if position < cut < branch.cut)}):
            ids = self.reading.ids(self.prompts.filler(name, position, cut))
            state = self.reading.on(state, ids, lambda read: tick())
            position = cut
            if cut in cuts:
                self._passed[name, cut] = state
        self._last[name] = position, state
        return state


def add(tick: Callable[[int], None], before: int, more: int) -> None:
    """Report ``more`` tokens after those ``before``."""
    tick(before + more)


class Reading:
    """A model that reads on from states, and says what it is asked."""

    def __init__(self, model: LanguageModel, scans: Scans) -> None:
        self.model, self.scans = model, scans
        self.channels = len(model.config.layers) * model.config.d_inner
        first: Any = model.blocks[0]
        self.shares = hasattr(first.mixer, "advance")  # its state is a memory and a window, and nothing else

    def ids(self, *rows: np.ndarray) -> Tensor:
        """Token ids (rows, n) on the model's device."""
        import torch

        return torch.from_numpy(np.stack(rows)).to(self.model.embedding.weight.device)

    def on(self, state: State, ids: Tensor, tick: Callable[[int], None], rows: int = 1) -> State:
        """The state of ``rows`` rows after ``ids``, of one row that all of them read, or of a row each.

        ``tick(tokens read)`` is called after every segment.
        """
        same = shared_columns(ids)
        state = self._together(state, ids[:1, :same], tick, rows)
        if same < ids.shape[1]:
            state = self._segments(each(state, len(ids)), ids[:, same:], tick)
        return state

    def said(self, state: State, ids: Tensor, scored: np.ndarray) -> np.ndarray:
        """What a copy of ``state`` says at ``scored``, places in ``ids`` (rows, n): (rows, 2, digits)."""
        first = int(scored[0])
        same = min(shared_columns(ids), first - 1)
        state = self._together(state, ids[:1, :same], lambda read: None, len(state[0].memory.state))
        hidden, _ = self.model.hidden(ids[:, same:-1], each(state, len(ids)), self.scans.said)
        return said(self.model, hidden[:, scored - 1 - same], ids[:, scored])

    def _together(self, state: State, ids: Tensor, tick: Callable[[int], None], rows: int) -> State:
        """Read ``ids`` (1, n) with every row: once they agree in what the first layer's window holds, as one."""
        window = state[0].window
        if not self.shares:
            return self._segments(each(state, rows), ids.expand(rows, -1), tick)
        if len(window) > 1:
            apart = window.shape[1]
            state = self._segments(each(state, rows), ids[:, :apart].expand(rows, -1), tick)
            if ids.shape[1] < apart:
                return state
            state = (state[0]._replace(window=state[0].window[:1]), *state[1:])
            ids = ids[:, apart:]
        return self._segments(state, ids, tick)

    def _segments(self, state: State, ids: Tensor, tick: Callable[[int], None]) -> State:
        from model.stream import SEGMENT

        rows = len(state[0].memory.state)
        shared = len(ids) < rows  # those rows take turns in the model
        size = SEGMENT if shared else min(SEGMENT, max(16, WORK // (self.channels * rows)))
        for first in range(0, ids.shape[1], size):
            state = self.model.advance(ids[:, first : first + size], state, self.scans.reading)
            tick(rows * min(first + size, ids.shape[1]))
        return state


def shared_columns(ids: Tensor) -> int:
    """How many tokens at the start of ``ids`` (rows, n) are the same in every row."""
    differ = (ids != ids[:1]).any(0).nonzero()
    return int(differ[0, 0]) if len(differ) else ids.shape[1]


def each(state: State, rows: int) -> State:
    """``state`` with a row of its own for each of ``rows``, in every tensor that had one for all of them."""
    from model.state import map_state

    return map_state(state, lambda tensor: tensor if len(tensor) == rows else tensor.expand(rows, *tensor.shape[1:]))
