"""The moment that the pages look at: a token of the shown recording, in the link under ``at``."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

from model.recording.reader import Recording
from viz.ui.curves import ink, on_axis

KEY = "at"


def moment_of(recording: Recording) -> int | None:
    """The chosen token of ``recording``, counted from 0; None if none is."""
    said = st.query_params.get(KEY, "")
    if not (said.isascii() and said.isdecimal() and len(said) < 12):
        return None
    token = int(said) - 1  # people count from 1
    return token if 0 <= token < recording.read_tokens else None


def choose_moment(token: int | None) -> None:
    """Look at ``token`` from now on; None at none."""
    if token is None:
        st.query_params.pop(KEY, None)
    else:
        st.query_params[KEY] = str(token + 1)


def mark_moment(figure: go.Figure, recording: Recording, *, log_x: bool, dark: bool) -> go.Figure:
    """``figure``, over tokens, with a line at the chosen moment, if one is chosen."""
    token = moment_of(recording)
    if token is not None:
        figure.add_vline(x=on_axis(token + 1, log_x), line={"color": ink(dark), "width": 1.5, "dash": "dot"})
    return figure
