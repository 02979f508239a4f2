"""The cells of :mod:`.cell_by_cell` from far fewer tokens: what prompts have in common is read once.

Prompts of a trial share their filler up to where the needle is inserted, and from there on up to where the shorter of
them ends. So the prefix, the plain filler, is read once with one row. At every place where a continuation leaves it,
its state is copied along the batch: one row for each key reads the needle and the filler after it, and at the end of
every length that it passes, a copy of its state reads the query. States are never changed in place, so a copy costs
nothing until it is read on.

What that saves, in tokens per key, for 10 even depths from 0 to 1 and 8 lengths that double up to L. Cell by cell it
is 10 (L + L/2 + ...) = 20 L. A continuation at depth d is read for (1 - d) L, over all depths 5 L for the longest
length; of every shorter one, the even places are those of the next length (see :mod:`.prompts`) and cost nothing, the
odd ones 20/9 of it, 2.2 L in all. That is 7.2 L, 2.8 times less.

Everything goes through ``model.hidden`` (:mod:`.continuation`), so it works for any model and mitigation. Where all
layers are Mamba-2, :mod:`.shared_prefix` makes the tokens cheaper, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from kernels.dispatch import scan
from model.arch.lm import LanguageModel
from model.errors import UserError
from model.machine import free_memory
from model.state import State
from model.studies.passkey.answer import cell_of
from model.studies.passkey.continuation import Continuation, ScansOver
from model.studies.passkey.prompts import Prompts
from model.studies.passkey.result import PasskeyResult, Report

STATES = 1 << 29
"""Bytes of states that are read on side by side; more rows than fit in take turns. As many are kept of the prefix."""


class Query(NamedTuple):
    """A query on a suffix's way: after ``end`` tokens of the filler and ``after`` line breaks, for these cells."""

    end: int
    after: int
    length: int


@dataclass(frozen=True, kw_only=True)
class Suffix:
    """Where trials leave the prefix: after ``cut`` filler tokens and ``before`` line breaks, and its queries."""

    trials: tuple[int, ...]
    cut: int
    before: int
    queries: dict[Query, list[float]] = field(default_factory=dict)

    @property
    def credit(self) -> int:
        """Tokens of the prompts that are answered here."""
        return len(self.trials) * sum(query.length * len(depths) for query, depths in self.queries.items())

    @property
    def work(self) -> int:
        """Tokens that are read for them, roughly."""
        return len(self.trials) * max(1, max(query.end for query in self.queries) - self.cut)


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
            known = self.result.cells
            for cell in cells:
                self._answers[cell].extend(found)
                if len(self._answers[cell]) == task.trials:
                    known = known | {cell: cell_of(self._answers[cell])}
            seconds = self._begun.seconds + time.monotonic() - self._started
            self.result = replace(
                self.result, cells={cell: known[cell] for cell in task.cells if cell in known}, seconds=seconds
            )
            self._report(self.result, self.done)


def plan(prompts: Prompts, cells: Sequence[tuple[int, float]], rows: int) -> list[Suffix]:
    """The suffixes that answer ``cells``, early ones first; at most ``rows`` trials in one."""
    trials, found = range(prompts.task.trials), dict[tuple[int, int, int], Suffix]()
    rows = rows if prompts.shared else 1
    for first in range(0, len(trials), rows):
        together = tuple(trials[first : first + rows])
        for length, depth in cells:
            place = prompts.place(length, depth, first)
            key = (place.cut, place.before, first)
            suffix = found.setdefault(key, Suffix(trials=together, cut=place.cut, before=place.before))
            suffix.queries.setdefault(Query(place.end, place.after, length), []).append(depth)
    return [found[key] for key in sorted(found)]


def coarse_to_fine(prompts: Prompts, cells: Sequence[tuple[int, float]], rows: int) -> list[Suffix]:
    """The same in two rounds, every second depth first: a map is whole, at half its resolution, halfway through.

    Places that the rounds have in common are read on from twice: about a seventh more.
    """
    coarse = set(sorted(prompts.task.depths)[::2])
    rounds = [cell for cell in cells if cell[1] in coarse], [cell for cell in cells if cell[1] not in coarse]
    return [suffix for part in rounds for suffix in plan(prompts, part, rows)]


