"""The figures of the passkey test: maps of accuracy side by side, curves over the length, and their table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from model.studies.passkey import PasskeyResult
from model.studies.passkey.result import RECALLED
from viz.app.language import t
from viz.app.theme import COLOURS, DASHES, GREY, SEQUENTIAL, VERMILLION, template

SHIFT = 0.03
"""Shift of the second curve to the right, as a share of the length, so that intervals do not overlap."""
COLUMNS = ["reader", "length", "depth", "correct", "trials", "accuracy", "low_95", "high_95", "digit_probability"]


def figure(results: Sequence[PasskeyResult], titles: Sequence[str], *, train_length: int, dark: bool) -> go.Figure:
    """One heat map of accuracy per result of the same task, side by side; cells that were not run are hatched."""
    task = results[0].task
    lengths = sorted(task.lengths)
    drawn = make_subplots(
        rows=1, cols=len(results), shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=list(titles)
    )
    drawn.update_annotations(yshift=14, font_size=14)
    for column, result in enumerate(results, start=1):
        drawn.add_trace(_cells(result), row=1, col=column)
        drawn.add_trace(hatching(np.isnan(result.accuracy())), row=1, col=column)
        drawn.add_trace(_frames(result), row=1, col=column)
        mark_train_length(drawn, lengths, train_length, row=1, col=column)
    ticks = {"tickvals": list(range(len(lengths))), "ticktext": [short(length) for length in lengths]}
    drawn.update_xaxes(**ticks, range=[-0.5, len(lengths) - 0.5], showgrid=False, title_text=t("passkey.axis_length"))
    rows = len(task.depths)
    names = [depth_name(depth) for depth in task.depths]
    drawn.update_yaxes(tickvals=list(range(rows)), ticktext=names, range=[rows - 0.5, -0.5], showgrid=False)
    drawn.update_yaxes(title_text=t("passkey.axis_depth"), row=1, col=1)
    drawn.update_layout(
        template=template(dark),
        height=170 + 38 * max(rows, 3),
        barmode="overlay",
        hoverdistance=60,
        showlegend=False,
        margin={"t": 60, "r": 8},
        coloraxis={
            "colorscale": SEQUENTIAL,
            "cmin": 0,
            "cmax": 1,
            "colorbar": {"thickness": 12, "tickvals": [0, 0.5, 1], "title": {"text": t("passkey.axis_accuracy")}},
        },
    )
    return drawn


def mark_train_length(drawn: go.Figure, lengths: Sequence[int], train_length: int, **place: int) -> None:
    """A dashed line between the columns of a map: right of it, texts are longer than any in training."""
    known = sum(length <= train_length for length in lengths)
    if 0 < known < len(lengths):
        drawn.add_vline(x=known - 0.5, line={"color": VERMILLION, "width": 2.5, "dash": "dash"}, **place)
        label = {"text": t("figures.train_length"), "font": {"size": 11}, "showarrow": False}
        drawn.add_annotation(**label, x=known - 0.5, y=-0.5, xanchor="center", yanchor="bottom", **place)


def _cells(result: PasskeyResult) -> go.Heatmap:
    accuracy = result.accuracy()
    return go.Heatmap(
        z=[[None if np.isnan(value) else round(value, 4) for value in row] for row in accuracy],
        text=[["" if np.isnan(value) else f"{value:.2f}" for value in row] for row in accuracy],
        texttemplate="%{text}",
        hoverinfo="skip",
        coloraxis="coloraxis",
        xgap=1.5,
        ygap=1.5,
    )


def _frames(result: PasskeyResult) -> go.Scatter:
    """A frame per cell, seen only when it is clicked: heat maps cannot be clicked, points can."""
    details, labels = [], []
    places = [(row, column) for row in range(len(result.task.depths)) for column in range(len(result.lengths))]
    for row, column in places:
        length, depth = result.lengths[column], result.task.depths[row]
        cell = result.cells.get((length, depth))
        numbers = () if cell is None else (cell.correct, cell.trials, *cell.interval, cell.probability)
        details.append([f"{length:,}", depth_name(depth), *numbers])
        labels.append(t("passkey.hover_nothing" if cell is None else "passkey.hover"))
    return go.Scatter(
        x=[column for _, column in places],
        y=[row for row, _ in places],
        customdata=details,
        hovertemplate=labels,
        mode="markers",
        marker={"symbol": "square-open", "size": 30, "color": VERMILLION, "line": {"width": 3}, "opacity": 0},
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0}},
    )


def hatching(lacking: np.ndarray | Sequence[Sequence[bool]]) -> go.Bar:
    """Cells (depths, lengths) that were not run, as hatched bars: a heat map has no patterns."""
    rows, columns = np.nonzero(np.asarray(lacking))
    pattern = {"shape": "/", "fgcolor": GREY, "bgcolor": "rgba(0,0,0,0)", "size": 7, "solidity": 0.2}
    return go.Bar(
        x=columns.tolist(),
        base=(rows - 0.5).tolist(),
        y=[1] * len(rows),
        width=0.96,
        marker={"pattern": pattern, "line": {"width": 0}, "color": "rgba(0,0,0,0)"},
        hoverinfo="skip",
    )


def curve(results: Sequence[PasskeyResult], titles: Sequence[str], *, train_length: int, dark: bool) -> go.Figure:
    """Accuracy over all depths against length, one line per result, with 95 % intervals."""
    drawn = go.Figure()
    for index, (result, title) in enumerate(zip(results, titles, strict=True)):
        pooled = result.by_length()
        accuracy = np.array([cell.accuracy for cell in pooled.values()])
        low, high = np.array([cell.interval for cell in pooled.values()]).reshape(-1, 2).T
        drawn.add_scatter(
            x=[round(length * (1 + SHIFT * index), 1) for length in pooled],
            y=accuracy.round(4),
            name=title,
            mode="lines+markers",
            line={"color": COLOURS[index], "dash": DASHES[index], "width": 2.5},
            marker={"size": 9, "symbol": ("circle", "diamond")[index % 2]},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (high - accuracy).round(4),
                "arrayminus": (accuracy - low).round(4),
                "thickness": 1.2,
                "width": 4,
            },
            text=[f"{length:,}" for length in pooled],
            hovertemplate="%{text}: %{y:.2f}<extra>%{fullData.name}</extra>",
        )
    lengths = results[0].lengths
    drawn.add_hline(y=RECALLED, line={"color": GREY, "width": 1, "dash": "dot"})
    drawn.add_vline(x=train_length, line={"color": VERMILLION, "width": 2, "dash": "dash"})
    drawn.add_annotation(
        x=np.log10(train_length),
        y=1,
        yref="paper",
        yanchor="bottom",
        xanchor="left",
        text=t("figures.train_length"),
        showarrow=False,
        font={"size": 11},
    )
    drawn.update_xaxes(
        type="log",
        tickvals=lengths,
        ticktext=[short(length) for length in lengths],
        range=np.log10([lengths[0] / 1.2, lengths[-1] * 1.2]).tolist(),
        title_text=t("passkey.axis_length"),
    )
    drawn.update_yaxes(range=[-0.04, 1.06], title_text=t("passkey.axis_accuracy"))
    drawn.update_layout(template=template(dark), height=330, showlegend=True, legend={"y": 1.12}, margin={"t": 60})
    return drawn


def short(length: int) -> str:
    """A number of tokens for an axis: 512, 4K (4,096), 1,000."""
    return f"{length // 1024}K" if length % 1024 == 0 else f"{length:,}"


def depth_name(depth: float) -> str:
    """A depth for an axis: start, 25%, end."""
    return t("passkey.depth_start") if depth == 0 else t("passkey.depth_end") if depth == 1 else f"{depth:.0%}"


def table(results: Sequence[PasskeyResult], titles: Sequence[str]) -> pd.DataFrame:
    """Every cell that was run, one row each."""
    rows = []
    for result, title in zip(results, titles, strict=True):
        for (length, depth), cell in sorted(result.cells.items()):
            low, high = cell.interval
            rows.append((title, length, depth, cell.correct, cell.trials, cell.accuracy, low, high, cell.probability))
    return pd.DataFrame(rows, columns=COLUMNS)
