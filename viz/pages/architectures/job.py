"""The work of the page: results that can be seen, and a job that measures checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

from model.checkpoints.card import home
from model.checkpoints.catalogue import available
from model.studies.architectures import Architecture, measure_into, sample_texts, stored_in
from viz.app.language import t
from viz.app.workspace import workspace
from viz.jobs.job import Job, JobContext
from viz.jobs.measurements import SHIPPED
from viz.jobs.page_job import PageJob

MEASUREMENT: PageJob[list[str]] = PageJob("architectures")


def folders() -> tuple[Path, ...]:
    """Folders of results: the workspace's own, those of the command line, the shipped ones; each once."""
    own = workspace().folder / "architectures"
    return tuple(dict.fromkeys((own, home() / "architectures", SHIPPED / "architectures")))


def known_results() -> list[Architecture]:
    """Every result that can be seen; files are read again when one of them is another."""
    files = sorted(file for folder in folders() for file in folder.glob("*.json"))
    return list(_read(folders(), tuple((file, file.stat().st_mtime_ns) for file in files)))


@lru_cache(maxsize=4)
def _read(folders: tuple[Path, ...], _files: tuple[tuple[Path, int], ...]) -> tuple[Architecture, ...]:
    return tuple(stored_in(folders))


def unmeasured(known: Sequence[Architecture]) -> list[str]:
    """The installed models of this project of which something is to be measured."""
    done = {one.weights for one in known if not one.lacking}
    return [name for name, card in available().items() if not card.published and card.weights not in done]


def start(names: Sequence[str]) -> Job:
    """Queue what is missing of the models ``names``; results are on disk after every part."""
    work = partial(measure, names=list(names), folders=folders())
    return MEASUREMENT.start(work, list(names), title=t("architectures.running"))


def measure(job: JobContext, names: Sequence[str], folders: Sequence[Path]) -> None:
    """Measure ``names`` one after the other, from what is known in ``folders``, into the first of them."""
    texts = sample_texts()
    for place, name in enumerate(names):

        def report(part: str, share: float, place: int = place) -> None:
            job.progress(place + share, len(names), f"architectures.part_{part}")

        measure_into(folders, name, texts, report=report, stop=job.stopped)
        if job.stopped():
            return
