"""The figures of capacity: the recalled length, and the training length needed to forget, by state size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from model.studies.capacity import REPORTED, Fit, Forgets, Point, recall_fit, reported_forget, reported_recall
from viz.app.language import t
from viz.app.theme import BLUE, GREEN, GREY, VERMILLION, template

STEPS = 60
"""Points of a drawn curve."""
KINDS = (
    (True, "capacity.learned", "circle", BLUE),
    (False, "capacity.not_learned", "x", VERMILLION),
    (None, "capacity.unclear", "circle-open", BLUE),
)
"""Models that learned to forget, that did not, and of which it is not clear."""


def recall(groups: Mapping[str, Sequence[Point]], *, dark: bool) -> go.Figure:
    """T_recall over state size: the models of each group with intervals, their fit, and the published one."""
    drawn = go.Figure()
    looks = ((BLUE, "circle", "solid"), (GREEN, "diamond", "dash"))
    for (name, points), (colour, symbol, dash) in zip(groups.items(), looks, strict=False):
        means = np.array([point.estimate.mean for point in points])
        drawn.add_scatter(
            x=[point.state_size for point in points],
            y=means.round(1),
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [round(point.estimate.high - point.estimate.mean, 1) for point in points],
                "arrayminus": [round(point.estimate.mean - point.estimate.low, 1) for point in points],
                "thickness": 1.2,
                "width": 4,
            },
            name=name,
            mode="markers",
            marker={"size": 10, "symbol": symbol, "color": colour},
            text=[point.name for point in points],
            hovertemplate="%{text}<br>%{x:,}: %{y:,.0f}<extra></extra>",
        )
        fitted = recall_fit(points)
        if fitted is not None:
            sizes = np.geomspace(points[0].state_size, points[-1].state_size, STEPS)
            _band(drawn, sizes, *(2.0**values for values in fitted.at(sizes)), colour=colour, dash=dash, name=name)
    _published(drawn, reported_recall)
    return _laid_out(drawn, t("capacity.axis_recall"), dark)


def forget(found: Sequence[Forgets], fitted: Fit | None, *, dark: bool) -> go.Figure:
    """Every model by state size and training length, marked by whether it learned to forget; the published T_forget."""
    drawn = go.Figure()
    for learned, words, symbol, colour in KINDS:
        kind = [one for one in found if one.learned is learned]
        if kind:
            drawn.add_scatter(
                x=[one.member.state_size for one in kind],
                y=[one.member.train_length for one in kind],
                name=t(words),
                mode="markers",
                marker={"size": 12, "symbol": symbol, "color": colour},
                text=[
                    f"{one.member.name}: {one.ratio.mean:.2f} ({one.ratio.low:.2f}, {one.ratio.high:.2f})"
                    for one in kind
                ],
                hovertemplate="%{text}<br>%{x:,}, %{y:,}<extra></extra>",
            )
    if fitted is not None:
        ends = sorted(one.member.state_size for one in found)
        sizes = np.geomspace(ends[0], ends[-1], STEPS)
        mean, low, high = (np.maximum(values, 1) for values in fitted.at(sizes))
        _band(drawn, sizes, mean, low, high, colour=BLUE, dash="solid", name=t("capacity.ours"))
    _published(drawn, reported_forget)
    return _laid_out(drawn, t("capacity.axis_forget"), dark)


def _band(drawn: go.Figure, sizes: np.ndarray, *curves: np.ndarray, colour: str, dash: str, name: str) -> None:
    """A fit with its interval."""
    mean, low, high = (values.round(2) for values in curves)
    drawn.add_scatter(x=sizes, y=high, mode="lines", line={"width": 0}, hoverinfo="skip", showlegend=False)
    drawn.add_scatter(
        x=sizes,
        y=low,
        mode="lines",
        line={"width": 0},
        fill="tonexty",
        fillcolor=f"rgba{(*bytes.fromhex(colour[1:]), 0.18)}",
        hoverinfo="skip",
        showlegend=False,
    )
    label = t("capacity.fit", name=name)
    drawn.add_scatter(x=sizes, y=mean, mode="lines", line={"color": colour, "dash": dash, "width": 2}, name=label)


def _published(drawn: go.Figure, reported) -> None:  # type: ignore[no-untyped-def]
    """The published fit where it was made, and nowhere else."""
    millions = np.linspace(*REPORTED, STEPS)
    drawn.add_scatter(
        x=1e6 * millions,
        y=[round(reported(value)) for value in millions],
        mode="lines",
        line={"color": GREY, "dash": "dot", "width": 3},
        name=t("capacity.published", low=REPORTED[0], high=REPORTED[1]),
    )


def _laid_out(drawn: go.Figure, title: str, dark: bool) -> go.Figure:
    drawn.update_xaxes(type="log", dtick=1, title_text=t("capacity.axis_state"))
    ticks = [16 * 4**power for power in range(9)]
    drawn.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks], title_text=title)
    drawn.update_layout(
        template=template(dark), height=400, showlegend=True, hovermode="closest", margin={"t": 80}, legend={"y": 1.05}
    )
    return drawn


def recall_table(groups: Mapping[str, Sequence[Point]]) -> pd.DataFrame:
    """The models with their T_recall, one row each."""
    rows = []
    for name, points in groups.items():
        for point in points:
            mean, low, high = point.estimate.mean, point.estimate.low, point.estimate.high
            rows.append((name, point.name, point.state_size, point.train_length, mean, low, high))
    return pd.DataFrame(rows, columns=["group", "model", "state_size", "train_length", "t_recall", "low_95", "high_95"])


def forget_table(found: Sequence[Forgets]) -> pd.DataFrame:
    """The models with the published criterion, one row each."""
    rows = []
    for one in found:
        size, length, ratio = one.member.state_size, one.member.train_length, one.ratio
        rows.append((one.member.name, size, length, ratio.mean, ratio.low, ratio.high, one.learned))
    columns = ["model", "state_size", "train_length", "criterion", "low_95", "high_95", "learned_to_forget"]
    return pd.DataFrame(rows, columns=columns)
