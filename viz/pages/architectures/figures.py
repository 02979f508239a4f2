"""The figures of architectures: loss, excess and cost of all, and what was measured of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.studies.architectures import Architecture
from model.studies.architectures.report import Crossed, crossing_words
from model.studies.cost.report import duration
from viz.app.language import language, t
from viz.app.theme import COLOURS, DASHES, GREY, template
from viz.figures.curves import ink

LENGTHS: dict[str, Any] = {"type": "log", "dtick": "D2", "tickformat": "~s"}
"""An axis of tokens: labels at 1, 2 and 5 times powers of ten."""
SYMBOLS = ("circle", "square", "diamond")
STEPS = 64
"""Points of a drawn fit."""


def lines_of(
    results: Sequence[Architecture], chosen: Sequence[str], picked: str, *, dark: bool
) -> list[tuple[Architecture, dict[str, Any], bool]]:
    """Each result with its line, and whether it has a legend; in the order in which they are drawn.

    Those that are ``chosen`` have a colour and a dash of their own, which are the same in every figure of the page. The
    one that is ``picked`` is on top and thick, in the colour of text unless it is chosen too; the others are grey.
    """
    found = []
    for result in sorted(results, key=lambda one: (one.name == picked, one.name in chosen)):
        line: dict[str, Any] = {"color": GREY, "width": 1}
        if result.name in chosen:
            place = list(chosen).index(result.name)
            line = {"color": COLOURS[place % len(COLOURS)], "width": 2, "dash": DASHES[place // len(COLOURS)]}
        elif result.name == picked:
            line["color"] = ink(dark)
        if result.name == picked:
            line["width"] = 4
        found.append((result, line, result.name == picked or result.name in chosen))
    return found


def position_figure(
    results: Sequence[Architecture], chosen: Sequence[str], picked: str, *, excess: bool, dark: bool
) -> go.Figure:
    """One line per checkpoint by position."""
    drawn = go.Figure()
    for result, line, named in lines_of(results, chosen, picked, dark=dark):
        positions, loss, fresh = result.curve()
        drawn.add_scatter(
            x=positions,
            y=(loss - fresh if excess else loss).round(4),
            name=result.name,
            mode="lines",
            line=line,
            opacity=1 if named else 0.45,
            showlegend=named,
            legendrank=_rank(result, chosen),
            hovertemplate="%{x:,.0f}: %{y:.2f}<extra>%{fullData.name}</extra>",
        )
    for length in {result.train_length for result in results}:
        drawn.add_vline(x=length, line={"color": GREY, "width": 1.6, "dash": "dash"})
    drawn.update_xaxes(title_text=t("architectures.axis_position"), **LENGTHS)
    drawn.update_yaxes(title_text=t(f"architectures.axis_{'excess' if excess else 'loss'}"))
    return _with_legend(drawn, dark)


def _rank(result: Architecture, chosen: Sequence[str]) -> int:
    """The place of a checkpoint in a legend: that in which it was chosen."""
    return 1 + list(chosen).index(result.name) if result.name in chosen else 1000


def _with_legend(drawn: go.Figure, dark: bool) -> go.Figure:
    """``drawn`` with room for a legend below, which may have many rows where the page is narrow."""
    legend = {"orientation": "h", "yanchor": "top", "y": -0.18, "x": 0, "xanchor": "left"}
    drawn.update_layout(template=template(dark), height=480, showlegend=True, hovermode="closest", legend=legend)
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


DEEPEST = 8
"""Decades of a logarithmic axis; what lies lower is nothing."""


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
    """The ends of a logarithmic axis: two decades at least, so that a flat line looks flat, and DEEPEST at most."""
    found = [math.log10(value) for value in values if value > 0]
    top = math.ceil(max(found, default=0.0) + 0.05)
    return [max(top - DEEPEST, min(top - 2, math.floor(min(found, default=0.0)))), top]


def cost_figure(
    results: Sequence[Architecture], chosen: Sequence[str], picked: str, crossed: Sequence[Crossed], *, dark: bool
) -> go.Figure:
    """Seconds of reading by length: measured points, their fits, and stars where fits cross: ``crossed``."""
    drawn = go.Figure()
    for result, line, named in lines_of(results, chosen, picked, dark=dark):
        assert result.speed is not None
        points, place = result.speed.points, _rank(result, chosen)
        symbol = SYMBOLS[(place - 1) // len(COLOURS) % len(SYMBOLS)]
        curve = result.speed.curve()
        if curve is not None:
            at = np.geomspace(points[0].length, points[-1].length, STEPS)
            drawn.add_scatter(
                x=at,
                y=[curve.fitted(length) for length in at],
                mode="lines",
                line=line,
                opacity=1 if named else 0.45,
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
            marker={
                "size": 8 if named else 5,
                "color": line["color"],
                "symbol": symbol,
            },
            opacity=1 if named else 0.45,
            showlegend=named,
            legendrank=place,
            text=[duration(point.seconds, language()) for point in points],
            hovertemplate="%{x:,.0f}: %{text}<extra>%{fullData.name}</extra>",
        )
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
    return _with_legend(drawn, dark)
