"""One piece of work of one session: its state, its progress, its live curves, its result.

A job runs a function that gets a :class:`JobContext`: it reports with ``progress``, checks ``stopped`` every fraction
of a second, and returns a result or raises. It must not call Streamlit: it outlives the script that submitted it, and
mostly runs in another process, to which it and its result are pickled. So it is a function of a module, or a
``functools.partial`` of one, and its result is small: what is large is a file that both processes know.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from model.checkpoints.card import home
from model.disk import disk_error
from model.errors import UserError

QUEUED, RUNNING, DONE, CANCELLED, FAILED = "queued", "running", "done", "cancelled", "failed"
POINTS = 300
"""Points of a live curve; a longer one is thinned by two."""

log = logging.getLogger(__name__)
_numbers = itertools.count(1)


class JobContext(Protocol):
    """What the function of a job gets: the job itself, or what stands for it in another process."""

    def progress(
        self, done: float, total: float, note: str | None = None, *, seconds_left: float | None = None, **series: Any
    ) -> None:
        """Report ``done`` of ``total``; ``note`` is a message key, ``series`` add one point to live curves."""

    def send(self, value: Any) -> None:
        """Hand ``value`` to the caller that submitted the job, before it ends."""

    def stopped(self) -> bool:
        """Whether the job should end now: to be checked several times a second."""


Work = Callable[[JobContext], Any]


class Series:
    """Live curves of at most about ``2 * points`` points: beyond that, every second point is dropped."""

    def __init__(self, points: int = POINTS) -> None:
        """Start without points."""
        self.points = points
        self._stride = 1
        self._seen = 0
        self._rows: list[tuple[float, dict[str, np.ndarray]]] = []
        self._latest: tuple[float, dict[str, np.ndarray]] | None = None

    def add(self, x: float, values: dict[str, Any]) -> None:
        """Append the point ``x``; each value is a number or an array of always the same size."""
        row = (x, {name: np.atleast_1d(np.asarray(value, float)).copy() for name, value in values.items()})
        self._latest = row
        if self._seen % self._stride == 0:
            self._rows.append(row)
            if len(self._rows) >= 2 * self.points:
                del self._rows[1::2]
                self._stride *= 2
        self._seen += 1

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Positions (n,) and values (n, curves) of ``name``, the newest point included."""
        rows = list(self._rows)
        if self._latest is not None and (not rows or rows[-1] is not self._latest):
            rows.append(self._latest)
        rows = [row for row in rows if name in row[1]]
        if not rows:
            return np.empty(0), np.empty((0, 1))
        return np.array([x for x, _ in rows]), np.stack([values[name] for _, values in rows])


class Job:
    """One piece of work of one session."""

    def __init__(
        self,
        session: str,
        kind: str,
        work: Work,
        *,
        title: str = "",
        receive: Callable[[Any], None] = lambda value: None,
    ) -> None:
        """Describe the work; :func:`viz.jobs.registry.submit` makes one and queues it."""
        self.id = next(_numbers)
        self.session, self.kind, self.title = session, kind, title
        self.status = QUEUED
        self.result: Any = None
        self.asked: Any = None
        self.error: UserError | None = None
        self.done, self.total = 0.0, 0.0
        self.note: str | None = None
        self._work: Work | None = work
        self._receive = receive
        self._series = Series()
        self._cancel = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._started: float | None = None
        self._seconds_left: float | None = None

    def progress(
        self, done: float, total: float, note: str | None = None, *, seconds_left: float | None = None, **series: Any
    ) -> None:
        """Report ``done`` of ``total``; ``note`` is a message key, ``series`` add one point to live curves."""
        now = time.monotonic()
        with self._lock:
            if self._started is None:
                self._started = now
            self.done, self.total, self.note = float(done), float(total), note
            if seconds_left is None and done > 0:
                seconds_left = (now - self._started) / done * (total - done)
            self._seconds_left = seconds_left
            if series:
                self._series.add(float(done), series)

    def send(self, value: Any) -> None:
        """Hand ``value`` to the caller that submitted the job."""
        self._receive(value)

    def stopped(self) -> bool:
        """Whether the job should end now."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Ask the job to end; one that still waits never starts."""
        self._cancel.set()
        with self._lock:
            if self.status == QUEUED:
                self.status, self._work = CANCELLED, None
                self._ended.set()

    def wait(self, seconds: float) -> bool:
        """Wait until the job has ended, but not longer; whether it has."""
        return self._ended.wait(seconds)

    @property
    def fraction(self) -> float:
        """Share of the work that is done, 0 to 1."""
        return min(1.0, max(0.0, self.done / self.total)) if self.total > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until the end; None while it is unknown."""
        return self._seconds_left if self.status == RUNNING else None

    @property
    def active(self) -> bool:
        """Whether the job waits or runs."""
        return self.status in (QUEUED, RUNNING)

    def curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Positions and values of a live curve."""
        with self._lock:
            return self._series.curve(name)

    def run(self, execute: Callable[[Work, Job], Any]) -> None:
        """Do the work by ``execute(work, self)``; called once, by the lane."""
        with self._lock:
            if self.status != QUEUED or self._work is None:
                return
            self.status, work = RUNNING, self._work
            self._work = None  # it holds the document, which is freed after the work
        try:
            self.result = execute(work, self)
            status = CANCELLED if self.stopped() else DONE
        except UserError as error:
            self.error, status = error, FAILED
        except Exception as error:
            log.exception("The job %r failed", self.title or self.kind)
            said = disk_error(error, home()) if isinstance(error, OSError) else None
            self.error, status = said or UserError("jobs.failed"), FAILED
        self.status = status
        self._ended.set()
