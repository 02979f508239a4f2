"""The figures of architectures: loss or excess against position of all, and passkeys or gradients of one."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from model.studies.architectures import Architecture
from viz.app.language import t
from viz.app.theme import COLOURS, DASHES, GREY, template


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
    drawn.update_xaxes(type="log", title_text=t("architectures.axis_position"))
    drawn.update_yaxes(title_text=t(f"architectures.axis_{'excess' if excess else 'loss'}"))
    drawn.update_layout(template=template(dark), height=420, showlegend=True, margin={"t": 70})
    return drawn


def line_figure(x: Sequence[float], y: Sequence[float], titles: tuple[str, str], *, log: bool, dark: bool) -> go.Figure:
    """One line over a logarithmic axis: passkeys by length, or gradients by lag."""
    drawn = go.Figure(go.Scatter(x=list(x), y=list(y), mode="lines+markers", line={"color": COLOURS[0], "width": 2.5}))
    drawn.update_xaxes(type="log", title_text=titles[0])
    drawn.update_yaxes(type="log" if log else "linear", title_text=titles[1])
    drawn.update_layout(template=template(dark), height=320, showlegend=False)
    return drawn
