"""A running job: how far it is, how long it still takes, its live curves, and the button that ends it."""

from __future__ import annotations

import math
import time

import plotly.graph_objects as go
import streamlit as st

from viz.app import theme
from viz.app.language import t
from viz.app.workspace import STATE_PREFIX
from viz.figures.style import CONFIG
from viz.jobs import registry as jobs

PACES: tuple[tuple[float, float], ...] = ((0, 0.5), (3, 2.0), (math.inf, 5.0))
"""Jobs before a job, at most, and seconds between two looks at it: looks of many sessions cost the server."""
REDRAW = 1.5
"""Seconds between two drawings of the live curves: more rarely than the bar and the words move."""
_DRAWN = STATE_PREFIX + "drawn"


def panel(job: jobs.Job, title: str) -> None:
    """Show ``job`` under ``title`` (Markdown) until it ends; then the whole page is drawn anew.

    Any kind of job: the curves "loss", "control_loss" and "norm" are drawn if it reports them. One that waits for
    others is looked at more rarely: many sessions may wait.
    """
    pace = _pace(job)
    st.fragment(_panel, run_every=pace)(job, title, pace)


def _pace(job: jobs.Job) -> float:
    """Seconds between two looks at ``job``."""
    ahead = jobs.waiting_before(job)
    return next(seconds for most, seconds in PACES if ahead <= most)


def _panel(job: jobs.Job, title: str, pace: float) -> None:
    if not job.active or pace != _pace(job):
        st.rerun()
    with st.container(border=True, key=f"job-{job.kind}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{title}**", width="stretch")
            st.button(
                t("jobs.stopping" if job.stopped() else "jobs.cancel"),
                key=f"cancel-{job.id}",
                icon=":material/stop_circle:",
                on_click=job.cancel,
                disabled=job.stopped(),
            )
        st.progress(job.fraction, text=_status(job))
        if len(job.curve("loss")[0]) > 1 and not job.stopped():
            with st.grid(2, min_column_width=300):
                for key, figure in _figures(job).items():
                    _curve(job, key, figure)


def _figures(job: jobs.Job) -> dict[str, go.Figure]:
    """The live curves, redrawn only every ``REDRAW`` seconds: constant drawing slows the browser down."""
    of, drawn, figures = st.session_state.get(_DRAWN, (0, 0.0, {}))
    if of != job.id or time.monotonic() - drawn > REDRAW:
        figures = {"jobs.live_loss": _losses(job), "jobs.live_norm": _norms(job)}
        st.session_state[_DRAWN] = (job.id, time.monotonic(), figures)
    return figures


def _status(job: jobs.Job) -> str:
    if job.status == jobs.QUEUED:
        return t("jobs.waiting", ahead=jobs.waiting_before(job))
    if not job.total:
        return t("jobs.preparing")
    words = t(job.note or "jobs.working", done=f"{job.done:,.0f}", total=f"{job.total:,.0f}")
    return words if job.seconds_left is None else f"{words} · {t('jobs.left', time=duration(job.seconds_left))}"


def duration(seconds: float) -> str:
    """Seconds in words: 40 s, 3 min 20 s, 1 h 5 min."""
    seconds = round(seconds)
    if seconds < 60:
        return t("jobs.seconds", s=seconds)
    if seconds < 3600:
        return t("jobs.minutes", m=seconds // 60, s=seconds % 60)
    return t("jobs.hours", h=seconds // 3600, m=seconds % 3600 // 60)


def _curve(job: jobs.Job, key: str, figure: go.Figure) -> None:
    with st.container(gap=None):
        st.caption(t(key))
        st.plotly_chart(
            figure,
            key=f"{key}-{job.id}",
            theme=None,
            config={**CONFIG, "displayModeBar": False},
            alt=t(key),
        )


def _figure() -> go.Figure:
    figure = go.Figure(layout={"template": theme.template(theme.is_dark()), "height": 200})
    figure.update_layout(margin={"l": 44, "r": 8, "t": 24, "b": 28}, uirevision="live")
    return figure


def _losses(job: jobs.Job) -> go.Figure:
    figure = _figure()
    ink = theme.TEXT[theme.is_dark()]
    for curve, name, colour, dash in (
        ("control_loss", t("figures.control_name"), theme.GREY, "dash"),
        ("loss", t("figures.loss_name"), ink, "solid"),
    ):
        positions, values = job.curve(curve)
        if len(positions):
            line = {"color": colour, "dash": dash, "width": 2}
            figure.add_scatter(x=positions, y=values[:, 0], name=name, mode="lines", line=line)
    return figure


def _norms(job: jobs.Job) -> go.Figure:
    figure = _figure()
    positions, values = job.curve("norm")
    for layer in range(values.shape[1]):
        line = {"color": theme.COLOURS[layer % 4], "dash": theme.DASHES[layer // 4 % 4], "width": 2}
        name = t("figures.layer", layer=layer)
        figure.add_scatter(x=positions, y=values[:, layer], name=name, mode="lines", line=line)
    figure.update_layout(showlegend=values.shape[1] <= 8)
    return figure
