"""Which recordings are there, and what is done with them: searched, sorted, named, compared, shared, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import pandas as pd
import streamlit as st

from model.recording.catalogue import SORTS, Entry, Query
from model.recording.reader import CANCELLED, COMPLETE
from viz.app import links, session, undo, uploads
from viz.app.bin import RECORDING
from viz.app.browser import shared
from viz.app.choices import describe_reading
from viz.app.language import show_error, t
from viz.jobs import registry as jobs
from viz.pages.recordings import actions
from viz.pages.recordings.search import search_words

SHOWN = 500
"""Rows of the table; a search narrows what is in it."""
LINKED = 20
"""Selected recordings that a link holds; more would make it too long for some programs."""
HEIGHT = 420
SELECTED = "managed"
"""The widget with the keys of the selected recordings."""
WIDTHS: dict[str, Literal["small", "medium"]] = {"pinned": "small", "note": "medium"}
NUMBERS = {"tokens": "%,d", "excess": "%+.0f%%"}

Pair: TypeAlias = tuple[session.Library, Entry]


def render() -> None:
    """Draw the page."""
    for library in session.libraries():
        for error in library.catalogue.unreadable():
            show_error(error)
    query = _query()
    found = {entry.key: (library, entry) for library, entry in session.entries(query)}
    count = sum(library.catalogue.count(query) for library in session.libraries())
    if not found:
        st.info(t("recordings.not_found" if query.words else "recordings.none"), icon=":material/folder_open:")
    else:
        _table(list(found.values()), max(count, len(found)))
        chosen = _selected(found)
        if chosen:
            actions.render([(*found[key], _status(found[key][1])) for key in chosen])
        else:
            st.caption(t("recordings.select_first"))
    undo.show_bin(RECORDING)
    with st.expander(t("recordings.load"), icon=":material/unarchive:"):
        uploads.recording_uploader("page_recording")


def _query() -> Query:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input(
            t("recordings.search"),
            key="recordings_search",
            icon=":material/search:",
            placeholder=t("recordings.search_hint"),
            help=t("recordings.search_help"),
            bind="query-params",
        )
        labels = {name: t(f"recordings.column_{name}") for name in SORTS}
        sort = links.choice("recordings_sort", labels, t("recordings.sort"), help=t("recordings.sort_help"))
        orders = {order: t(f"recordings.{order}") for order in ("descending", "ascending")}
        order = links.choice("recordings_order", orders, t("recordings.order"))
    return Query(words=search_words(typed or ""), sort=sort, descending=order == "descending", limit=SHOWN)


def _table(found: Sequence[Pair], count: int) -> None:
    rows = [_row(library, entry) for library, entry in found]
    keys = [entry.key for _, entry in found]
    columns = {name: t(f"recordings.column_{name}") for name in rows[0]}
    more = len(found) < count
    st.caption(t("recordings.shown_some" if more else "recordings.shown_all", shown=len(found), count=count))
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        placeholder="–",
        height=HEIGHT if len(found) > 10 else "auto",
        column_config={name: _column(name, label) for name, label in columns.items()},
        key="recordings_table",
        on_select=lambda: _select_rows(keys),
        selection_mode="multi-row",
        alt=t("recordings.table_alt", count=len(rows)),
    )


def _column(name: str, label: str) -> Any:
    if name in NUMBERS:
        return st.column_config.NumberColumn(label, format=NUMBERS[name])
    if name == "tags":
        return st.column_config.ListColumn(label, width="medium")
    return st.column_config.TextColumn(label, width=WIDTHS.get(name))


def _row(library: session.Library, entry: Entry) -> dict[str, Any]:
    row, notes = entry.row, entry.notes
    return {
        "pinned": "★" if notes.pinned else "",
        "title": session.title_of(entry),
        "verdict": t(f"recordings.verdict_{row.verdict}") if row.verdict else "",
        "excess": None if row.excess is None else round(100 * row.excess) + 0.0,  # no minus zero
        "tags": list(notes.tags),
        "note": notes.note,
        "model": row.model,
        "strategy": describe_reading(entry.experiment),
        "document": session.sample_titles().get(row.document, row.document),
        "tokens": row.tokens,
        "status": t(f"recordings.status_{_status(entry)}"),
        "place": _place(library, entry),
        "created": row.created[:16].replace("T", " "),
    }


def _place(library: session.Library, entry: Entry) -> str:
    name = "browser" if library.name == "own" and shared() else library.name
    if name == "browser" and actions.is_shared(entry.key):
        name = "browser_shared"
    return t(f"recordings.place_{name}")


def _status(entry: Entry) -> str:
    if entry.row.status in (COMPLETE, CANCELLED):
        return entry.row.status
    return "running" if jobs.any_active("read") else "interrupted"


def _select_rows(keys: Sequence[str]) -> None:
    rows = st.session_state["recordings_table"].selection.rows
    st.session_state[SELECTED] = [keys[row] for row in rows if row < len(keys)]


def _selected(found: dict[str, Pair]) -> list[str]:
    """The keys of the selected recordings: rows of the table, or chosen by their titles."""
    titles = session.titles_of({key: entry for key, (_, entry) in found.items()})
    if SELECTED not in st.session_state:
        st.session_state[SELECTED] = st.query_params.get(SELECTED, "").split(",")
    st.session_state[SELECTED] = [key for key in st.session_state[SELECTED] if key in found]
    chosen = st.multiselect(
        t("recordings.selected"),
        list(titles),
        format_func=titles.__getitem__,
        key=SELECTED,
        help=t("recordings.selected_help"),
        placeholder=t("recordings.selected_hint"),
        persist_state="session",
    )
    links.publish(SELECTED, ",".join(chosen[:LINKED]), "")
    return chosen
