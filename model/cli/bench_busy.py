"""What a reading keeps of its speed while other programs want the cores, by the way in which its threads wait.

Three ways: as app and command line choose it (:mod:`model.waiting`), always asleep, always spinning. Each has a process
of its own, which reads on request. They take turns, first on the machine as it is and then beside as many busy
processes as there are cores, and one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np

from model.checkpoints.catalogue import DEFAULT, load_model

TOKENS = 16_384
PAUSE = 1.5
"""Seconds before a turn, after which the reading of the turn before no longer counts as another program's load."""
READINGS = 5
"""Of a turn."""
SPIN = "while True: pass"
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""What says how the threads of OpenMP wait."""
BY_LOAD = "from model.waiting import wait_by_load; wait_by_load()"


class Speeds(NamedTuple):
    """Tokens per second of the three ways."""

    by_load: float
    asleep: float
    spinning: float


@dataclass(frozen=True)
class Reader:
    """A process that reads the same tokens again whenever it is asked to."""

    process: subprocess.Popen[str]

    def seconds(self) -> float:
        """Read once; the seconds that it took."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def speeds(seconds: float) -> tuple[Speeds, Speeds]:
    """On the machine as it is and beside busy processes, each for ``seconds``."""
    with started(first=BY_LOAD) as by_load, started(OMP_WAIT_POLICY="passive") as asleep, started() as spinning:
        readers = [by_load, asleep, spinning]
        as_it_is = in_turns(readers, seconds)
        with busy(processes()):
            beside_others = in_turns(readers, seconds)
    return Speeds(*as_it_is), Speeds(*beside_others)


def processes() -> int:
    """How many busy processes a reading is set against."""
    return (os.cpu_count() or 1) + 1


def in_turns(readers: list[Reader], seconds: float) -> list[float]:
    """Tokens per second of each reader in the middle, after one reading that does not count."""
    for reader in readers:
        reader.seconds()
    times: list[list[float]] = [[] for _ in readers]
    begin = time.perf_counter()
    while not times[0] or time.perf_counter() - begin < seconds:
        for reader, found in zip(readers, times, strict=True):
            time.sleep(PAUSE)
            found += [reader.seconds() for _ in range(READINGS)]
    return [TOKENS / median(found) for found in times]


@contextmanager
def started(first: str = "", **setting: str) -> Iterator[Reader]:
    """A reader whose threads wait as ``setting`` of VARIABLES says; ``first`` is run before torch is loaded."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | setting
    script = f"{first}\nfrom model.cli.bench_busy import answer; answer()"
    process = subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Reader(process)
    finally:
        process.kill()
        process.wait()


@contextmanager
def busy(count: int) -> Iterator[None]:
    """``count`` processes that never rest."""
    with ExitStack() as stack:
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", SPIN])
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield


def answer() -> None:
    """In the process of a reader: read once for every line of the standard input, and print the seconds."""
    from model.cli.bench_loop import read_all

    model = load_model(DEFAULT)
    tokens = np.random.default_rng(0).integers(0, model.config.vocab_size, TOKENS).astype(np.int32)
    for _ in sys.stdin:
        begin = time.perf_counter()
        read_all(model, tokens, chunk_telemetry=True)
        print(time.perf_counter() - begin, flush=True)
