"""Which document is chosen, what is in it, and how was it read?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from model.documents.document import ENCODINGS, Document
from model.documents.shelf import Upload
from model.errors import UserError
from viz.app import session, undo, uploads
from viz.app.bin import DOCUMENT
from viz.app.language import language, plain, show_error, t
from viz.app.workspace import workspace

AUTOMATIC = "auto"
PREVIEW_LINES, PREVIEW_CHARACTERS = 18, 1_200
"""What is shown of a document: a box that scrolls could not be reached by keyboard."""
MAX_OMISSIONS = 50
MAX_PARTS, BEGINNING = 1_000, 60


def render() -> None:
    """Draw the page."""
    st.header(t("documents.document"), anchor=False)
    left, right = st.columns([2, 3], gap="large")
    with left:
        uploads.document_uploader("page_upload")
        uploads.document_choice()
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
            _structure(document)
    undo.show_bin(DOCUMENT)


def _beginning(text: str) -> str:
    return "\n".join(text[:PREVIEW_CHARACTERS].split("\n")[:PREVIEW_LINES])


def _structure(document: Document) -> None:
    """The parts of the original, such as pages and sheets, and how the text of each begins."""
    if len(document.places) < 2:
        return
    rows, stops = [], [place.start for place in document.places[1:]] + [len(document.text)]
    for place, stop in list(zip(document.places, stops, strict=True))[:MAX_PARTS]:
        words = " ".join(document.text[place.start : min(stop, place.start + 200)].split())
        rows.append((document.place(place.start, language()), stop - place.start, words[:BEGINNING]))
    columns = [t(f"documents.part_{name}") for name in ("place", "characters", "text")]
    with st.expander(t("documents.parts", count=len(document.places)), icon=":material/account_tree:"):
        alt = t("documents.parts", count=len(document.places))
        st.dataframe(pd.DataFrame(rows, columns=columns), hide_index=True, key="document_parts", alt=alt)


def _facts(document: Document) -> None:
    key = st.session_state.get("doc", "")
    uploaded = key.startswith("upload:")
    upload = workspace().upload(key.partition(":")[2]) if uploaded else None
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
            on_change=_read_again,
            args=(upload,),
            help=t("documents.encoding_help"),
        )
    if document.media == "html":
        st.session_state["main_text"] = upload.main_text_only
        st.toggle(
            t("documents.main_text"),
            key="main_text",
            on_change=_read_again,
            args=(upload,),
            help=t("documents.main_text_help"),
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


def _read_again(upload: Upload) -> None:
    """Read the same file as the page says now."""
    chosen, main = st.session_state.get("encoding", AUTOMATIC), st.session_state.get("main_text", False)
    uploads.read(upload.data, upload.document.name, None if chosen == AUTOMATIC else chosen, main)


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MB" if count >= 2**20 else f"{count / 1024:,.1f} KB"
