"""The verdict as a slide."""

from __future__ import annotations

import streamlit as st

from model.recording.reader import Recording
from viz.app import session
from viz.app.language import plain, t
from viz.pages.overview.view import headline, key_figures, loss_chart, summary_of


def render(recording: Recording) -> None:
    """The verdict, what was read, three figures and the chart of the loss."""
    summary = summary_of(recording)
    headline(summary, slide=True)
    st.caption(t("overview.slide", title=plain(session.title_of(recording)), model=plain(recording.experiment.model)))
    with st.grid(3, min_column_width=220):
        key_figures(recording, summary)
    loss_chart(recording, height=330)
