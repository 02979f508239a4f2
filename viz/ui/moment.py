"""The moment that the pages look at: a token of the shown recording, in the link under ``at``.

A click on a word, on a curve over the document or on a state of the map chooses it, and all of them show it. Another
page has a link of its own, so the session remembers the moment from page to page.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from model.recording.reader import Recording
from model.recording.schema import CHUNK
from viz.app.language import t
from viz.app.workspace import STATE_PREFIX
from viz.ui.curves import ink

KEY = "at"
_KEPT = STATE_PREFIX + "moment"
_UNSENT = STATE_PREFIX + "moment_unsent"


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
    if st.session_state.pop(_UNSENT, False):
        st.query_params[KEY] = said
    st.session_state[_KEPT] = recording.key, token
    return token


def choose_moment(token: int | None) -> None:
    """Look at ``token`` from now on; None at none.

    Best in a callback. ``st.rerun`` drops the new link before the browser has it, so the next run sends it again.
    """
    if token is None:
        st.query_params.pop(KEY, None)
        st.session_state.pop(_KEPT, None)
    else:
        st.query_params[KEY] = str(token + 1)
        st.session_state[_UNSENT] = True


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


_LISTEN = """
export default function ({ data, setTriggerValue }) {
  const heard = new Set()
  const clicked = event => event.points.length && setTriggerValue("tokens", event.points[0].x)
  const listen = event => {
    const chart = event.target.closest?.(data.charts.map(key => `.st-key-${key} .js-plotly-plot`).join())
    if (!chart) return
    chart.removeListener("plotly_click", clicked)
    chart.on("plotly_click", clicked)
    heard.add(chart)
  }
  document.addEventListener("pointerover", listen)
  return () => {
    document.removeEventListener("pointerover", listen)
    for (const chart of heard) chart.removeListener?.("plotly_click", clicked)
  }
}
"""


def follow_clicks(recording: Recording, *charts: str) -> None:
    """Look at the token that is clicked in ``charts``, by their keys, whose horizontal axis counts tokens.

    Streamlit's own selection is of points of a trace with markers, and where all traces answer to one position Plotly
    asks a line, which selects nothing. Plotly's click names the position, so a click anywhere in the chart counts.
    """
    key = f"{charts[0]}_clicks"

    def look() -> None:
        tokens = st.session_state[key].tokens
        if isinstance(tokens, int | float):
            choose_moment(min(max(round(tokens) - 1, 0), recording.read_tokens - 1))

    component = st.components.v2.component("chart_clicks", js=_LISTEN)
    component(key=key, data={"charts": list(charts)}, on_tokens_change=look, height=1)


def moment_box(recording: Recording, key: str) -> None:
    """The chosen moment as a number, which the keyboard changes, a chunk of tokens at a time."""
    token = moment_of(recording)
    st.session_state[key] = None if token is None else token + 1

    def look() -> None:
        tokens = st.session_state[key]
        choose_moment(None if tokens is None else tokens - 1)

    label, help = t("ui.moment.label"), t("ui.moment.help")
    st.number_input(label, 1, recording.read_tokens, step=CHUNK, key=key, help=help, width=170, on_change=look)
