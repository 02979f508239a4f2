"""Work for a worker process, in a module that is quick to import there."""

import os
import sys
import time
from pathlib import Path

import numpy as np

from model.errors import UserError
from viz.jobs.job import JobContext


def square(job: JobContext, number: int) -> tuple[int, int]:
    job.send("half way")
    for done in range(1, 4):
        job.progress(done, 3, "jobs.working", loss=1 / done, norm=np.array([done, -done]))
    return number**2, os.getpid()


def until_stopped(job: JobContext) -> str:
    job.progress(0, 1)
    while not job.stopped():
        time.sleep(0.01)
    return "so far"


def refuse(job: JobContext) -> None:
    raise UserError("lab.all_watched", tokens=7)


def divide(job: JobContext) -> float:
    print("what libraries print does not disturb")
    return 1 / 0


def lock(job: JobContext) -> object:
    return sys._getframe()  # cannot be pickled


def die(job: JobContext) -> None:
    os.kill(os.getpid(), 9)


def append(job: JobContext, file: Path, word: str) -> None:
    with file.open("a") as stream:
        stream.write(word)


def load_slowly(job: JobContext, file: Path) -> None:
    time.sleep(1)
    if not job.stopped():
        file.touch()
