"""The work of the page: which result belongs to a model on this machine, and a job that measures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from model.checkpoints.card import home
from model.studies.cost import CostResult, CostTask, measure_cost
from viz.app.language import t
from viz.app.workspace import workspace
from viz.jobs.job import Job, JobContext
from viz.jobs.measurements import stored
from viz.jobs.page_job import PageJob

COST: PageJob[CostTask] = PageJob("cost")


def folder() -> Path:
    """The folder of this workspace's results."""
    return workspace().folder / "cost"


def known_results() -> list[CostResult]:
    """Every result that can be seen: the workspace's own, and those of the command line."""
    return stored(tuple(dict.fromkeys((folder(), home() / "cost"))), CostResult.load)


def result_of(task: CostTask, known: Sequence[CostResult]) -> CostResult | None:
    """The fullest result of ``task``; None if nothing was measured."""
    found = [result for result in known if result.task == task and result.points]
    return max(found, key=lambda result: len(result.points), default=None)


def start(begun: CostResult, seconds: float) -> Job:
    """Queue what ``begun`` lacks within ``seconds``; the result is on disk after every point."""
    work = partial(measure, begun=begun, seconds=seconds, path=folder() / f"{begun.task.key}.json")
    return COST.start(work, begun.task, title=t("cost.running"))


def measure(job: JobContext, begun: CostResult, seconds: float, path: Path) -> None:
    """Measure what ``begun`` lacks, and write it to ``path`` after every point."""
    total = max(1.0, seconds - sum(point.spent for point in begun.points))
    started = time.monotonic()

    def report(reader: str, length: int, read: int) -> None:
        done = min(time.monotonic() - started, total)
        job.progress(done, total, f"cost.reading_{reader}", seconds_left=total - done)

    measure_cost(begun, seconds=seconds, report=report, keep=lambda kept: kept.save(path), stop=job.stopped)
