"""The remedy as a slide: which of the recordings of this document removes the most of the excess loss."""

from __future__ import annotations

import streamlit as st

from model.recording.reader import Recording
from viz.app.language import plain, t
from viz.app.session import opened, short_titles_of, visible_recordings
from viz.figures.compared import Line
from viz.pages.compare.numbers import alike, best_of, figures
from viz.pages.compare.view import draw_excess

MOST = 4
"""Recordings on the slide; a room tells no more lines apart."""


def render(recording: Recording) -> None:
    """The best mitigation, its cost, and the excess loss of each."""
    found = [entry for entry in visible_recordings(recording.experiment.model).values() if alike(entry, recording)]
    found.sort(key=lambda entry: not entry.experiment.plain)
    chosen = [one for one in (opened(entry.path) for entry in found[: 2 * MOST]) if one.has("control_loss")][:MOST]
    if len(chosen) < 2:
        st.title(t("compare.slide_none"), anchor=False)
        st.caption(t("compare.slide_none_help"))
        return
    lines = [Line(chr(ord("A") + order), title, order) for order, title in enumerate(short_titles_of(chosen))]
    tokens = min(one.read_tokens for one in chosen)
    best = best_of([figures(one, tokens) for one in chosen])
    if best is None:
        st.title(t("compare.slide_no_excess"), anchor=False)
    elif best.share <= 0:
        st.title(t("compare.slide_nothing_helps"), anchor=False)
    else:
        words = {"title": plain(lines[best.order].title), "share": min(best.share, 1)}
        key = "compare.slide" if best.paid is None else "compare.slide_cost"
        st.title(t(key, **words, **({} if best.paid is None else {"paid": best.paid})), anchor=False)
    st.caption(t("compare.slide_help"))
    draw_excess(lines, chosen, tokens, True, height=520)
