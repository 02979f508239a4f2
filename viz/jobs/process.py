"""A worker process beside the server, as the server sees it: jobs go in, progress and results come out.

Computing in the server's own process would share its interpreter: pages would wait for readings and readings for
pages. The two speak in pickles over the worker's standard input and output. It is a plain subprocess, because
multiprocessing would import the main module again, which under Streamlit is the page itself.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from model.errors import UserError
from viz.jobs.job import Job, Work

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-P", "-m", "viz.jobs.worker")
PATIENCE = 0.1
"""Seconds until a cancelled job is told so, at most."""


class WorkError(Exception):
    """The work failed in the worker; the message is the traceback."""


class WorkerProcess:
    """The process of one device: it starts with the first job, and again after it has died."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._process: subprocess.Popen[bytes] | None = None
        self._orders = 0
        self._answers: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()

    @property
    def pid(self) -> int | None:
        """The number of the process; None if none was started."""
        return self._process.pid if self._process else None

    def execute(self, work: Work, job: Job) -> Any:
        """Do ``work`` in the process, one at a time; UserError if the process dies meanwhile.

        A job that is cancelled before it has reported anything ends at once: the process may be loading torch, which
        nothing interrupts. What it still says about that job is ignored.
        """
        order = pickle.dumps(work)
        self._ensure()
        self._orders += 1
        self._tell(order)
        ending, content = self._follow(job)
        if ending == "done":
            return content
        if ending == "refused":
            raise content
        if ending == "failed":
            raise WorkError(content)
        self.close()  # it cannot be understood any more, if it is not dead
        raise UserError("jobs.worker_died")

    def _follow(self, job: Job) -> tuple[str, Any]:
        """Pass on what the process reports about ``job``, and to it that the job is cancelled; returns how it ended."""
        told = False
        while True:
            if job.stopped() and not told:
                self._tell(None)
                told = True
            if told and not job.total:
                return "done", None
            try:
                order, kind, *content = self._answers.get(timeout=PATIENCE)
            except queue.Empty:
                continue
            if kind == "died":
                return kind, None
            if order != self._orders:
                continue
            if kind == "progress":
                positional, named = content
                job.progress(*positional, **named)
            elif kind == "value":
                job.send(*content)
            else:
                return kind, content[0]

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _ensure(self) -> None:
        """Start a process if none is alive."""
        if self._process is not None and self._process.poll() is None:
            return
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            COMMAND, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._answers = queue.SimpleQueue()  # an old process may still have said something
        assert self._process.stdout is not None
        threading.Thread(target=_listen, args=(self._process.stdout, self._answers), daemon=True).start()

    def _tell(self, order: bytes | None) -> None:
        """Send the pickled work, or None: that the last one should stop."""
        assert self._process is not None and self._process.stdin is not None
        try:
            pickle.dump((self._orders, order), self._process.stdin)
            self._process.stdin.flush()
        except OSError:
            pass  # it has died, which the answers say too


def _listen(stream: IO[bytes], answers: queue.SimpleQueue[tuple[Any, ...]]) -> None:
    """Pass on what the process says, and at last that it has ended."""
    try:
        while True:
            answers.put(pickle.load(stream))
    except Exception:  # the end of the stream, perhaps in the middle of an answer
        answers.put((0, "died"))
