"""The models page's work away from the script: asking the hub, downloading, and recording explored states."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from model.checkpoints.catalogue import model_card
from model.errors import UserError
from model.published.hub import ask, check_hub_name
from model.published.hub import download as fetch
from model.published.registry import add_folder
from model.reading.reference import record_explored
from viz.app import session
from viz.app.language import plain, t
from viz.app.workspace import STATE_PREFIX, session_id
from viz.jobs import registry as jobs

if TYPE_CHECKING:
    from model.published.hub import Offer

ASK, DOWNLOAD, RECORD = "hub_ask", "hub_download", "explored"
KINDS = (ASK, DOWNLOAD, RECORD)
DEVICE = {ASK: "hub", DOWNLOAD: "hub", RECORD: "cpu"}
MEGABYTE = 1_000_000
_ERROR, _OFFER = STATE_PREFIX + "models_error", STATE_PREFIX + "models_offer"


def look(written: str) -> str | None:
    """Take in the folder that a user named, and return its name; ask the hub about anything else, in a job.

    UserError if it is a folder without a checkpoint that can be read, or no name at all.
    """
    st.session_state[_ERROR] = st.session_state[_OFFER] = None
    written = written.strip()
    if written.startswith(("/", "~", ".")) or Path(written).expanduser().is_dir():
        return add_folder(written).name
    check_hub_name(written)
    jobs.submit(
        session_id(), ASK, lambda job: ask(written), title=t("models_page.asking", name=plain(written)), device="hub"
    )
    return None


def download(offer: Offer) -> None:
    """Queue the download of ``offer``: it goes on when the page is left, and ends when the session does."""

    def work(job: jobs.Job) -> None:
        def report(done: int, total: int) -> None:
            job.progress(done / MEGABYTE, total / MEGABYTE, "models_page.downloading")

        fetch(offer, report, job.stopped)

    st.session_state[_ERROR] = st.session_state[_OFFER] = None
    title = t("models_page.downloading_title", name=plain(offer.name))
    jobs.submit(session_id(), DOWNLOAD, work, title=title, device=DEVICE[DOWNLOAD])


def record(name: str, document: str, windows: int) -> None:
    """Queue the recording of explored states of the model ``name`` from the document with the key ``document``."""
    card, text = model_card(name), session.document(document)
    told = session.document_title(document)

    def work(job: jobs.Job) -> None:
        def report(done: int, total: int) -> None:
            job.progress(done, total, "models_page.recording")

        record_explored(card, [(told, text.text)], windows=windows, report=report, stop=job.stopped)

    st.session_state[_ERROR] = None
    jobs.submit(session_id(), RECORD, work, title=t("models_page.recording_title", name=plain(name)))


def collect() -> list[jobs.Job]:
    """The jobs of this page that go on; of those that have ended, an offer and an error are kept."""
    for kind in KINDS:
        ended = jobs.take(session_id(), kind)
        if ended is not None:
            st.session_state[_ERROR] = ended.error
            if kind == ASK:
                st.session_state[_OFFER] = ended.result
    found = [jobs.latest(session_id(), kind) for kind in KINDS]
    return [job for job in found if job is not None]


def failure() -> UserError | None:
    """Why the last piece of work failed, until another one starts."""
    return st.session_state.get(_ERROR)


def offer() -> Offer | None:
    """What the hub has under the name that was asked for last."""
    return st.session_state.get(_OFFER)
