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

from model.checkpoints.card import home
from model.disk import disk_error
from model.errors import UserError
from model.waiting import wait_by_load
from viz.jobs.job import Work


class Server:
    """The server, to which messages go whole or not at all."""

    def __init__(self, sink: IO[bytes]) -> None:
        """Speak to ``sink``."""
        self._sink, self._lock = sink, threading.Lock()

    def tell(self, *message: Any) -> None:
        """Send one message."""
        pickled = pickle.dumps(message)
        with self._lock:
            self._sink.write(pickled)
            self._sink.flush()


class Context:
    """What stands for the job of one ``order`` here: everything it is told goes to the server."""

    def __init__(self, order: int, server: Server) -> None:
        """Not stopped yet."""
        self.order, self.server, self.stop = order, server, threading.Event()

    def progress(
        self, done: float, total: float, note: str | None = None, *, seconds_left: float | None = None, **series: Any
    ) -> None:
        """Report ``done`` of ``total``."""
        self.server.tell(self.order, "progress", (done, total, note), {"seconds_left": seconds_left, **series})

    def send(self, value: Any) -> None:
        """Hand ``value`` to the caller that submitted the job."""
        self.server.tell(self.order, "value", value)

    def stopped(self) -> bool:
        """Whether the server has said that the job should end."""
        return self.stop.is_set()

    def do(self, pickled: bytes) -> None:
        """Do the work and say how it ended."""
        try:
            work: Work = pickle.loads(pickled)
            self.server.tell(self.order, "done", None if self.stopped() else work(self))
        except UserError as error:
            self.server.tell(self.order, "refused", error)
        except Exception as error:
            said = disk_error(error, home()) if isinstance(error, OSError) else None
            if said is not None:
                self.server.tell(self.order, "refused", said)
            else:
                self.server.tell(self.order, "failed", traceback.format_exc())


def listen(source: IO[bytes], server: Server, orders: queue.SimpleQueue[tuple[Context, bytes]]) -> None:
    """Take orders, None for "stop the last one", until the server is gone; then this process has no use."""
    last = Context(0, server)
    try:
        while True:
            order, pickled = pickle.load(source)
            if pickled is None:
                last.stop.set()
            else:
                last = Context(order, server)
                orders.put((last, pickled))
    finally:
        os._exit(0)


def private(descriptor: int, instead: int) -> int:
    """A copy of ``descriptor`` for this process alone; what prints or reads there meets ``instead`` from now on."""
    copy = os.dup(descriptor)
    os.dup2(instead, descriptor)
    return copy


def main() -> None:
    """Work until the server is gone."""
    wait_by_load()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the server's, which ends and closes the pipe
    source = os.fdopen(private(0, os.open(os.devnull, os.O_RDONLY)), "rb")
    server = Server(os.fdopen(private(1, sys.stderr.fileno()), "wb"))
    orders: queue.SimpleQueue[tuple[Context, bytes]] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(source, server, orders), daemon=True).start()
    while True:
        context, pickled = orders.get()
        context.do(pickled)


if __name__ == "__main__":
    main()
