"""Jobs: one at a time and in order, cancelled at once, errors as sentences, live curves that stay small."""

import threading
import time

import numpy as np
import pytest

from model.errors import UserError
from viz.jobs import registry as jobs
from viz.jobs.job import CANCELLED, DONE, FAILED, QUEUED, RUNNING, Job, Series


@pytest.fixture(autouse=True)
def no_leftovers():
    yield
    for job in jobs.registry().jobs():
        job.cancel()
        job.wait(5)
        jobs.registry().forget(job)


def until_stopped(job: Job) -> str:
    while not job.stopped():
        time.sleep(0.01)
    return "so far"


def test_a_job_gives_its_result_once() -> None:
    job = jobs.submit("a", "read", lambda job: 42)
    assert job.wait(5)
    assert (job.status, job.result) == (DONE, 42)
    assert jobs.take("a", "read") is job
    assert jobs.take("a", "read") is None


def test_jobs_of_a_device_run_one_after_the_other_and_know_who_is_before_them() -> None:
    running: list[int] = []
    most: list[int] = []
    release = threading.Event()

    def work(job: Job) -> None:
        running.append(job.id)
        most.append(len(running))
        release.wait(5)
        running.remove(job.id)

    queued = [jobs.submit(session, "read", work) for session in "abc"]
    time.sleep(0.05)
    assert [job.status for job in queued] == [RUNNING, QUEUED, QUEUED]
    assert [jobs.waiting_before(job) for job in queued] == [0, 1, 2]
    release.set()
    assert all(job.wait(5) for job in queued)
    assert max(most) == 1


def test_devices_do_not_wait_for_each_other() -> None:
    slow = jobs.submit("a", "read", until_stopped)
    fast = jobs.submit("a", "map", lambda job: 1, device="map")
    assert fast.wait(5)
    assert slow.active


def test_cancel_ends_a_running_job_and_keeps_what_it_has() -> None:
    job = jobs.submit("a", "read", until_stopped)
    time.sleep(0.05)
    began = time.monotonic()
    job.cancel()
    assert job.wait(1)
    assert time.monotonic() - began < 1
    assert (job.status, job.result) == (CANCELLED, "so far")


def test_a_queued_job_that_is_cancelled_never_starts() -> None:
    first, started = jobs.submit("a", "read", until_stopped), []
    second = jobs.submit("b", "read", lambda job: started.append(job))
    second.cancel()
    assert second.wait(0)
    first.cancel()
    assert first.wait(5)
    jobs.submit("c", "read", lambda job: None).wait(5)
    assert second.status == CANCELLED
    assert not started


def test_errors_are_sentences() -> None:
    def wrong(job: Job) -> None:
        raise UserError("checkpoints.too_short", tokens=1)

    job = jobs.submit("a", "read", wrong)
    job.wait(5)
    assert job.status == FAILED
    assert job.error is not None
    assert job.error.key == "checkpoints.too_short"


def test_the_unexpected_is_one_sentence_and_a_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    job = jobs.submit("a", "read", lambda job: 1 / 0, title="Mine")
    job.wait(5)
    assert job.error is not None
    assert job.error.key == "jobs.failed"
    assert "ZeroDivisionError" in caplog.text
    assert jobs.submit("a", "read", lambda job: 1).wait(5)  # the worker lives on


def test_a_new_job_of_a_kind_replaces_the_old_one() -> None:
    old = jobs.submit("a", "map", until_stopped)
    new = jobs.submit("a", "map", lambda job: "new")
    assert new.wait(5)
    assert old.status == CANCELLED
    assert jobs.jobs_of("a", "map") == [new]


def test_the_end_of_a_session_cancels_its_jobs_alone() -> None:
    mine, other = jobs.submit("a", "map", until_stopped, device="x"), jobs.submit("b", "map", until_stopped, device="y")
    jobs.end_session("a")
    assert mine.wait(5)
    assert mine.status == CANCELLED
    assert other.active
    assert not jobs.jobs_of("a")


def test_seconds_left_follow_the_progress() -> None:
    job = Job("a", "read", lambda job: None)
    job.status = RUNNING
    assert job.seconds_left is None
    job.progress(0, 10)
    time.sleep(0.1)
    job.progress(5, 10)
    assert 0.05 < (job.seconds_left or 0) < 0.5
    job.progress(6, 10, seconds_left=7)
    assert job.seconds_left == 7
    assert job.fraction == 0.6


@pytest.mark.parametrize("count", [1, 2, 599, 600, 601, 50_000])
def test_live_curves_stay_small_and_keep_both_ends(count: int) -> None:
    series = Series(300)
    for x in range(count):
        series.add(x, {"loss": x / 2, "norm": np.array([x, -x])})
    positions, values = series.curve("norm")
    assert len(positions) <= 600
    assert (positions[0], positions[-1]) == (0, count - 1)
    assert (np.diff(positions) > 0).all()
    np.testing.assert_array_equal(values, np.stack([positions, -positions], axis=1))


def test_a_curve_that_starts_late_has_only_its_own_points() -> None:
    series = Series()
    series.add(0, {"loss": 1})
    series.add(1, {"loss": 2, "control_loss": 3})
    assert series.curve("control_loss")[0].tolist() == [1]
    assert series.curve("nothing")[0].tolist() == []