def run_forked(
    model: LanguageModel,
    prompts: Prompts,
    begun: PasskeyResult,
    *,
    scans_over: ScansOver | None = None,
    state: State | None = None,
    report: Report = lambda result, done: None,
    stop: Callable[[], bool] = lambda: False,
    watched: bool = True,
    workers: int | None = None,
) -> PasskeyResult:
    """Run the cells of ``begun.task`` that ``begun`` lacks: the results of ``run_passkey``, within rounding.

    Arguments are those of :func:`.cell_by_cell.run_passkey`. When ``stop()`` turns true, the cells that are
    finished are returned, at most one segment later. Short prompts come before long ones; where progress is watched,
    every second depth comes first, which costs a seventh more. Suffixes do not depend on each other, so ``workers``
    threads take one each, on a CPU as many as torch would use: two cores on two suffixes get more done than both on
    one. ``report`` and ``stop`` are called by those threads, one at a time.
    """
    state = model.zero_state() if state is None else state
    if workers is None:
        workers = torch.get_num_threads() if state[0].memory.state.device.type == "cpu" else 1
    bytes_of_row = sum(layer.memory.state.nbytes for layer in state)
    check_memory(prompts, bytes_of_row, workers)
    tally = Tally(begun, report, stop)
    missing = [cell for cell in begun.task.cells if cell not in begun.cells]
    reading = continuation(model, scans_over or plain_scans(model))
    suffixes = (coarse_to_fine if watched else plan)(prompts, missing, max(1, STATES // (bytes_of_row * workers)))
    prefixes = Prefixes(reading, prompts, state, suffixes if len(suffixes) * bytes_of_row <= STATES else [])
    waiting, turn = iter(suffixes), threading.Lock()

    def work() -> None:
        try:
            with torch.inference_mode():
                while True:
                    with turn:  # the prefix is read on from suffix to suffix
                        suffix = next(waiting, None)
                        if suffix is None:
                            return
                        at = prefixes.at(suffix, lambda: tally.reached(0))
                    follow(reading, prompts, suffix, at, tally)
        except BaseException:
            tally.failed = True
            raise

    if workers == 1:
        with suppress(StoppedError):
            work()
        return tally.result
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        ended = [thread.exception() for thread in [pool.submit(work) for _ in range(workers)]]
    torch.set_num_threads(threads)  # threads that begin later have as many as the last one that was set
    for error in ended:
        if error is not None and not isinstance(error, StoppedError):
            raise error
    return tally.result


def continuation(model: LanguageModel, scans_over: ScansOver) -> Continuation:
    """The quickest way for ``model`` to continue from copied states."""
    try:
        from model.studies.passkey.shared_prefix import SharedContinuation
    except ModuleNotFoundError as error:
        if error.name != "model.studies.passkey.shared_prefix":
            raise
        return Continuation(model, scans_over)  # what makes it quicker may be deleted
    return (SharedContinuation if SharedContinuation.takes(model) else Continuation)(model, scans_over)


def plain_scans(model: LanguageModel) -> ScansOver:
    """No mitigation in any layer."""
    return lambda kernel=scan: [kernel] * len(model.config.layers)


def follow(reading: Continuation, prompts: Prompts, suffix: Suffix, state: State, tally: Tally) -> None:
    """Answer all that ``suffix`` is asked, from ``state`` where it leaves the prefix."""
    credited = 0

    def tick(read: int) -> None:
        nonlocal credited
        before, credited = credited, min(suffix.credit, round(read * suffix.credit / suffix.work))
        tally.reached(credited - before)

    for query, found in answers_of(reading, prompts, suffix, state, tick):
        tally.add([(query.length, depth) for depth in suffix.queries[query]], found)
    tally.reached(suffix.credit - credited)


def check_memory(prompts: Prompts, bytes_of_row: int, workers: int) -> None:
    """UserError if the states that are kept at once do not fit in memory.

    Rows take turns, but trials that each have a filler of their own keep a prefix each.
    """
    trials = prompts.task.trials
    rows = workers * min(trials, max(1, STATES // (bytes_of_row * workers)))
    needed, free = bytes_of_row * (4 * rows + (1 if prompts.shared else trials)), free_memory()
    if needed > free:
        raise UserError("recall.memory", trials=trials, needed=needed >> 20, free=free >> 20)


def answers_of(
    reading: Continuation, prompts: Prompts, suffix: Suffix, state: State, tick: Callable[[int], None]
) -> Iterator[tuple[Query, np.ndarray]]:
    """Leave the prefix, whose state at ``suffix.cut`` is ``state``, and answer every query on the way.

    Gives for every query, as soon as it is reached, (trials, 2, digits) as :func:`.answer.answer` does.
    """
    items = [prompts.item(trial, suffix.cut + suffix.before) for trial in suffix.trials]
    breaks = prompts.breaks(suffix.before)
    position = min(suffix.cut + reading.reach, min(suffix.queries).end)
    follows = prompts.filler(suffix.trials[0], suffix.cut, position)
    needles = reading.ids(*(np.concatenate([breaks, item.needle, follows]) for item in items))
    state = reading.on(state, needles, lambda read: tick(0))
    if position == suffix.cut + reading.reach:
        state = reading.alike(state)
    read = (position - suffix.cut) * len(items)
    for query in sorted(suffix.queries):
        filler = reading.ids(prompts.filler(suffix.trials[0], position, query.end))
        place = position if position >= suffix.cut + reading.reach else None  # the needle has left the window
        state = reading.on(state, filler, partial(add, tick, read), rows=len(items), place=place)
        position, read = query.end, read + filler.shape[1] * len(items)
        breaks = prompts.breaks(query.after)
        queries = reading.ids(*(np.concatenate([breaks, item.query]) for item in items))
        yield query, reading.said(state, queries, query.after + items[0].scored)


class Prefixes:
    """The plain filler of all trials, or of each, read once up to every place where a suffix leaves it.

    ``expected`` are the suffixes whose places are remembered when they are passed; for others, a prefix that is
    already past them is read anew.
    """

    def __init__(self, reading: Continuation, prompts: Prompts, state: State, expected: Sequence[Suffix]) -> None:
        self.reading, self.prompts, self.state = reading, prompts, state
        self.cuts: dict[int, set[int]] = {}
        for suffix in expected:
            self.cuts.setdefault(self._name(suffix), set()).add(suffix.cut)
        self._passed: dict[tuple[int, int], State] = {}
        self._last: dict[int, tuple[int, State]] = {}

    def _name(self, suffix: Suffix) -> int:
        return 0 if self.prompts.shared else suffix.trials[0]

    def at(self, suffix: Suffix, tick: Callable[[], None]) -> State:
        """The memory where ``suffix`` leaves its prefix; ``tick()`` is called after every segment on the way."""
        name = self._name(suffix)
        if (name, suffix.cut) in self._passed:
            return self._passed[name, suffix.cut]
        position, state = self._last.get(name, (0, self.state))
        if position > suffix.cut:
            position, state = 0, self.state
        cuts = self.cuts.get(name, set())
        for cut in sorted({suffix.cut, *(cut for cut in cuts if position < cut < suffix.cut)}):
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
