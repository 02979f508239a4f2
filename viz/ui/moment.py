"""The moment that the pages look at: a token of the shown recording, in the link under ``at``.

A click on a word, on a curve over the document or on a state of the map chooses it, and all of them show it. Another
page has a link of its own, so the session remembers the moment from page to page.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from model.recording.reader import Recording
from viz.app.workspace import STATE_PREFIX
from viz.ui.controls import newly_clicked
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
        line = {"color": ink(dark), "width": 1.5}
        figure.add_shape(type="line", x0=token + 1, x1=token + 1, y0=0, y1=1, yref="paper", line=line)
    return figure


def mark_state(figure: go.Figure, recording: Recording, position: np.ndarray, xy: np.ndarray, dark: bool) -> go.Figure:
    """``figure``, a map of states ``xy`` (n, 2) after ``position`` (n,) tokens, with a ring at the chosen moment's."""
    token = moment_of(recording)
    if token is not None:
        x, y = xy[int(np.abs(position - (token + 1)).argmin())]
        ring = {"symbol": "circle-open", "size": 17, "line": {"width": 2.5}, "color": ink(dark)}
        figure.add_scatter(x=[x], y=[y], mode="markers", marker=ring, showlegend=False, hoverinfo="skip")
    return figure


def clickable(figure: go.Figure, x: np.ndarray, y: np.ndarray, **place: int) -> go.Figure:
    """``figure`` with invisible points on a curve over tokens, so that a click there is a click on a token."""
    unseen = {"marker": {"opacity": 0}}
    points: dict[str, Any] = {"mode": "markers", "marker": {"size": 14, "opacity": 0}, "showlegend": False}
    figure.add_scatter(x=x, y=y, hoverinfo="none", selected=unseen, unselected=unseen, **points, **place)
    return figure.update_layout(clickmode="event+select")


def follow_clicks(event: Any, recording: Recording, seen: str) -> None:
    """Look at the token of the point that was clicked just now in a chart over tokens; ``seen``: see newly_clicked."""
    point = newly_clicked(event, seen)
    if point is not None:
        token = min(max(round(float(point["x"])) - 1, 0), recording.read_tokens - 1)
        if token != moment_of(recording):
            choose_moment(token)
            st.rerun()
