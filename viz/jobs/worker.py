"""The worker process: ``python -m viz.jobs.worker``, started by :mod:`viz.jobs.process`.

It does one piece of work after the other, keeps what it has loaded (torch, models) for the next one, and ends when
the server has: its standard input closes then, however the server went.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from typing import IO, Any

from model.errors import UserError
from model.machine import wait_passively
from viz.jobs.job import Work


class Context:
    """What stands for the job here: everything it is told goes to the server."""

    def __init__(self, sink: IO[bytes]) -> None:
        """Speak to ``sink``."""
        self.stop = threading.Event()
        self._sink, self._lock = sink, threading.Lock()

    def progress(
        self, done: float, total: float, note: str | None = None, *, seconds_left: float | None = None, **series: Any
    ) -> None:
        """Report ``done`` of ``total``."""
        self.say("progress", (done, total, note), {"seconds_left": seconds_left, **series})

    def send(self, value: Any) -> None:
        """Hand ``value`` to whoever submitted the job."""
        self.say("value", value)

    def stopped(self) -> bool:
        """Whether the server has said that the job should end."""
        return self.stop.is_set()

    def say(self, *message: Any) -> None:
        """Send one message, whole or not at all."""
        pickled = pickle.dumps(message)
        with self._lock:
            self._sink.write(pickled)
            self._sink.flush()


def do(order: bytes, context: Context) -> None:
    """Do one pickled piece of work and say how it ended."""
    try:
        work: Work = pickle.loads(order)
        context.say("done", work(context))
    except UserError as error:
        context.say("refused", error)
    except Exception:
        context.say("failed", traceback.format_exc())


def listen(source: IO[bytes], orders: queue.SimpleQueue[bytes], context: Context) -> None:
    """Take orders, None for "stop what runs", until the server is gone; then nobody needs this process."""
    try:
        while True:
            order: bytes | None = pickle.load(source)
            if order is None:
                context.stop.set()
            else:
                context.stop.clear()
                orders.put(order)
    finally:
        os._exit(0)


def private(descriptor: int, instead: int) -> int:
    """A copy of ``descriptor`` for this process alone; what prints or reads there meets ``instead`` from now on."""
    copy = os.dup(descriptor)
    os.dup2(instead, descriptor)
    return copy


def main() -> None:
    """Work until the server is gone."""
    wait_passively()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the server's, which ends and closes the pipe
    source = os.fdopen(private(0, os.open(os.devnull, os.O_RDONLY)), "rb")
    context = Context(os.fdopen(private(1, sys.stderr.fileno()), "wb"))
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(source, orders, context), daemon=True).start()
    while True:
        do(orders.get(), context)


if __name__ == "__main__":
    main()
