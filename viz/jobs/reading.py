"""The Run button's work: choices to a job to a recording, and what the pages show while it runs."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from model.documents.document import Document
from model.errors import UserError
from model.reading.prepare import prepare
from model.recording.reader import TEXT, Recording, write_text
from viz.app import limits, session
from viz.app.choices import Choices, describe
from viz.app.language import plain, t
from viz.app.workspace import workspace
from viz.jobs import registry as jobs
from viz.jobs.job import JobContext
from viz.jobs.page_job import PageJob

if TYPE_CHECKING:
    from model.reading.runner import Progress

READING: PageJob[Choices] = PageJob("read")


def start(chosen: Choices) -> jobs.Job:
    """Queue a reading of the chosen document; UserError if it is gone."""
    document = session.document(chosen.document)
    limits.check_room(workspace().folder)
    source = session.find(chosen.strategy.source)
    folder = workspace().recordings if chosen.keep else workspace().passing_recordings
    elsewhere = [place.folder for place in session.libraries() if place.name != "session" and place.folder != folder]
    work = partial(
        read,
        document=document,
        chosen=chosen,
        source=source.path if source is not None else None,
        folder=folder,
        elsewhere=elsewhere,
    )
    title = f"{session.document_title(chosen.document)} · {describe(chosen.strategy)}"
    return READING.start(work, chosen, title=title, private=not chosen.keep)


def read(
    job: JobContext, document: Document, chosen: Choices, source: Path | None, folder: Path, elsewhere: list[Path]
) -> Path | None:
    """Read ``document`` into ``folder``, unless that was done before; returns the folder of the recording.

    None if the job was cancelled before anything was read.
    """
    from model.reading.runner import run

    prepared = prepare(document, chosen.model, chosen.strategy, chosen.options, source=source)
    limits.check_tokens(len(prepared.tokens))
    found = finished(prepared.experiment.key, elsewhere)
    if found is not None or job.stopped():
        return found.path if found is not None else None

    def report(progress: Progress) -> None:
        curves = {"loss": progress.loss, "norm": progress.norms}
        if progress.control_loss is not None:
            curves["control_loss"] = progress.control_loss
        note = "jobs.summary" if progress.phase == "summary" else "jobs.reading"
        job.progress(progress.tokens, progress.total, note, seconds_left=progress.seconds_left, **curves)

    recording = run(prepared, folder, on_progress=report, stop=job.stopped, keep_text=chosen.keep_text)
    if chosen.keep_text and not (recording.path / TEXT).exists():
        write_text(recording.path, document.text)
    return recording.path


def finished(key: str, folders: list[Path]) -> Recording | None:
    """The complete recording ``key`` in one of ``folders``: the same experiment is not run twice."""
    for path in (folder / key for folder in folders):
        with suppress(UserError):
            found = Recording(path)
            if found.complete:
                return found
    return None


def collect() -> None:
    """If a reading has ended, show its recording."""
    job = READING.collect()
    if job is None:
        return
    session.changed()
    if job.result is not None:
        recording = session.opened(job.result)
        session.select(recording.key, follow=False)  # its settings are in the sidebar, or newer ones
        done = recording.complete
        st.toast(
            t("jobs.done" if done else "jobs.stopped_early"), icon=":material/check:" if done else ":material/stop:"
        )
    elif job.status == jobs.CANCELLED:
        st.toast(t("jobs.cancelled"), icon=":material/stop:")


def show() -> None:
    """The failure of the last reading, if there is one, and the progress of the current one."""
    READING.show_failure()
    if READING.job is not None:
        READING.show_progress(t("jobs.reading_title", title=plain(READING.job.title)))
