"""Which documents and recordings are available, what is in them, and who can see them?"""

from __future__ import annotations

import io
import tempfile
from typing import Any

import pandas as pd
import streamlit as st

from model.documents.document import ENCODINGS
from model.errors import UserError
from model.recording.archive import pack
from model.recording.reader import CANCELLED, COMPLETE, Recording, unreadable
from viz.app import session, uploads
from viz.app.choices import describe_reading
from viz.app.language import language, plain, show_error, t
from viz.app.links import restore
from viz.app.workspace import Upload, workspace
from viz.jobs import registry as jobs

AUTOMATIC = "auto"
PREVIEW_LINES, PREVIEW_CHARACTERS = 18, 1_200
"""What is shown of a document: a box that scrolls could not be reached by keyboard."""
MAX_OMISSIONS = 50


def render() -> None:
    """Draw the page."""
    st.subheader(t("documents.document"), anchor=False)
    left, right = st.columns([2, 3], gap="large")
    with left:
        uploads.document_uploader("page_upload")
    try:
        document = session.current_document()
    except UserError as error:
        show_error(error)
    else:
        with left:
            _facts(document)
        with right:
            st.caption(t("documents.preview", name=plain(document.name)))
            st.code(_beginning(document.preview), language=None, wrap_lines=True)
    st.subheader(t("documents.recordings"), anchor=False)
    _recordings()
    with st.expander(t("documents.load"), icon=":material/unarchive:"):
        uploads.recording_uploader("page_recording")


def _beginning(text: str) -> str:
    return "\n".join(text[:PREVIEW_CHARACTERS].split("\n")[:PREVIEW_LINES])


def _facts(document: Any) -> None:
    key = st.session_state.get("doc", "")
    uploaded = key.startswith("upload:")
    upload = workspace().uploads.get(key.partition(":")[2]) if uploaded else None
    st.markdown(
        t(
            "documents.facts",
            name=plain(session.document_title(key)),
            characters=f"{len(document.text):,}",
            size=_size(document.size),
            media=t(f"documents.media_{document.media}"),
        )
    )
    if upload is None:
        st.caption(t("documents.sample"))
        return
    if document.encoding is not None:
        st.session_state["encoding"] = upload.encoding or AUTOMATIC
        detected = t("documents.automatic", encoding=document.encoding)
        labels = {AUTOMATIC: detected if upload.encoding is None else t("documents.automatic_again")}
        guess = document.guess
        likely = guess.alternatives if guess is not None else ()
        labels |= {name: name for name in dict.fromkeys((*likely, *ENCODINGS))}
        if guess is not None and guess.doubtful:
            st.warning(t("documents.doubtful", encoding=document.encoding), icon=":material/translate:")
        st.selectbox(
            t("documents.encoding"),
            list(labels),
            format_func=labels.__getitem__,
            key="encoding",
            on_change=_decode_again,
            args=(upload,),
            help=t("documents.encoding_help"),
        )
    if document.omissions:
        with st.expander(t("documents.omissions", count=len(document.omissions))):
            for omission in document.omissions[:MAX_OMISSIONS]:
                st.caption(plain(omission.sentence(language())))
    st.button(
        t("documents.forget"),
        icon=":material/close:",
        key="forget",
        on_click=uploads.forget,
        args=(document.name,),
    )


def _decode_again(upload: Upload) -> None:
    chosen = st.session_state["encoding"]
    uploads.read(upload.data, upload.document.name, None if chosen == AUTOMATIC else chosen)


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MB" if count >= 2**20 else f"{count / 1024:,.1f} KB"


