"""The lane of one device: jobs wait in it, sessions take turns, and a few run at a time."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from viz.jobs.job import QUEUED, Job, Work


class Lane:
    """A fair queue and the threads that work through it.

    Sessions take turns: one that has queued ten jobs delays another's only job by one. ``execute(work, job)`` does the
    work of a job and returns its result.
    """

    def __init__(self, device: str, execute: Callable[[Work, Job], Any], threads: int = 1) -> None:
        """Start the threads."""
        self._execute, self._threads = execute, threads
        self._waiting: dict[str, deque[Job]] = {}  # the session whose turn it is comes first
        self._running = 0
        self._changed = threading.Condition()
        for _ in range(threads):
            # A daemon: the program must be able to exit while a document is read.
            threading.Thread(target=self._work, name=f"jobs-{device}", daemon=True).start()

    def put(self, job: Job) -> None:
        """Queue ``job`` behind the others of its session."""
        with self._changed:
            self._waiting.setdefault(job.session, deque()).append(job)
            self._changed.notify()

    def waiting_before(self, job: Job) -> int:
        """How many jobs must end before ``job`` starts, if no other comes; 0 if it does not wait."""
        with self._changed:
            rounds = itertools.zip_longest(*([job for job in line if job.status == QUEUED] for line in self._lines()))
            order = [waiting for turn in rounds for waiting in turn if waiting is not None]
            return max(0, self._running + order.index(job) - self._threads + 1) if job in order else 0

    def _lines(self) -> list[deque[Job]]:
        return list(self._waiting.values())

    def _work(self) -> None:
        while True:
            with self._changed:
                while (job := self._next()) is None:
                    self._changed.wait()
                self._running += 1
            job.run(self._execute)
            with self._changed:
                self._running -= 1
            del job  # it holds its result until another comes

    def _next(self) -> Job | None:
        """Take the job whose turn it is out of the queue; cancelled ones are dropped and take no turn."""
        for session in list(self._waiting):
            line = self._waiting.pop(session)
            while line and line[0].status != QUEUED:
                line.popleft()
            if line:
                job = line.popleft()
                if line:
                    self._waiting[session] = line  # at the end
                return job
        return None
