"""The table of all tokens, to download."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import streamlit as st

from model.diagnostics.token_table import token_table
from model.documents.document import Document
from model.errors import UserError
from model.recording.reader import Recording
from model.recording.tables import write_table
from viz.app import session
from viz.app.language import language, t

ENDINGS = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


def table_download(recording: Recording, text: str) -> None:
    """Draw the button; the table is made when somebody asks for it."""
    stem = f"{Path(recording.document_name).stem or 'recording'}-{recording.key}"
    with st.popover(t("text.download"), icon=":material/download:", type="tertiary", key="text_download"):
        st.caption(t("text.download_help"))
        with st.container(horizontal=True):
            for ending, media in ENDINGS.items():
                st.download_button(
                    "CSV" if ending == "csv" else "Parquet",
                    data=partial(table_bytes, recording, text, document_of(recording), language(), ending),
                    file_name=f"{stem}.{ending}",
                    mime=media,
                    key=f"text_download_{ending}",
                    on_click="ignore",
                )


def document_of(recording: Recording) -> Document | None:
    """The document that was read, which knows its pages; None where it is not here any more."""
    key = session.document_of(recording.experiment.document)
    try:
        return None if key is None else session.document(key)
    except UserError:
        return None


def table_bytes(recording: Recording, text: str, document: Document | None, locale: str, ending: str) -> bytes:
    """The table as a file with that ``ending``."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"table.{ending}"
        write_table(token_table(recording, text=text, document=document, language=locale), file)
        return file.read_bytes()
