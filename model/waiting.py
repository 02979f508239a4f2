"""How the threads of OpenMP wait for each other: spinning while cores are free, asleep while other programs want them.

Threads of a reading meet at hundreds of barriers. Where cores are free, one that spins there continues at once, and
one that sleeps loses up to a tenth of the speed. Where other programs want the cores, one that spins takes the time
that the thread it waits for needs, and a reading takes up to ten times as long.

libgomp, which torch brings for Linux, reads the setting once, when it is loaded. But it spins only while its threads in
this process are not more than the cores: beyond that it sleeps. So a second team of threads that does nothing makes all
sleep, and the end of that team lets them spin again. Other runtimes of OpenMP know the first of the two variables alone
and sleep always.
"""

from __future__ import annotations

import os
import sys
import threading
import time

import psutil

from model.machine import cores

VARIABLES = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "300000"}
"""Sleep where threads are more than cores; spin for about three milliseconds, as libgomp does by itself, where not."""
PERIOD = 0.25
"""Seconds between two looks at the machine."""
SLACK = 0.3
"""Of a core that others may take while threads spin: what a browser and a desktop need."""
CALM = 1.0
"""Seconds for which cores must be free before threads spin again."""
PIECE = 1 << 16
"""Numbers to fill for each thread of a team, so that torch starts them all."""


def wait_by_load() -> None:
    """Choose from now on how threads wait, by what others leave of the cores; to be called before torch is imported.

    Where the user has set one of VARIABLES otherwise, nothing is changed. May be called again.
    """
    if any(os.environ.get(name, value) != value for name, value in VARIABLES.items()):
        return
    os.environ.update(VARIABLES)
    if not any(isinstance(thread, Watch) for thread in threading.enumerate()):
        Watch().start()


def crowded(others: float, threads: int, slack: float = SLACK) -> bool:
    """Whether others, who take ``others`` cores' time, leave too little for ``threads`` that spin."""
    return others + threads > cores() + slack


class Watch(threading.Thread):
    """Looks at the machine as long as the process lives, once torch is there."""

    def __init__(self) -> None:
        super().__init__(name="waiting", daemon=True)
        self._taken = _taken()

    def run(self) -> None:
        """Hold idle teams while the machine is crowded."""
        while True:
            while not ("torch" in sys.modules and crowded(self.others(), _threads())):
                time.sleep(PERIOD)
            idle = IdleTeams(_threads())
            last = time.monotonic()
            while time.monotonic() - last < CALM:
                time.sleep(PERIOD)
                if crowded(self.others(), _threads(), SLACK / 2):
                    last = time.monotonic()
            idle.end()

    def others(self) -> float:
        """Cores' worth of time that other processes took since the last look, on the cores that are ours to use."""
        before, self._taken = self._taken, _taken()
        seconds, all_of_them, own = (now - then for now, then in zip(self._taken, before, strict=True))
        return max(all_of_them - own, 0.0) / max(seconds, 1e-3)


class IdleTeams:
    """Teams of OpenMP that do nothing, so many that the process has more threads than there are cores."""

    def __init__(self, threads: int) -> None:
        """Start them, beside a team of ``threads`` that works; none if a single thread works."""
        count = -(-cores() // (threads - 1)) - 1 if threads > 1 else 0
        self._over = threading.Event()
        self._masters = [threading.Thread(target=self._hold, daemon=True) for _ in range(count)]
        for master in self._masters:
            master.start()

    def end(self) -> None:
        """End their threads."""
        self._over.set()
        for master in self._masters:
            master.join()

    def _hold(self) -> None:
        import torch

        torch.ones(torch.get_num_threads() * PIECE)  # each thread that starts a team has it until it ends
        self._over.wait()


def _taken() -> tuple[float, float, float]:
    """Now, and the CPU seconds of all processes and of this one, on the cores that this process may use."""
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    spent = 0.0
    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        if usable is None or number in usable:
            idle = times.idle + getattr(times, "iowait", 0.0)
            guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted as user's time already
            spent += sum(times) - idle - guests
    return time.monotonic(), spent, time.process_time()


def _threads() -> int:
    """Threads that torch computes with."""
    import torch  # another thread may be importing it: this waits

    return torch.get_num_threads()
