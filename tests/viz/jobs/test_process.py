"""Jobs in a worker process: results, progress and sentences come back, cancelling goes there, its death is survived."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from model.errors import UserError
from model.messages import LANGUAGES
from viz.jobs.job import CANCELLED, DONE, FAILED, Job, JobContext
from viz.jobs.registry import JobRegistry

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def registry() -> Iterator[JobRegistry]:
    """One with a worker process, which imports no torch: the work of these tests does not."""
    registry = JobRegistry(["cpu"])
    yield registry
    registry.close()


def submitted(registry: JobRegistry, work, session: str = "a", **more) -> Job:
    job = Job(session, "read", work, **more)
    registry.submit(job, "cpu")
    return job


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


def began(job: Job) -> Job:
    deadline = time.monotonic() + 30
    while not job.total:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job


def test_the_result_the_curves_and_what_is_sent_come_back(registry: JobRegistry) -> None:
    received: list[str] = []
    job = submitted(registry, partial(square, number=12), receive=received.append)
    assert job.wait(30) and job.status == DONE
    assert job.result == (144, registry.processes["cpu"].pid) and received == ["half way"]
    assert (job.done, job.total, job.note, job.fraction) == (3, 3, "jobs.working", 1)
    assert job.curve("norm")[1].tolist() == [[1, -1], [2, -2], [3, -3]]


def test_cancelling_reaches_the_process_within_a_second(registry: JobRegistry) -> None:
    job = began(submitted(registry, until_stopped))
    start = time.monotonic()
    job.cancel()
    assert job.wait(1) and time.monotonic() - start < 1
    assert (job.status, job.result) == (CANCELLED, "so far")
    assert submitted(registry, until_stopped).wait(0.3) is False  # it was not told of the cancelling before it
    registry.jobs()[-1].cancel()


def test_what_is_cancelled_before_it_says_anything_ends_at_once(registry: JobRegistry, tmp_path: Path) -> None:
    slow = submitted(registry, partial(load_slowly, file=tmp_path / "made"))
    time.sleep(0.2)
    slow.cancel()
    assert slow.wait(0.5) and slow.status == CANCELLED
    after = submitted(registry, partial(square, number=5))
    assert after.wait(30) and after.result[0] == 25 and not (tmp_path / "made").exists()


def test_what_goes_wrong_there_is_said_here(registry: JobRegistry, caplog: pytest.LogCaptureFixture) -> None:
    refused = submitted(registry, refuse)
    assert refused.wait(30) and refused.status == FAILED
    assert refused.error is not None and refused.error.key == "lab.all_watched" and "7" in str(refused.error)
    for work, name in ((divide, "ZeroDivisionError"), (lock, "pickle"), (lambda job: 1, "pickle")):
        failed = submitted(registry, work)
        assert failed.wait(30) and failed.error is not None and failed.error.key == "jobs.failed"
        assert name in caplog.text
        caplog.clear()


def test_a_killed_process_fails_its_job_and_no_other(registry: JobRegistry) -> None:
    lost = submitted(registry, die)
    after = submitted(registry, partial(square, number=3), session="b")
    assert lost.wait(30) and lost.status == FAILED
    assert lost.error is not None and lost.error.key == "jobs.worker_died"
    assert all(lost.error.sentence(language) for language in LANGUAGES)
    assert after.wait(30) and after.status == DONE and after.result[0] == 9
    os.kill(after.result[1], 9)  # while it has nothing to do
    time.sleep(0.2)
    again = submitted(registry, partial(square, number=4))
    assert again.wait(30) and again.result[0] == 16 and again.result[1] != after.result[1]


def test_sessions_take_turns(registry: JobRegistry, tmp_path: Path) -> None:
    file = tmp_path / "order"
    first = began(submitted(registry, until_stopped, "a"))
    queued = [
        submitted(registry, partial(append, file=file, word=word), session)
        for session, word in (("a", "1"), ("a", "2"), ("a", "3"), ("b", "x"), ("b", "y"), ("c", "z"))
    ]
    assert [registry.waiting_before(job) for job in [first, *queued]] == [0, 1, 4, 6, 2, 5, 3]
    queued[0].cancel()
    assert [registry.waiting_before(job) for job in queued] == [0, 1, 4, 2, 5, 3]
    first.cancel()
    assert all(job.wait(30) for job in queued)
    assert file.read_text() == "2xz3y"


def test_the_process_ends_with_a_server_that_is_killed() -> None:
    script = (
        "import os, sys\n"
        "from tests.viz.jobs.test_process import JobRegistry, began, submitted, until_stopped\n"
        "registry = JobRegistry(['cpu'])\n"
        "began(submitted(registry, until_stopped))\n"
        "print(registry.processes['cpu'].pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    pid, deadline = int(done.stdout), time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
