"""Uploaded files: a document or a zipped recording, read in a job, refused in one sentence."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import streamlit as st

from model.documents.document import MAX_BYTES, SUFFIXES, read_document
from model.documents.shelf import Upload
from model.errors import UserError
from model.recording.archive import unpack
from viz.app import session, undo
from viz.app.browser import days
from viz.app.language import plain, t
from viz.app.links import choice
from viz.app.workspace import STATE_PREFIX, keeps, workspace
from viz.jobs.page_job import PageJob
from viz.jobs.registry import DONE, JobContext

if TYPE_CHECKING:
    from model.recording.reader import Recording

PATIENCE = 1.5
"""Seconds that a page waits for a file to be read before it shows a progress panel instead: most take less."""
FRESH = STATE_PREFIX + "doc"
"""Entry of the session state: the key of a document that was read since the sidebar was last drawn."""
DOCUMENT: PageJob[None] = PageJob("document", device="documents")
RECORDING: PageJob[None] = PageJob("import", device="documents")
_FROM = STATE_PREFIX + "upload_from_"


def document_uploader(key: str) -> None:
    """A place to drop a document."""
    st.file_uploader(
        t("app.uploads.document"),
        key=key,
        on_change=_receive_document,
        args=(key,),
        help=" ".join(
            (
                t("app.uploads.document_help", suffixes=", ".join(SUFFIXES), limit=MAX_BYTES // 2**20),
                t(f"app.uploads.document_{session.stays()}", days=days()),
            )
        ),
    )
    _outcome(DOCUMENT)


def document_choice() -> str:
    """The box with all documents; one that was read a moment ago is chosen."""
    titles = {key: session.document_title(key) for key in session.document_keys()}
    fresh = st.session_state.pop(FRESH, None)
    if fresh in titles:
        st.session_state["doc"] = fresh
    return choice("doc", titles, t("app.sidebar.document"), help=t("app.sidebar.document_help"))


def recording_uploader(key: str) -> None:
    """A place to drop a zipped recording."""
    st.file_uploader(
        t("app.uploads.recording"),
        type="zip",
        key=key,
        on_change=_receive_recording,
        args=(key,),
        help=t("app.uploads.recording_help"),
    )
    _outcome(RECORDING)


def _receive_document(key: str) -> None:
    file, before = st.session_state.get(key), st.session_state.pop(_FROM + key, None)
    if file is None:
        forget(before)
    else:
        st.session_state[_FROM + key] = file.name
        read(file.getvalue(), file.name, None)


def _receive_recording(key: str) -> None:
    file = st.session_state.get(key)
    if file is None:
        RECORDING.dismiss()
    else:
        take_in(file.getvalue(), file.name)


def forget(name: str | None) -> None:
    """Move the upload whose file had that name to the bin, and drop its failure."""
    DOCUMENT.dismiss()
    DOCUMENT.cancel()
    undo.delete_document(name)


def read(data: bytes, name: str, encoding: str | None, main_text_only: bool = False) -> None:
    """Read an uploaded document with ``encoding`` (None detects it) and choose it.

    ``main_text_only`` leaves out what of a web page is not the article.
    """

    def work(job: JobContext) -> Upload:
        document = read_document(data, name, encoding, main_text_only=main_text_only)
        return Upload(data, document, encoding, main_text_only)

    DOCUMENT.start(work, None, title=name, private=True).wait(PATIENCE)
    collect()


def take_in(data: bytes, name: str) -> None:
    """Unpack a zipped recording into this workspace and show it."""
    folder = workspace().recordings if keeps() else workspace().passing_recordings

    def work(job: JobContext) -> Recording:
        return unpack(io.BytesIO(data), name, folder)

    RECORDING.start(work, None, title=name, private=True).wait(PATIENCE)
    collect()


def collect() -> None:
    """Take what has been read since: a document is chosen, a recording is shown."""
    job = DOCUMENT.collect()
    if job is not None and job.status == DONE:
        try:
            st.session_state[FRESH] = workspace().add(job.result, keep=keeps())
        except UserError as error:
            DOCUMENT.fail(error)
    job = RECORDING.collect()
    if job is not None and job.status == DONE:
        session.changed()
        session.select(job.result.key)


def _outcome(job: PageJob[None]) -> None:
    """The progress of the last upload, or the sentence that refused it."""
    if job.job is not None:
        job.show_progress(t("app.uploads.reading", name=plain(job.job.title)))
    job.show_failure()
