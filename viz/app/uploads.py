"""Files that come in: a document or a zipped recording, read away from the script, refused in one sentence."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import streamlit as st

from model.documents.document import MAX_BYTES, SUFFIXES, read_document
from model.recording.archive import unpack
from viz.app import session
from viz.app.language import plain, show_error, t
from viz.app.workspace import STATE_PREFIX, Upload, session_id, workspace
from viz.jobs import registry as jobs
from viz.jobs.progress import panel

if TYPE_CHECKING:
    from model.recording.recording import Recording

PATIENCE = 1.5
"""Seconds that a page waits for a file to be read before it shows a progress panel instead: most take less."""
FRESH = STATE_PREFIX + "doc"
"""Where the key of a document stands that was read since the sidebar was drawn last."""
_ERROR, _FROM = STATE_PREFIX + "upload_error_", STATE_PREFIX + "upload_from_"


def document_uploader(key: str) -> None:
    """A place to drop a document."""
    st.file_uploader(
        t("uploads.document"),
        key=key,
        on_change=_receive,
        args=(key, "document"),
        help=t("uploads.document_help", suffixes=", ".join(SUFFIXES), limit=MAX_BYTES // 2**20),
    )
    outcome("document")


def recording_uploader(key: str) -> None:
    """A place to drop a zipped recording."""
    st.file_uploader(
        t("uploads.recording"),
        type="zip",
        key=key,
        on_change=_receive,
        args=(key, "import"),
        help=t("uploads.recording_help"),
    )
    outcome("import")


def _receive(key: str, kind: str) -> None:
    file, st.session_state[_ERROR + kind] = st.session_state.get(key), None
    before = st.session_state.pop(_FROM + key, None)
    if file is None:
        forget(before)
    elif kind == "document":
        st.session_state[_FROM + key] = file.name
        read(file.getvalue(), file.name, None)
    else:
        take_in(file.getvalue(), file.name)


def forget(name: str | None) -> None:
    """Drop the upload whose file had that name, and what was said about it."""
    st.session_state[_ERROR + "document"] = None
    job = jobs.latest(session_id(), "document")
    if job is not None:
        job.cancel()
    workspace().forget(name)


def read(data: bytes, name: str, encoding: str | None) -> None:
    """Read an uploaded document with ``encoding`` (None detects it) and choose it."""

    def work(job: jobs.Job) -> Upload:
        return Upload(data, read_document(data, name, encoding), encoding)

    _wait(jobs.submit(session_id(), "document", work, title=name, device="documents"))


def take_in(data: bytes, name: str) -> None:
    """Unpack a zipped recording into the session's library and show it."""
    folder = workspace().recordings

    def work(job: jobs.Job) -> Recording:
        return unpack(io.BytesIO(data), name, folder)

    _wait(jobs.submit(session_id(), "import", work, title=name, device="documents"))


def _wait(job: jobs.Job) -> None:
    st.session_state[_ERROR + job.kind] = None
    job.wait(PATIENCE)
    collect()


def collect() -> None:
    """Take what has been read since: a document is chosen, a recording is shown, an error is kept to be said."""
    job = jobs.take(session_id(), "document")
    if job is not None:
        st.session_state[_ERROR + "document"] = job.error
        if job.status == jobs.DONE:
            st.session_state[FRESH] = workspace().add(job.result)
    job = jobs.take(session_id(), "import")
    if job is not None:
        st.session_state[_ERROR + "import"] = job.error
        if job.status == jobs.DONE:
            session.select(job.result.key)
            st.session_state["managed"] = job.result.key


def outcome(kind: str) -> None:
    """What became of the file that was dropped last: still being read, or refused with a sentence."""
    job = jobs.latest(session_id(), kind)
    if job is not None and job.active:
        panel(job, t("uploads.reading", name=plain(job.title)))
    error = st.session_state.get(_ERROR + kind)
    if error is not None:
        show_error(error)
