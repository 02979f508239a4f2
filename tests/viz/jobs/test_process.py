"""Jobs in a worker process: results, progress and sentences come back, cancelling goes there, its death is survived."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from model.documents.document import Document
from model.messages import LANGUAGES
from model.recording.reader import Recording
from tests.support import work
from tests.support.tiny import make_tiny_checkpoint, tiny_text
from viz.app.choices import Choices
from viz.jobs.job import CANCELLED, DONE, FAILED, Job
from viz.jobs.reading import read
from viz.jobs.registry import JobRegistry

ROOT = Path(__file__).parents[3]
PATIENCE = 120
"""Seconds for a process to start on a busy machine."""


@pytest.fixture(scope="module")
def registry() -> Iterator[JobRegistry]:
    """One with a worker process, which imports no torch: the work of these tests does not."""
    registry = JobRegistry(["cpu"])
    yield registry
    registry.close()


def submitted(registry: JobRegistry, function, session: str = "a", **more) -> Job:
    job = Job(session, "read", function, **more)
    registry.submit(job, "cpu")
    return job


def began(job: Job) -> Job:
    deadline = time.monotonic() + PATIENCE
    while not job.total:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return job


def test_the_result_the_curves_and_what_is_sent_come_back(registry: JobRegistry) -> None:
    received: list[str] = []
    job = submitted(registry, partial(work.square, number=12), receive=received.append)
    assert job.wait(PATIENCE) and job.status == DONE
    assert job.result == (144, registry.processes["cpu"].pid) and received == ["half way"]
    assert (job.done, job.total, job.note, job.fraction) == (3, 3, "jobs.working", 1)
    assert job.curve("norm")[1].tolist() == [[1, -1], [2, -2], [3, -3]]


def test_cancelling_reaches_the_process_within_a_second(registry: JobRegistry) -> None:
    job = began(submitted(registry, work.until_stopped))
    start = time.monotonic()
    job.cancel()
    assert job.wait(1) and time.monotonic() - start < 1
    assert (job.status, job.result) == (CANCELLED, "so far")
    assert submitted(registry, work.until_stopped).wait(0.3) is False  # it was not told of the cancelling before it
    registry.jobs()[-1].cancel()


def test_what_is_cancelled_before_it_says_anything_ends_at_once(registry: JobRegistry, tmp_path: Path) -> None:
    slow = submitted(registry, partial(work.load_slowly, file=tmp_path / "made"))
    time.sleep(0.2)
    slow.cancel()
    assert slow.wait(0.5) and slow.status == CANCELLED
    after = submitted(registry, partial(work.square, number=5))
    assert after.wait(PATIENCE) and after.result[0] == 25 and not (tmp_path / "made").exists()


def test_what_goes_wrong_there_is_said_here(registry: JobRegistry, caplog: pytest.LogCaptureFixture) -> None:
    refused = submitted(registry, work.refuse)
    assert refused.wait(PATIENCE) and refused.status == FAILED
    assert refused.error is not None and refused.error.key == "lab.all_watched" and "7" in str(refused.error)
    for job_work, name in ((work.divide, "ZeroDivisionError"), (work.lock, "pickle"), (lambda job: 1, "pickle")):
        failed = submitted(registry, job_work)
        assert failed.wait(PATIENCE) and failed.error is not None and failed.error.key == "jobs.failed"
        assert name in caplog.text
        caplog.clear()


def test_a_killed_process_fails_its_job_and_no_other(registry: JobRegistry) -> None:
    lost = submitted(registry, work.die)
    after = submitted(registry, partial(work.square, number=3), session="b")
    assert lost.wait(PATIENCE) and lost.status == FAILED
    assert lost.error is not None and lost.error.key == "jobs.worker_died"
    assert all(lost.error.sentence(language) for language in LANGUAGES)
    assert after.wait(PATIENCE) and after.status == DONE and after.result[0] == 9
    os.kill(after.result[1], 9)  # while it has nothing to do
    time.sleep(0.2)
    again = submitted(registry, partial(work.square, number=4))
    assert again.wait(PATIENCE) and again.result[0] == 16 and again.result[1] != after.result[1]


def test_sessions_take_turns(registry: JobRegistry, tmp_path: Path) -> None:
    file = tmp_path / "order"
    first = began(submitted(registry, work.until_stopped, "a"))
    queued = [
        submitted(registry, partial(work.append, file=file, word=word), session)
        for session, word in (("a", "1"), ("a", "2"), ("a", "3"), ("b", "x"), ("b", "y"), ("c", "z"))
    ]
    assert [registry.waiting_before(job) for job in [first, *queued]] == [0, 1, 4, 6, 2, 5, 3]
    queued[0].cancel()
    assert [registry.waiting_before(job) for job in queued] == [0, 1, 4, 2, 5, 3]
    first.cancel()
    assert all(job.wait(PATIENCE) for job in queued)
    assert file.read_text() == "2xz3y"


def test_a_reading_comes_back_as_the_folder_of_its_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    chosen = Choices(document="", model=make_tiny_checkpoint(tmp_path))
    registry, document = JobRegistry(["cpu"]), Document.of(tiny_text(300), "mine.txt")
    reading = partial(read, document=document, chosen=chosen, source=None, folder=tmp_path / "out", elsewhere=[])
    try:
        job = submitted(registry, reading)
        assert job.wait(PATIENCE) and job.error is None
        recording = Recording(job.result)
        assert recording.complete and recording.path.parent == tmp_path / "out"
        assert job.done == job.total == recording.tokens and len(job.curve("loss")[0])
    finally:
        registry.close()


def test_the_process_ends_with_a_server_that_is_killed() -> None:
    script = (
        "import os, time\n"
        "from tests.support.work import until_stopped\n"
        "from viz.jobs.registry import Job, JobRegistry\n"
        "registry, job = JobRegistry(['cpu']), Job('a', 'read', until_stopped)\n"
        "registry.submit(job, 'cpu')\n"
        "while not job.total:\n"
        "    time.sleep(0.01)\n"
        "print(registry.processes['cpu'].pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    pid, deadline = int(done.stdout), time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
