"""The moment that the pages look at: a token of the shown recording, in the link under ``at``.

Another page has a link of its own, so the session remembers the moment from page to page.
"""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from model.recording.reader import Recording
from viz.app.workspace import STATE_PREFIX
from viz.ui.curves import ink

KEY = "at"
_KEPT = STATE_PREFIX + "moment"


def moment_of(recording: Recording) -> int | None:
    """The chosen token of ``recording``, counted from 0; None if none is."""
    of, kept = st.session_state.get(_KEPT, ("", 0))
    if KEY not in st.query_params and of == recording.key:
        choose_moment(kept)
    said = st.query_params.get(KEY, "")
    if not (said.isascii() and said.isdecimal() and len(said) < 12):
        return None
    token = int(said) - 1  # people count from 1
    if not 0 <= token < recording.read_tokens:
        return None
    st.session_state[_KEPT] = recording.key, token
    return token


def choose_moment(token: int | None) -> None:
    """Look at ``token`` from now on; None at none."""
    if token is None:
        st.query_params.pop(KEY, None)
        st.session_state.pop(_KEPT, None)
    else:
        st.query_params[KEY] = str(token + 1)


def mark_moment(figure: go.Figure, recording: Recording, *, dark: bool) -> go.Figure:
    """``figure``, over tokens, with a line at the chosen moment, if one is chosen."""
    token = moment_of(recording)
    if token is not None:
        figure.add_vline(x=token + 1, line={"color": ink(dark), "width": 1.5, "dash": "dot"})
    return figure
