"""State files of the page: the state at a moment, written for a download, and compared with one that was uploaded."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import streamlit as st

from model.diagnostics.state_numbers import Comparison
from model.disk import write_whole, writing
from model.recording.reader import Recording
from model.recording.state_file import StateFile
from viz.app.language import t
from viz.app.workspace import STATE_PREFIX, workspace
from viz.jobs.again import source_of
from viz.jobs.job import Job, JobContext
from viz.jobs.page_job import PageJob

STATE: PageJob[tuple[str, int, str]] = PageJob("ask_state")
KEPT = 4
"""State files that a workspace holds ready; one more replaces the oldest."""
_COMPARED = STATE_PREFIX + "ask_compared"


def file_of(recording: Recording, moment: int) -> Path:
    """Where the state of ``recording`` after ``moment`` tokens is written."""
    return workspace().folder / "states" / f"{recording.key}-{moment}.safetensors"


def uploaded(data: bytes, name: str) -> tuple[Path, str]:
    """Keep an uploaded state for this session; its file and digest. UserError if it is no state."""
    StateFile.of(data, name)
    digest = hashlib.sha256(data).hexdigest()[:16]
    file = workspace().passing / "uploaded_states" / f"{digest}.safetensors"
    if not file.exists():
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, data)
    return file, digest


def start(recording: Recording, text: str, moment: int, other: Path | None = None, digest: str = "") -> Job:
    """Queue the state after ``moment`` tokens, and its comparison with the one in ``other``."""
    work = partial(
        prepare_state,
        path=recording.path,
        text=text,
        source=source_of(recording),
        moment=moment,
        file=file_of(recording, moment),
        other=other,
    )
    return STATE.start(work, (recording.key, moment, digest), title=t("ask.state_running"))


def prepare_state(
    job: JobContext, path: Path, text: str, source: Path | None, moment: int, file: Path, other: Path | None
) -> Comparison | None:
    """Write the state to ``file``, unless it is there; compared with ``other``, if that is asked for."""
    from model.reading.again import prepare_again
    from model.studies.ask.states import compared, state_at

    if not file.exists():

        def passed(tokens: int) -> bool:
            job.progress(tokens, moment, "ask.reading")
            return job.stopped()

        found = state_at(prepare_again(Recording(path), text, source), moment, passed=passed)
        if found is None:
            return None
        found.save(file)
        for old in sorted(file.parent.glob("*.safetensors"), key=lambda each: each.stat().st_mtime_ns)[:-KEPT]:
            old.unlink(missing_ok=True)
    return None if other is None else compared(StateFile.load(file), StateFile.load(other))


def collect() -> None:
    """Take the comparison of a job that has ended since the last call."""
    ended = STATE.collect()
    if ended is not None and ended.result is not None:
        st.session_state[_COMPARED] = ended.asked, ended.result


def comparison(recording: Recording, moment: int, digest: str) -> Comparison | None:
    """What is known of the state at a moment beside the uploaded one with that ``digest``."""
    asked, found = st.session_state.get(_COMPARED, (None, None))
    return found if asked == (recording.key, moment, digest) else None
