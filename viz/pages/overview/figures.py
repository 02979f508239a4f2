"""The charts of the overview: one number over the document, each with its reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.diagnostics.collapse import ExcessCurve
from viz.app.language import t
from viz.app.theme import EXPLORED, GREY, UNEXPLORED, VERMILLION, template
from viz.ui.curves import (
    binned,
    ink,
    kept_rows,
    line_colours,
    mark_training_length,
    on_axis,
    points_for,
    position_axis,
    translucent,
)

HEIGHT = 270


def loss_figure(loss: np.ndarray, control: np.ndarray | None, *, train_length: int, end: int, dark: bool) -> go.Figure:
    """Binned ``loss`` (token,) and, where there is one, the ``control`` (token,), in nats."""
    figure = _figure(dark)
    lines = [(loss, t("overview.loss_name"), {"color": ink(dark), "width": 2})]
    if control is not None:
        lines.insert(0, (control, t("overview.control_name"), {"color": GREY, "width": 2, "dash": "dash"}))
    for tokens, name, line in lines:
        x, y = binned(tokens, parts=120, log=True)
        figure.add_scatter(x=x, y=y, mode="lines", name=name, line=line)
    return _finish(figure, t("ui.curves.loss"), train_length, end, dark)


def norm_figure(position: np.ndarray, norm: np.ndarray, *, train_length: int, end: int, dark: bool) -> go.Figure:
    """Mean norm over the heads of each layer, from ``norm`` (boundary, layer, head)."""
    figure = _figure(dark)
    layers = norm.shape[1]
    for layer, colour in enumerate(line_colours(layers, dark)):
        mean = norm[:, layer].mean(axis=1)
        rows = kept_rows(position, mean, points=min(600, points_for(layers)), log=True)
        line = {"color": colour, "width": 2}
        name = t("ui.curves.layer", layer=layer)
        figure.add_scatter(x=position[rows], y=_small(mean[rows]), mode="lines", name=name, line=line)
    figure.update_layout(showlegend=layers <= 6)
    return _finish(figure, t("overview.norm_axis"), train_length, end, dark)


def novelty_figure(position: np.ndarray, scores: np.ndarray, *, train_length: int, end: int, dark: bool) -> go.Figure:
    """Novelty of the snapshots; above 1 is unexplored."""
    figure = _figure(dark)
    known = np.isfinite(scores)
    position, scores = position[known], scores[known]
    line = {"color": GREY, "width": 1}
    figure.add_scatter(x=position, y=_small(scores), mode="lines", line=line, showlegend=False, hoverinfo="skip")
    for inside, name, colour, symbol in (
        (scores <= 1, t("overview.explored_name"), EXPLORED, "circle"),
        (scores > 1, t("overview.unexplored_name"), UNEXPLORED, "diamond"),
    ):
        marker = {"color": colour, "size": 5, "symbol": symbol}
        figure.add_scatter(x=position[inside], y=_small(scores[inside]), mode="markers", name=name, marker=marker)
    figure.add_hline(y=1, line={"color": GREY, "width": 1.2, "dash": "dot"})
    _finish(figure, t("overview.novelty_axis"), train_length, end, dark)
    if scores.max(initial=0) > 10:  # on a linear axis the limit at 1 would be at the bottom
        figure.update_yaxes(type="log", dtick=1)
    return figure


def excess_figure(curve: ExcessCurve, *, train_length: int, end: int, dark: bool) -> go.Figure:
    """Excess of the loss over the control with its 95% band, in nats."""
    figure = _figure(dark)
    known = np.isfinite(curve.low) & np.isfinite(curve.high)
    x = curve.position[known]
    edge: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=x, y=_small(curve.low[known]), **edge)
    fill = {"fill": "tonexty", "fillcolor": translucent(VERMILLION, 0.18)}
    figure.add_scatter(x=x, y=_small(curve.high[known]), **fill, **edge)
    line = {"color": VERMILLION, "width": 2}
    figure.add_scatter(
        x=curve.position, y=_small(curve.excess), mode="lines", name=t("overview.excess_name"), line=line
    )
    figure.add_hline(y=0, line={"color": GREY, "width": 1.2, "dash": "dot"})
    return _finish(figure, t("overview.excess_axis"), train_length, end, dark)


def _figure(dark: bool) -> go.Figure:
    return go.Figure(layout={"template": template(dark), "height": HEIGHT, "hovermode": "x unified"})


def _finish(figure: go.Figure, axis: str, train_length: int, end: int, dark: bool) -> go.Figure:
    figure.update_xaxes(**position_axis(True, range=[on_axis(min(64, train_length), True), on_axis(end, True)]))
    figure.update_yaxes(title_text=axis, rangemode="tozero")
    mark_training_length(figure, train_length, end, dark=dark, log=True)
    for line, mark in enumerate(figure.layout.annotations):
        mark.yshift = -15 * line  # one below the other: the chart is narrow
    return figure


def _small(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)
