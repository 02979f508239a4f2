"""The evidence page's work: which result is shown, a job that measures, and results in the session's folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import streamlit as st

from model.checkpoints.catalogue import DEFAULT, available
from model.studies.evidence import EvidenceResult, EvidenceTask, begin, members, run_evidence
from model.studies.evidence.family import OTHERS
from model.studies.evidence.run import samples, taken_over
from viz.app.language import t
from viz.app.workspace import workspace
from viz.jobs.job import Job, JobContext
from viz.jobs.measurements import SHIPPED, stored
from viz.jobs.page_job import PageJob

STORED = SHIPPED / "evidence"
MEASUREMENT: PageJob[EvidenceTask] = PageJob("evidence")


def folder() -> Path:
    """The folder of this workspace's results."""
    return workspace().folder / "evidence"


def installed() -> bool:
    """Whether the base model is here, so that something can be measured."""
    return DEFAULT in available()


def own_documents() -> list[tuple[str, str]]:
    """Name and text of the uploaded documents."""
    uploads = [workspace().upload(key) for key in workspace().listed()]
    return [(upload.document.name, upload.document.text) for upload in uploads if upload is not None]


@st.cache_resource(max_entries=1, show_spinner=False)
def sample_documents() -> list[tuple[str, str]]:
    """Name and text of the shipped samples that have words."""
    return samples()


def task_of(documents: Sequence[tuple[str, str]], tokens: int) -> EvidenceTask:
    """What the controls ask for."""
    return EvidenceTask.of(documents, tokens=tokens, base=DEFAULT)


def known_results() -> list[EvidenceResult]:
    """Every result that can be seen: the workspace's own, newest first, then what came with the program."""
    return stored((folder(), STORED), EvidenceResult.load)


def result_of(task: EvidenceTask, known: Sequence[EvidenceResult]) -> EvidenceResult | None:
    """What is known of ``task``, the workspace's own first."""
    return next((result for result in known if result.task == task), None)


def is_own(result: EvidenceResult) -> bool:
    """Whether ``result`` was measured in this workspace."""
    return (folder() / f"{result.task.key}.json").exists()


def is_current(result: EvidenceResult) -> bool:
    """Whether the installed models are those that were measured; models of other families may be missing there."""
    if result.task.base not in available():
        return True
    here = set(members(result.task.base))
    lacking = here - set(result.members)
    return set(result.members) <= here and all(member.role in OTHERS for member in lacking)


def is_whole(result: EvidenceResult) -> bool:
    """Whether every installed model is among those that were measured."""
    return is_current(result) and set(members(result.task.base)) <= set(result.members)


def start(documents: Sequence[tuple[str, str]], task: EvidenceTask, before: EvidenceResult | None) -> Job:
    """Queue what ``before`` lacks of ``task``; the result is on disk after every reading."""
    work = partial(measure, documents=documents, task=task, before=before, path=folder() / f"{task.key}.json")
    return MEASUREMENT.start(work, task, title=t("evidence.running"))


def measure(
    job: JobContext,
    documents: Sequence[tuple[str, str]],
    task: EvidenceTask,
    before: EvidenceResult | None,
    path: Path,
) -> None:
    """Measure what ``before`` lacks of ``task``, and write it to ``path`` after every reading."""
    begun, texts = begin(documents, tokens=task.tokens, base=task.base)
    if before is not None:
        begun = taken_over(begun, before)

    def report(result: EvidenceResult, done: int, total: int) -> None:
        job.progress(done, total, "evidence.reading")

    run_evidence(begun, texts, report=report, keep=lambda kept: kept.save(path), stop=job.stopped)
