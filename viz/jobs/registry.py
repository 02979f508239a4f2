"""Background work: a fair queue per device, and jobs with progress that can be cancelled.

    job = submit(session_id, "map", partial(compute, states), title="State map")

Devices of :data:`PROCESSES` have a worker process beside the server, so that pages and computing do not share an
interpreter. The others, and all of them where the environment variable MEMORY_EXPLORER_JOBS is ``threads``, work in
threads of the server.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from viz.jobs.job import CANCELLED, DONE, FAILED, QUEUED, RUNNING, Job, JobContext, Work
from viz.jobs.lane import Lane
from viz.jobs.process import WorkerProcess

__all__ = ["CANCELLED", "DONE", "FAILED", "QUEUED", "RUNNING", "Job", "JobContext", "Work"]

PROCESSES = ("cpu", "map")
"""Devices whose jobs run in a worker process of their own."""
THREADS = {"documents": 4}
"""Jobs of a device that may run at once, if not one: a long PDF must not delay a short text."""


def in_thread(work: Work, job: Job) -> Any:
    """Do the work here."""
    return work(job)


class JobRegistry:
    """Every job of this server; those of the devices ``processes`` run in worker processes."""

    def __init__(self, processes: Sequence[str] = PROCESSES) -> None:
        """Start without jobs."""
        self._jobs: dict[int, Job] = {}
        self._lanes: dict[str, Lane] = {}
        self.processes = {device: WorkerProcess() for device in processes}
        self._lock = threading.Lock()
        atexit.register(self.close)

    def submit(self, job: Job, device: str) -> None:
        """Queue ``job`` for ``device``."""
        with self._lock:
            for other in [other for other in self._jobs.values() if not (other.session or other.active)]:
                del self._jobs[other.id]
            self._jobs[job.id] = job
            if device not in self._lanes:
                execute = self.processes[device].execute if device in self.processes else in_thread
                self._lanes[device] = Lane(device, execute, THREADS.get(device, 1))
            self._lanes[device].put(job)

    def jobs(self) -> list[Job]:
        """All jobs whose result was not taken, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def forget(self, job: Job) -> None:
        """Drop a job whose result was taken."""
        with self._lock:
            self._jobs.pop(job.id, None)

    def waiting_before(self, job: Job) -> int:
        """How many jobs must end before ``job`` starts, other sessions' included."""
        with self._lock:
            return max((lane.waiting_before(job) for lane in self._lanes.values()), default=0)

    def close(self) -> None:
        """Cancel all jobs and end the processes: the program exits."""
        for job in self.jobs():
            job.cancel()
        for process in self.processes.values():
            process.close()


@st.cache_resource(show_spinner=False)
def registry() -> JobRegistry:
    """The one registry of the server."""
    return JobRegistry(() if os.environ.get("MEMORY_EXPLORER_JOBS") == "threads" else PROCESSES)


def submit(
    session: str,
    kind: str,
    work: Work,
    *,
    title: str = "",
    device: str = "cpu",
    receive: Callable[[Any], None] = lambda value: None,
) -> Job:
    """Queue ``work(context)`` for ``session``.

    ``receive`` gets, in this process, what the work sends before it ends. A session has one job of a ``kind`` at a
    time: an older one is cancelled and forgotten.
    """
    for job in jobs_of(session, kind):
        job.session = ""
        job.cancel()
    job = Job(session, kind, work, title=title, receive=receive)
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
    return registry().waiting_before(job)


def end_session(session: str) -> None:
    """Cancel the session's jobs."""
    for job in jobs_of(session):
        job.session = ""  # no session collects it; it still counts in the queue
        job.cancel()