def _recordings() -> None:
    for error in unreadable(*(library.folder for library in session.libraries())):
        show_error(error)
    found = {recording.key: (library, recording) for library, recording in session.catalogue()}
    if not found:
        st.info(t("documents.none"), icon=":material/folder_open:")
        return
    keys = list(found)
    titles = session.titles_of({key: recording for key, (_, recording) in found.items()})
    rows = [_row(library, recording) for library, recording in found.values()]
    columns = {name: t(f"documents.column_{name}") for name in rows[0]}
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(label, format="%,d" if name == "tokens" else "%+.0f%%")
            if name in ("tokens", "excess")
            else st.column_config.TextColumn(label)
            for name, label in columns.items()
        },
        key="recordings_table",
        on_select=lambda: _manage_row(keys),
        selection_mode="single-row",
        alt=t("documents.table_alt", count=len(rows)),
    )
    restore("managed", keys, st.session_state.get("recording", keys[0]))
    chosen = st.selectbox(
        t("documents.manage"),
        keys,
        format_func=titles.__getitem__,
        key="managed",
        help=t("documents.manage_help"),
        persist_state="session",
    )
    _actions(*found[chosen])


def _manage_row(keys: list[str]) -> None:
    rows = st.session_state["recordings_table"].selection.rows
    if rows and rows[0] < len(keys):
        st.session_state["managed"] = keys[rows[0]]


def _row(library: session.Library, recording: Recording) -> dict[str, Any]:
    ratio = recording.summary.get("excess_ratio")
    experiment = recording.experiment
    return {
        "title": session.title_of(recording),
        "document": recording.meta.document_name,
        "model": experiment.model,
        "settings": describe_reading(experiment),
        "tokens": recording.read_tokens,
        "excess": None if ratio is None else round(100 * (ratio - 1)) + 0.0,  # no minus zero
        "status": t(f"documents.status_{_status(recording)}"),
        "place": t(f"documents.place_{library.name}"),
        "created": recording.meta.created[:16].replace("T", " "),
    }


def _status(recording: Recording) -> str:
    if recording.meta.status in (COMPLETE, CANCELLED):
        return recording.meta.status
    return "running" if jobs.any_active("read") else "interrupted"


def _actions(library: session.Library, recording: Recording) -> None:
    status = _status(recording)
    if status == "interrupted":
        st.caption(t("documents.interrupted_note"))
    free = library.writable and status != "running"
    with st.container(horizontal=True, key="recording_actions"):
        if st.button(
            t("documents.open"),
            icon=":material/visibility:",
            key="open",
            type="primary",
            disabled=status not in (COMPLETE, CANCELLED),
        ):
            session.select(recording.key)
            st.switch_page("viz/pages/overview/page.py")
        with st.popover(t("documents.rename"), icon=":material/edit:", disabled=not free):
            title = st.text_input(
                t("documents.new_title"), session.title_of(recording), max_chars=200, key=f"title-{recording.key}"
            )
            if st.button(t("documents.save"), key="save_title", disabled=not title.strip()):
                recording.rename("".join(letter for letter in title if letter.isprintable()).strip()[:200])
                st.rerun()
        st.download_button(
            t("documents.download"),
            data=lambda: _packed(recording),
            file_name=f"recording-{recording.key}.zip",
            mime="application/zip",
            icon=":material/download:",
            key="download",
            on_click="ignore",
            disabled=status == "running",
            help=t("documents.download_with_text" if recording.text else "documents.download_help"),
        )
        if library.name == "session" and st.button(
            t("documents.keep"),
            icon=":material/bookmark_add:",
            key="keep_recording",
            disabled=not free,
            help=t("documents.keep_help"),
        ):
            session.keep(recording)
            st.rerun()
        with st.popover(t("documents.delete"), icon=":material/delete:", disabled=not free):
            st.markdown(t("documents.delete_sure", title=plain(session.title_of(recording))))
            if st.button(t("documents.delete_now"), key="delete_now", icon=":material/delete:"):
                session.delete(recording)
                st.rerun()
    if not library.writable:
        st.caption(t("documents.shipped_note"))


def _packed(recording: Recording) -> io.BufferedReader:
    """The zip file in a temporary file that is gone when it is closed."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - Streamlit reads it after we return
    pack(recording, file)
    file.seek(0)
    return io.BufferedReader(file.detach())  # Streamlit takes no file that can also be written to
