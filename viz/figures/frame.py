"""The frame of the small charts that stand side by side: on the overview and in a report."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from viz.figures.curves import mark_training_length, on_axis, position_axis
from viz.figures.style import template

HEIGHT = 300


def small_figure(dark: bool) -> go.Figure:
    """An empty chart."""
    return go.Figure(layout={"template": template(dark), "height": HEIGHT, "hovermode": "x unified"})


def finish(figure: go.Figure, axis: str, train_length: int, end: int, language: str, dark: bool) -> go.Figure:
    """``figure`` with its axes: tokens on a logarithmic one, ``axis`` on the other, and the training length."""
    figure.update_xaxes(
        **position_axis(True, language, range=[on_axis(min(64, train_length), True), on_axis(end, True)])
    )
    figure.update_yaxes(title_text=axis, rangemode="tozero")
    mark_training_length(figure, train_length, end, language=language, dark=dark, log=True)
    for line, mark in enumerate(figure.layout.annotations):
        mark.yshift = -15 * line  # one below the other: the chart is narrow
    return figure


def map_height(layers: int) -> int:
    """Pixels of a chart with a row for every layer."""
    return int(np.clip(190 + 36 * layers, 260, 640))
