"""Background work: one queue per device, and jobs with progress that can be cancelled.

A job runs a function, which gets the job. It reports with :meth:`Job.progress`, checks :meth:`Job.stopped` every
fraction of a second, and returns a result or raises. It must not call Streamlit: it runs in the worker's thread and
outlives the script that submitted it.

    job = submit(session_id, "map", lambda job: compute(job), title="State map")
"""

from __future__ import annotations

import atexit
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from model.errors import UserError

QUEUED, RUNNING, DONE, CANCELLED, FAILED = "queued", "running", "done", "cancelled", "failed"
POINTS = 300
"""Points of a live curve; a longer one is thinned by two."""
THREADS = {"documents": 4}
"""Jobs of a device that may run at once, if not one: a long PDF must not delay a short text."""

log = logging.getLogger(__name__)
_numbers = itertools.count(1)


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

    def __init__(self, session: str, kind: str, function: Callable[[Job], Any], title: str, keep: bool) -> None:
        """Describe the work; :func:`submit` makes one and queues it."""
        self.id = next(_numbers)
        self.session, self.kind, self.title, self.keep = session, kind, title, keep
        self.status = QUEUED
        self.result: Any = None
        self.asked: Any = None
        self.error: UserError | None = None
        self.done, self.total = 0.0, 0.0
        self.note: str | None = None
        self._function: Callable[[Job], Any] | None = function
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

    def stopped(self) -> bool:
        """Whether the job should end now: to be checked several times a second."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Ask the job to end; one that still waits never starts."""
        self._cancel.set()
        with self._lock:
            if self.status == QUEUED:
                self.status, self._function = CANCELLED, None
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

    def run(self) -> None:
        """Do the work; called once, by the worker."""
        with self._lock:
            if self.status != QUEUED or self._function is None:
                return
            self.status, function = RUNNING, self._function
            self._function = None  # it holds the document, which is freed after the work
        try:
            self.result = function(self)
            status = CANCELLED if self.stopped() else DONE
        except UserError as error:
            self.error, status = error, FAILED
        except Exception:
            log.exception("The job %r failed", self.title or self.kind)
            self.error, status = UserError("jobs.failed"), FAILED
        self.status = status
        self._ended.set()


class Worker:
    """One device: its queue, and the threads that work through it."""

    def __init__(self, device: str) -> None:
        """Start the threads."""
        self._queue: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for _ in range(THREADS.get(device, 1)):
            # A daemon: the program must be able to exit while a document is read.
            threading.Thread(target=self._work, name=f"jobs-{device}", daemon=True).start()

    def put(self, job: Job) -> None:
        """Append ``job`` to the queue."""
        self._queue.put(job)

    def _work(self) -> None:
        while True:
            self._queue.get().run()


class JobRegistry:
    """Every job of this process."""

    def __init__(self) -> None:
        """Start without jobs."""
        self._jobs: dict[int, Job] = {}
        self._workers: dict[str, Worker] = {}
        self._lock = threading.Lock()
        atexit.register(self.close)

    def submit(self, job: Job, device: str) -> None:
        """Queue ``job`` for ``device``."""
        with self._lock:
            for other in [other for other in self._jobs.values() if not (other.session or other.active)]:
                del self._jobs[other.id]
            self._jobs[job.id] = job
            if device not in self._workers:
                self._workers[device] = Worker(device)
            self._workers[device].put(job)

    def jobs(self) -> list[Job]:
        """All jobs whose result was not taken, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def forget(self, job: Job) -> None:
        """Drop a job whose result was taken."""
        with self._lock:
            self._jobs.pop(job.id, None)

    def close(self) -> None:
        """Cancel all jobs: the program exits."""
        for job in self.jobs():
            job.cancel()


@st.cache_resource(show_spinner=False)
def registry() -> JobRegistry:
    """The one registry of the process."""
    return JobRegistry()


def submit(
    session: str,
    kind: str,
    function: Callable[[Job], Any],
    *,
    title: str = "",
    keep: bool = False,
    device: str = "cpu",
) -> Job:
    """Queue ``function(job)`` for ``session``; with ``keep`` it continues when the session ends.

    A session has one job of a ``kind`` at a time: an older one is cancelled and forgotten.
    """
    for job in jobs_of(session, kind):
        job.session = ""
        job.cancel()
    job = Job(session, kind, function, title, keep)
    registry().submit(job, device)
    return job


def jobs_of(session: str, kind: str | None = None) -> list[Job]:
    """The jobs of a session, oldest first."""
    return [job for job in registry().jobs() if job.session == session and kind in (None, job.kind)]


def latest(session: str, kind: str) -> Job | None:
    """The newest job of that kind, of any status; None if there is none."""
    return next(reversed(jobs_of(session, kind)), None)


def take(session: str, kind: str) -> Job | None:
    """The newest job of that kind if it has ended; it is forgotten, so this answers once."""
    job = latest(session, kind)
    if job is None or job.active:
        return None
    registry().forget(job)
    return job


def any_active(kind: str) -> bool:
    """Whether any session has a job of that kind waiting or running."""
    return any(job.active and job.kind == kind for job in registry().jobs())


def waiting_before(job: Job) -> int:
    """How many jobs must end before ``job`` starts, other sessions' included."""
    return sum(other.active and other.id < job.id for other in registry().jobs())


def end_session(session: str) -> None:
    """Cancel the session's jobs, except those with ``keep``."""
    for job in jobs_of(session):
        job.session = ""  # no session collects it; it still counts in the queue
        if not job.keep:
            job.cancel()
