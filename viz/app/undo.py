"""Deleting with a way back: a notice with Undo on the page, and the bin below the list.

A recording or a stored document goes to the bin of its workspace (:mod:`viz.app.bin`); an upload that was never
stored stays in this session's memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from model.errors import UserError
from model.recording.catalogue import Entry
from viz.app import session, shortcuts
from viz.app.bin import DAYS, RECORDING, Bin
from viz.app.language import plain, show_error, t
from viz.app.sharing import share
from viz.app.workspace import STATE_PREFIX, workspace

_NOTICE = STATE_PREFIX + "undo"
_FAILED = STATE_PREFIX + "undo_failed"
SHOWN = 50
"""What the bin lists; the rest is there until it is emptied."""


def delete_recordings(entries: Sequence[Entry]) -> None:
    """Move recordings of this session's own folders to the bin; they are no longer shared."""
    places = {library.folder: Bin(library.folder.parent) for library in session.libraries() if library.writable}
    taken = []
    for entry in entries:
        found = places.get(entry.library)
        if found is not None and entry.path.is_dir():
            share(entry.key, on=False)
            taken.append(found.take(entry.path, RECORDING, session.title_of(entry)))
    session.changed()
    _notice(taken, session.title_of(entries[0]) if len(entries) == 1 else "")


def delete_document(name: str | None) -> None:
    """Move the uploaded document whose file had that name out of the list; a callback may call it."""
    _notice(workspace().discard(name), name or "")


def _notice(taken: list[str], title: str) -> None:
    if taken:
        st.session_state[_NOTICE] = (taken, title)


def show(page: str) -> None:
    """What was deleted a moment ago, with the button that brings it back; gone on another ``page``."""
    failed = st.session_state.pop(_FAILED, None)
    if failed is not None:
        show_error(failed)
    taken, title, *seen = st.session_state.get(_NOTICE, ((), ""))
    if not taken or (seen and seen[0] != page):
        st.session_state.pop(_NOTICE, None)
        return
    st.session_state[_NOTICE] = (taken, title, page)
    words = t("app.bin.deleted", title=plain(title)) if title else t("app.bin.deleted_many", count=len(taken))
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="undo"):
        st.markdown(f":material/delete: {words}", width="stretch")
        st.button(
            t("app.bin.undo"),
            key="undo_delete",
            icon=":material/undo:",
            shortcut=shortcuts.UNDO,
            on_click=_restore,
            args=(taken,),
        )
        st.button(
            "", key="undo_close", icon=":material/close:", type="tertiary", help=t("app.bin.close"), on_click=_close
        )


def _close() -> None:
    st.session_state.pop(_NOTICE, None)


def _restore(names: Sequence[str]) -> None:
    """Bring back what has those names in a bin of this session, or in its memory."""
    _close()
    here = workspace()
    for name in names:
        upload = here.forgotten.pop(name, None)
        try:
            if upload is not None:
                here.add(upload)
            else:
                _bin_of(name).restore(name)
        except UserError as error:
            st.session_state[_FAILED] = error
    session.changed()


def _bins() -> list[Bin]:
    here = workspace()
    return [Bin(folder) for folder in dict.fromkeys((here.folder, here.passing))]


def _bin_of(name: str) -> Bin:
    return next((found for found in _bins() if any(name == deleted.id for deleted in found.listed())), _bins()[0])


def show_bin(kind: str) -> None:
    """What of one ``kind`` is in the bin, with a button each that brings it back, and one that deletes it for good."""
    found = [deleted for place in _bins() for deleted in place.listed() if deleted.kind == kind]
    if not found:
        return
    with st.expander(t("app.bin.title", count=len(found)), icon=":material/delete:", key=f"bin_{kind}"):
        st.caption(t("app.bin.help", days=DAYS))
        for deleted in found[:SHOWN]:
            with st.container(horizontal=True, vertical_alignment="center"):
                when = datetime.fromtimestamp(deleted.when).strftime("%Y-%m-%d %H:%M")
                st.markdown(f"{plain(deleted.title)} :small[{when}]", width="stretch")
                st.button(
                    t("app.bin.restore"),
                    key=f"restore-{deleted.id}",
                    icon=":material/undo:",
                    on_click=_restore,
                    args=([deleted.id],),
                )
        st.button(
            t("app.bin.empty"), key=f"empty_bin_{kind}", icon=":material/delete_forever:", on_click=_empty, args=(kind,)
        )


def _empty(kind: str) -> None:
    for place in _bins():
        place.empty(kind=kind)
