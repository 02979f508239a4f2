"""What a reading keeps of its speed while other programs want the cores, with threads that sleep or spin at barriers.

How OpenMP waits is fixed when torch is loaded, so each way has a process of its own, which reads when it is told to.
The two take turns, first on the machine as it is and then beside as many busy processes as there are cores, and one.
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
SPIN = "while True: pass"
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""What says how the threads of OpenMP wait."""


class Speeds(NamedTuple):
    """Tokens per second: of passive waiting and of spinning, on the machine as it is and beside busy processes."""

    passive: float
    spinning: float
    passive_busy: float
    spinning_busy: float


@dataclass(frozen=True)
class Reader:
    """A process that reads the same tokens again whenever it is asked to."""

    process: subprocess.Popen[str]

    def seconds(self) -> float:
        """Read once; the seconds that it took."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def speeds(seconds: float) -> Speeds:
    """Measure all four, each pair for ``seconds``."""
    passive = {"OMP_WAIT_POLICY": "passive"}
    with started(passive) as sleeping, started({}) as spinning:
        as_it_is = in_turns([sleeping, spinning], seconds)
        with busy(processes()):
            beside_others = in_turns([sleeping, spinning], seconds)
    return Speeds(*as_it_is, *beside_others)


def processes() -> int:
    """How many busy processes a reading is set against."""
    return (os.cpu_count() or 1) + 1


def in_turns(readers: list[Reader], seconds: float) -> list[float]:
    """Tokens per second of each reader in the middle, after one reading that does not count."""
    for reader in readers:
        reader.seconds()
    times: list[list[float]] = [[] for _ in readers]
    begin = time.perf_counter()
    while len(times[0]) < 3 or time.perf_counter() - begin < seconds:
        for reader, found in zip(readers, times, strict=True):
            found.append(reader.seconds())
    return [TOKENS / median(found) for found in times]


@contextmanager
def started(setting: dict[str, str]) -> Iterator[Reader]:
    """A reader whose threads wait as ``setting`` says."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES} | setting
    script = "from model.cli.bench_busy import answer; answer()"
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
