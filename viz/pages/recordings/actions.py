"""What can be done with the selected recordings."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import streamlit as st

from model.recording.catalogue import Entry
from model.recording.export import pack_all
from model.recording.notes import MOST_TAGS, NOTE_LENGTH, Notes, tags_of
from model.recording.reader import CANCELLED, COMPLETE
from viz.app import session, undo
from viz.app.browser import shared
from viz.app.language import plain, t
from viz.app.sharing import is_shared as is_shared
from viz.app.sharing import share
from viz.app.workspace import workspace
from viz.ui.controls import open_page

LISTED = 8
"""Titles that a question lists before it counts the rest."""

Chosen: TypeAlias = tuple[session.Library, Entry, str]
"""A recording, the library it is in, and its status."""


def render(chosen: Sequence[Chosen]) -> None:
    """Draw the buttons for the ``chosen`` recordings, and do what is pressed."""
    free = all(library.writable and status != "running" for library, _, status in chosen)
    with st.container(horizontal=True, key="recording_actions"):
        if len(chosen) == 1:
            _one(*chosen[0], free)
        else:
            _many(chosen, free)
        _download(chosen)
        _delete(chosen, free)
    if any(status == "interrupted" for _, _, status in chosen):
        st.caption(t("recordings.interrupted_note"))
    if not all(library.writable for library, _, _ in chosen):
        st.caption(t("recordings.read_only_note"))


def _one(library: session.Library, entry: Entry, status: str, free: bool) -> None:
    ready = status in (COMPLETE, CANCELLED)
    if st.button(t("recordings.open"), icon=":material/visibility:", key="open", type="primary", disabled=not ready):
        session.select(entry.key)
        open_page("overview")
    with st.popover(t("recordings.edit"), icon=":material/edit:", disabled=not free):
        title = st.text_input(
            t("recordings.new_title"), session.title_of(entry), max_chars=200, key=f"title-{entry.key}"
        )
        tags = st.text_input(
            t("recordings.tags"), ", ".join(entry.notes.tags), key=f"tags-{entry.key}", help=t("recordings.tags_help")
        )
        note = st.text_area(t("recordings.note"), entry.notes.note, max_chars=NOTE_LENGTH, key=f"note-{entry.key}")
        if st.button(t("recordings.save"), key="save_notes", disabled=not title.strip()):
            written = "".join(letter for letter in title if letter.isprintable()).strip()[:200]
            if written != session.title_of(entry):
                library.catalogue.rename(entry, written)
            library.catalogue.annotate(entry, replace(entry.notes, tags=tags_of(tags), note=note.strip()))
            st.rerun()
    pinned = entry.notes.pinned
    if st.button(
        t("recordings.unpin" if pinned else "recordings.pin"),
        icon=":material/keep_off:" if pinned else ":material/keep:",
        key="pin",
        disabled=not free,
        help=t("recordings.pin_help"),
    ):
        library.catalogue.annotate(entry, replace(entry.notes, pinned=not pinned))
        st.rerun()
    if library.name == "session" and workspace().lasting is not None:
        _button("keep_recording", "keep", ":material/bookmark_add:", free, lambda: session.keep(entry))
    if library.name == "own" and shared():
        if is_shared(entry.key):
            _button("unshare", "unshare", ":material/link_off:", free, lambda: share(entry.key, on=False))
        else:
            _button("share", "share", ":material/share:", free, lambda: share(entry.key))


def _button(key: str, name: str, icon: str, free: bool, act: Callable[[], None]) -> None:
    if st.button(t(f"recordings.{name}"), icon=icon, key=key, disabled=not free, help=t(f"recordings.{name}_help")):
        act()
        st.rerun()


def _many(chosen: Sequence[Chosen], free: bool) -> None:
    with st.popover(t("recordings.add_tags"), icon=":material/label:", disabled=not free):
        tags = tags_of(st.text_input(t("recordings.tags"), key="tags_many", help=t("recordings.tags_help")))
        if st.button(t("recordings.save"), key="save_tags", disabled=not tags):
            for _, entry, _ in chosen:
                _add_tags(entry.notes, tags).write(entry.path)
            session.changed()
            st.rerun()


def _add_tags(notes: Notes, tags: tuple[str, ...]) -> Notes:
    return replace(notes, tags=tuple(dict.fromkeys((*notes.tags, *tags)))[:MOST_TAGS])


def _download(chosen: Sequence[Chosen]) -> None:
    with_text = any((entry.path / "text.txt").exists() for _, entry, _ in chosen)
    one = len(chosen) == 1
    st.download_button(
        t("recordings.download"),
        data=lambda: _packed([entry for _, entry, _ in chosen]),
        file_name=f"recording-{chosen[0][1].key}.zip" if one else "recordings.zip",
        mime="application/zip",
        icon=":material/download:",
        key="download",
        on_click="ignore",
        disabled=any(status == "running" for _, _, status in chosen),
        help=t("recordings.download_with_text" if with_text else "recordings.download_help")
        + ("" if one else " " + t("recordings.download_many")),
    )


def _packed(entries: Sequence[Entry]) -> io.BufferedReader:
    """The zip file in a temporary file that is gone when it is closed."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - Streamlit reads it after we return
    pack_all([session.opened(entry.path) for entry in entries], file)
    file.seek(0)
    return io.BufferedReader(file.detach())  # Streamlit takes no file that can also be written to


def _delete(chosen: Sequence[Chosen], free: bool) -> None:
    with st.popover(t("recordings.delete"), icon=":material/delete:", disabled=not free):
        titles = [f"- **{plain(session.title_of(entry))}**" for _, entry, _ in chosen[:LISTED]]
        if len(chosen) > LISTED:
            titles.append("- " + t("recordings.and_more", count=len(chosen) - LISTED))
        st.markdown("\n".join([t("recordings.delete_sure", count=len(chosen)), "", *titles]))
        if st.button(t("recordings.delete_now"), key="delete_now", icon=":material/delete:", type="primary"):
            undo.delete_recordings([entry for _, entry, _ in chosen])
            st.rerun()
