"""The work of the page: how much of the state at a moment each token still holds, stored with the recording."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from model.recording.reader import Recording
from viz.app.language import t
from viz.app.workspace import workspace
from viz.jobs.again import source_of
from viz.jobs.job import Job, JobContext
from viz.jobs.page_job import PageJob

SHARES: PageJob[tuple[str, int]] = PageJob("shares")


def start(recording: Recording, text: str, moment: int) -> Job:
    """Queue the shares of the state after ``moment`` tokens; UserError where the model is another one now."""
    work = partial(
        compute,
        path=recording.path,
        text=text,
        moment=moment,
        source=source_of(recording),
        folder=folder_of(recording),
    )
    return SHARES.start(work, (recording.key, moment), title=t("text.computing"))


def folder_of(recording: Recording) -> Path:
    """Where the shares of ``recording`` are stored: in the workspace, since a recording may belong to someone else."""
    return workspace().folder / "shares" / recording.key


def compute(job: JobContext, path: Path, text: str, moment: int, source: Path | None, folder: Path) -> int | None:
    """Compute and store the shares; None if that was cancelled."""
    from model.reading.again import prepare_again
    from model.studies.shares.run import StoppedError, remembered

    prepared = prepare_again(Recording(path), text, source, device="cpu")
    try:
        found = remembered(
            prepared,
            moment,
            on_progress=lambda done, total: job.progress(done, total, "text.going_back"),
            stop=job.stopped,
        )
    except StoppedError:
        return None
    found.save(folder)
    return moment
