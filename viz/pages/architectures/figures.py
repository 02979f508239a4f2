"""The figures of architectures: loss, excess and cost of all, and what was measured of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.studies.architectures import Architecture
from model.studies.architectures.report import crossing_words, crossings
from model.studies.cost.report import duration
from viz.app.language import language, t
from viz.app.theme import COLOURS, DASHES, GREY, template

LENGTHS: dict[str, Any] = {"type": "log", "dtick": "D2", "tickformat": "~s"}
"""An axis of tokens: labels at 1, 2 and 5 times powers of ten."""
SYMBOLS = ("circle", "square", "diamond")
STEPS = 64
"""Points of a drawn fit."""


def position_figure(results: Sequence[Architecture], chosen: Sequence[str], *, excess: bool, dark: bool) -> go.Figure:
    """One line per checkpoint by position; those that are not ``chosen`` are grey and without a legend."""
    drawn = go.Figure()
    for result in sorted(results, key=lambda one: one.name in chosen):
        positions, loss, fresh = result.curve()
        place = chosen.index(result.name) if result.name in chosen else None
        line = {"color": GREY, "width": 1}
        if place is not None:
            dash = DASHES[place // len(COLOURS) % len(DASHES)]
            line = {"color": COLOURS[place % len(COLOURS)], "width": 2.5, "dash": dash}
        drawn.add_scatter(
            x=positions,
            y=(loss - fresh if excess else loss).round(4),
            name=result.name,
            mode="lines",
            line=line,
            opacity=0.4 if place is None else 1,
            showlegend=place is not None,
            hovertemplate="%{x:,.0f}: %{y:.2f}<extra>%{fullData.name}</extra>",
        )
    for length in {result.train_length for result in results}:
        drawn.add_vline(x=length, line={"color": GREY, "width": 1.6, "dash": "dash"})
    drawn.update_xaxes(title_text=t("architectures.axis_position"), **LENGTHS)
    drawn.update_yaxes(title_text=t(f"architectures.axis_{'excess' if excess else 'loss'}"))
    drawn.update_layout(template=template(dark), height=420, showlegend=True, margin={"t": 70})
    return drawn


def reading_figure(result: Architecture, *, dark: bool) -> go.Figure:
    """The loss of one checkpoint on each document, and that of a fresh state in dots of the same colour."""
    drawn = go.Figure()
    names = {sha: name for name, sha in result.documents}
    for (sha, reading), colour in zip((result.readings or {}).items(), COLOURS, strict=False):
        for dash, values in (("solid", reading.loss), ("dot", reading.fresh)):
            drawn.add_scatter(
                x=reading.positions,
                y=values,
                name=names[sha] if dash == "solid" else f"{names[sha]}: {t('architectures.fresh')}",
                legendgroup=names[sha],
                showlegend=dash == "solid",  # what dots mean is in the help of the title
                mode="lines",
                line={"color": colour, "width": 2 if dash == "solid" else 1.4, "dash": dash},
                hovertemplate="%{x:,.0f}: %{y:.2f}<extra>%{fullData.name}</extra>",
            )
    drawn.add_vline(x=result.train_length, line={"color": GREY, "width": 1.6, "dash": "dash"})
    drawn.update_xaxes(title_text=t("architectures.axis_position"), **LENGTHS)
    drawn.update_yaxes(title_text=t("architectures.axis_loss"))
    drawn.update_layout(template=template(dark), height=320, showlegend=True, margin={"t": 70})
    return drawn


def line_figure(
    x: Sequence[float], y: Sequence[float], titles: tuple[str, str], *, scale: str, mark: float, dark: bool
) -> go.Figure:
    """One line over a logarithmic axis; ``scale`` of the other is "log" or "share"; ``mark`` is a training length."""
    drawn = go.Figure(go.Scatter(x=list(x), y=list(y), mode="lines+markers", line={"color": COLOURS[0], "width": 2.5}))
    drawn.add_vline(x=mark, line={"color": GREY, "width": 1.6, "dash": "dash"})
    drawn.update_xaxes(title_text=titles[0], **LENGTHS)
    drawn.update_yaxes(type="log" if scale == "log" else "linear", title_text=titles[1])
    if scale == "log":
        drawn.update_yaxes(dtick=1, tickformat="~g", range=_decades(y))
    if scale == "share":
        drawn.update_yaxes(range=[-0.03, 1.03], tickformat=".0%")
    drawn.update_layout(template=template(dark), height=320, showlegend=False)
    return drawn


def _decades(values: Sequence[float]) -> list[float]:
    """The ends of a logarithmic axis, two decades at least, so that a flat line looks flat."""
    found = [math.log10(value) for value in values if value > 0]
    top = math.ceil(max(found, default=0.0) + 0.05)
    return [min(top - 2, math.floor(min(found, default=0.0))), top]


def cost_figure(results: Sequence[Architecture], *, dark: bool) -> go.Figure:
    """Seconds of reading by length: measured points, their fits, and stars where two fits cross."""
    drawn = go.Figure()
    for place, result in enumerate(results):
        assert result.speed is not None
        colour, points, again = COLOURS[place % len(COLOURS)], result.speed.points, place // len(COLOURS)
        curve = result.speed.curve()
        if curve is not None:
            at = np.geomspace(points[0].length, points[-1].length, STEPS)
            drawn.add_scatter(
                x=at,
                y=[curve.fitted(length) for length in at],
                mode="lines",
                line={"color": colour, "width": 2, "dash": DASHES[again % len(DASHES)]},
                legendgroup=result.name,
                showlegend=False,
                hoverinfo="skip",
            )
        drawn.add_scatter(
            x=[point.length for point in points],
            y=[point.seconds for point in points],
            name=result.name,
            legendgroup=result.name,
            mode="markers",
            marker={"size": 8, "color": colour, "symbol": SYMBOLS[again % len(SYMBOLS)]},
            text=[duration(point.seconds, language()) for point in points],
            hovertemplate="%{x:,.0f}: %{text}<extra>%{fullData.name}</extra>",
        )
    crossed = crossings(results)
    if crossed:
        drawn.add_scatter(
            x=[one.length for one in crossed],
            y=[one.seconds for one in crossed],
            name=t("architectures.crossing"),
            mode="markers",
            marker={"size": 15, "symbol": "star-open", "color": GREY, "line": {"width": 2}},
            text=[crossing_words(one, language()) for one in crossed],
            hovertemplate="%{text}<extra></extra>",
        )
    drawn.update_xaxes(title_text=t("architectures.axis_length"), **LENGTHS)
    drawn.update_yaxes(type="log", dtick=1, tickformat="~s", title_text=t("architectures.axis_seconds"))
    drawn.update_layout(template=template(dark), height=420, showlegend=True, margin={"t": 70}, hovermode="closest")
    return drawn
