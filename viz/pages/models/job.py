"""The models page's jobs: asking the hub, downloading, and recording explored states."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from model.checkpoints.card import ModelCard
from model.checkpoints.catalogue import model_card
from model.published.hub import check_hub_name, look_up
from model.published.hub import download as fetch
from model.published.registry import add_folder
from model.reading.reference import record_explored
from viz.app import session
from viz.app.language import plain, t
from viz.app.workspace import STATE_PREFIX
from viz.jobs.job import JobContext
from viz.jobs.page_job import PageJob

if TYPE_CHECKING:
    from model.published.hub import Offer

ASK: PageJob[None] = PageJob("hub_ask", device="hub")
DOWNLOAD: PageJob[None] = PageJob("hub_download", device="hub")
RECORD: PageJob[None] = PageJob("explored")
JOBS = (ASK, DOWNLOAD, RECORD)
MEGABYTE = 1_000_000
_OFFER = STATE_PREFIX + "models_offer"


def look(written: str) -> str | None:
    """Take in the folder that a user named, and return its name; ask the hub about anything else, in a job.

    UserError if it is a folder without a checkpoint that can be read, or no name at all.
    """
    _forget()
    written = written.strip()
    if written.startswith(("/", "~", ".")) or Path(written).expanduser().is_dir():
        return add_folder(written).name
    check_hub_name(written)
    ASK.start(lambda job: look_up(written), None, title=t("models.asking", name=plain(written)))
    return None


def download(offer: Offer) -> None:
    """Queue the download of ``offer``: it continues when the page is left, and ends when the session does."""

    def work(job: JobContext) -> None:
        def report(done: int, total: int) -> None:
            job.progress(done / MEGABYTE, total / MEGABYTE, "models.downloading")

        fetch(offer, report, job.stopped)

    _forget()
    DOWNLOAD.start(work, None, title=t("models.downloading_title", name=plain(offer.name)))


def record(name: str, document: str, windows: int) -> None:
    """Queue the recording of explored states of the model ``name`` from the document with the key ``document``."""
    text = session.document_title(document), session.document(document).text
    _dismiss()
    RECORD.start(
        partial(explore, card=model_card(name), text=text, windows=windows),
        None,
        title=t("models.recording_title", name=plain(name)),
    )


def explore(job: JobContext, card: ModelCard, text: tuple[str, str], windows: int) -> None:
    """Record the explored states of ``card`` from ``text``, its name and itself."""

    def report(done: int, total: int) -> None:
        job.progress(done, total, "models.recording")

    record_explored(card, [text], windows=windows, report=report, stop=job.stopped)


def collect() -> None:
    """Store the hub's answer, if there is one since the last call, and failures."""
    for job in JOBS:
        ended = job.collect()
        if ended is not None and job is ASK:
            st.session_state[_OFFER] = ended.result


def _forget() -> None:
    """Forget the offer and the failures."""
    st.session_state[_OFFER] = None
    _dismiss()


def _dismiss() -> None:
    for job in JOBS:
        job.dismiss()


def offer() -> Offer | None:
    """The hub's answer about the last name."""
    return st.session_state.get(_OFFER)
