"""One click to a report: what a person adds to it, the job that writes it, and its download."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import streamlit as st

from model.errors import UserError
from model.messages import LANGUAGES
from viz.app.language import LANGUAGE_NAMES, language, t
from viz.app.workspace import STATE_PREFIX, workspace
from viz.jobs.job import DONE, JobContext
from viz.jobs.page_job import PageJob
from viz.report.chromium import browser

REPORT: PageJob[None] = PageJob("report", device="map")
FORMATS = ("pdf", "html")
STEPS = 3
"""What a report is made in, at most: its content, its page, its print."""
MIME = {"pdf": "application/pdf", "html": "text/html"}
LOGOS = ("png", "jpg", "jpeg", "svg")
_MADE = STATE_PREFIX + "report"
_OPEN = "report_open"


def render(sources: Sequence[Path], folders: Sequence[Path] = ()) -> None:
    """The button, what a report may hold beside its numbers, its progress, and the finished file.

    ``sources`` are folders of recordings of one document, or the file of a diagnosis, whose recordings are in
    ``folders``.
    """
    made = REPORT.collect()
    if made is not None and made.status == DONE:
        st.session_state[_MADE] = made.result
    with st.container(horizontal=True, vertical_alignment="center", key="report"):
        box = st.popover(
            t("report.ask.open"),
            icon=":material/summarize:",
            help=t("report.ask.help"),
            key=_OPEN,
            on_change="rerun",
        )
        if box.open:
            with box:
                _ask(sources, folders)
        _download()
    REPORT.show_failure()
    REPORT.show_progress(t("report.ask.making"))


def _ask(sources: Sequence[Path], folders: Sequence[Path]) -> None:
    printable = browser() is not None
    st.segmented_control(
        t("report.ask.format"),
        FORMATS if printable else FORMATS[1:],
        format_func=str.upper,
        default=FORMATS[0] if printable else FORMATS[1],
        required=True,
        key="report_format",
        help=None if printable else t("report.no_browser"),
    )
    st.segmented_control(
        t("report.ask.language"),
        LANGUAGES,
        format_func=LANGUAGE_NAMES.__getitem__,
        default=language(),
        required=True,
        key="report_language",
    )
    st.text_input(t("report.ask.company"), max_chars=100, key="report_company")
    st.file_uploader(t("report.ask.logo"), LOGOS, key="report_logo", max_upload_size=1)
    st.text_area(t("report.ask.notes"), max_chars=20_000, key="report_notes")
    st.button(
        t("report.ask.make"),
        type="primary",
        key="report_make",
        icon=":material/summarize:",
        on_click=_start,
        args=(sources, folders),
    )


def _start(sources: Sequence[Path], folders: Sequence[Path]) -> None:
    """Close the box and queue the work that it describes."""
    asked = st.session_state
    asked[_OPEN] = False
    asked.pop(_MADE, None)
    logo = asked["report_logo"]
    work = partial(
        write,
        sources=list(sources),
        folders=list(folders),
        target=workspace().scratch / "reports",
        form=asked["report_format"],
        words={
            "language": asked["report_language"],
            "company": asked["report_company"],
            "notes": asked["report_notes"],
        },
        picture=None if logo is None else (logo.getvalue(), logo.name),
    )
    try:
        job = REPORT.start(work, None, title=t("report.ask.making"))
        job.progress(0, STEPS, "report.ask.step")
    except UserError as error:
        REPORT.fail(error)


def write(
    job: JobContext,
    sources: list[Path],
    folders: list[Path],
    target: Path,
    form: str,
    words: dict[str, str],
    picture: tuple[bytes, str] | None,
) -> Path:
    """Write the report on ``sources`` into the folder ``target``; ``picture`` is the logo and its name."""
    from viz.report.logo import data_uri
    from viz.report.make import Wishes, facts_of, file_name, make

    wishes = Wishes(**words, logo="" if picture is None else data_uri(*picture))
    facts = facts_of(sources, folders)
    file = target / file_name(facts, f".{form}")
    make(facts, file, wishes, progress=lambda done, total: job.progress(done, total, "report.ask.step"))
    return file


def _download() -> None:
    file: Path | None = st.session_state.get(_MADE)
    if file is None or not file.exists():
        return
    st.download_button(
        t("report.ask.download", name=file.name),
        data=file.read_bytes,
        file_name=file.name,
        mime=MIME[file.suffix[1:]],
        icon=":material/download:",
        type="primary",
        key="report_download",
        on_click="ignore",
    )
