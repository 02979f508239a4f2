"""Several recordings on the same axes: a letter, a colour and a dash each, in one figure per question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from model.diagnostics.collapse import ExcessCurve
from model.messages import message
from viz.figures.curves import (
    binned,
    edges,
    ink,
    kept_rows,
    label_ends,
    mark_training_length,
    on_axis,
    points_for,
    position_axis,
    translucent,
)
from viz.figures.style import COLOURS, DASHES, GREY, template

BANDS = 3
"""Recordings up to which the interval of the excess is drawn."""


class Line(NamedTuple):
    """One recording in a figure: its ``letter``, its ``title``, and its place in the order, the baseline's being 0."""

    letter: str
    title: str
    order: int

    @property
    def name(self) -> str:
        """What the legend says."""
        title = self.title if len(self.title) <= 42 else self.title[:40] + "…"
        return f"{self.letter} · {title}"

    @property
    def colour(self) -> str:
        """The colour of all its lines."""
        return COLOURS[self.order % len(COLOURS)]

    @property
    def look(self) -> dict[str, Any]:
        """Colour, dash and width: no two recordings share colour and dash."""
        dash = DASHES[(self.order + self.order // len(COLOURS)) % len(DASHES)]
        return {"color": self.colour, "dash": dash, "width": 2.4 if self.order == 0 else 2}


def loss_figure(
    losses: Sequence[tuple[Line, np.ndarray]],
    control_loss: np.ndarray | None,
    *,
    train_length: int,
    log_x: bool,
    language: str,
    dark: bool,
) -> go.Figure:
    """Loss of every recording, each (token,), and the control that they share."""
    drawn, ends = go.Figure(), []
    if control_loss is not None:
        x, y = binned(control_loss, parts=160, log=log_x)
        line = {"color": GREY, "width": 1.6, "dash": "dash"}
        drawn.add_scatter(x=x, y=y, mode="lines", line=line, name=message("figures.control_loss", language))
    for recording, tokens in losses:
        x, y = binned(tokens, parts=160, log=log_x)
        drawn.add_scatter(x=x, y=y, mode="lines", line=recording.look, name=recording.name)
        ends.append((float(x[-1]), float(y[-1]), recording.letter, recording.colour))
    end = max(len(tokens) for _, tokens in losses)
    drawn.update_yaxes(title_text=message("figures.loss", language))
    return _finished(drawn, ends, end, train_length, log_x, language, dark)


def excess_figure(
    curves: Sequence[tuple[Line, ExcessCurve]], *, train_length: int, end: int, log_x: bool, language: str, dark: bool
) -> go.Figure:
    """Excess loss of every recording over its control; with few recordings in its 95% interval."""
    drawn, ends = go.Figure(), []
    for recording, curve in curves:
        if len(curves) <= BANDS:
            known = np.isfinite(curve.low) & np.isfinite(curve.high)
            edge = {"x": curve.position[known].astype(np.float32), "mode": "lines", "line": {"width": 0}}
            quiet = {"hoverinfo": "skip", "showlegend": False, "legendgroup": recording.letter}
            drawn.add_scatter(y=curve.low[known].astype(np.float32), **edge, **quiet)
            fill = {"fill": "tonexty", "fillcolor": translucent(recording.colour, 0.14)}
            drawn.add_scatter(y=curve.high[known].astype(np.float32), **edge, **quiet, **fill)
        drawn.add_scatter(
            x=curve.position.astype(np.float32),
            y=curve.excess.astype(np.float32),
            mode="lines",
            line=recording.look,
            name=recording.name,
            legendgroup=recording.letter,
        )
        last = np.flatnonzero(np.isfinite(curve.excess))[-1:]
        ends += [(float(curve.position[i]), float(curve.excess[i]), recording.letter, recording.colour) for i in last]
    drawn.add_hline(y=0, line={"color": ink(dark), "width": 1.2})
    drawn.update_yaxes(title_text=message("figures.excess_axis", language))
    return _finished(drawn, ends, end, train_length, log_x, language, dark)


def norm_figure(
    norms: Sequence[tuple[Line, np.ndarray, np.ndarray]], *, train_length: int, log_x: bool, language: str, dark: bool
) -> go.Figure:
    """Norm of every recording: (line, position (n,), norm (n,)), averaged over heads."""
    drawn, ends = go.Figure(), []
    for recording, position, norm in norms:
        rows = kept_rows(position, norm, points=min(1000, points_for(len(norms))), log=log_x)
        x, y = position[rows], norm[rows].astype(np.float32)
        drawn.add_scatter(x=x, y=y, mode="lines", line=recording.look, name=recording.name)
        ends.append((float(x[-1]), float(y[-1]), recording.letter, recording.colour))
    end = max(int(position[-1]) for _, position, _ in norms)
    drawn.update_yaxes(title_text=message("figures.norm_axis", language), rangemode="tozero")
    return _finished(drawn, ends, end, train_length, log_x, language, dark)


def unexplored_figure(
    shares: Sequence[tuple[Line, np.ndarray, np.ndarray]],
    *,
    train_length: int,
    end: int,
    log_x: bool,
    language: str,
    dark: bool,
) -> go.Figure:
    """Unexplored share of every recording in bins of the document: (line, middle (n,), share (n,))."""
    drawn, ends = go.Figure(), []
    for recording, middle, share in shares:
        look = {"mode": "lines+markers", "line": recording.look, "marker": {"size": 5}, "name": recording.name}
        drawn.add_scatter(x=middle.astype(np.float32), y=share.astype(np.float32), **look)
        ends.append((float(middle[-1]), float(share[-1]), recording.letter, recording.colour))
    drawn.update_yaxes(title_text=message("figures.unexplored_axis", language), tickformat=".0%", range=[-0.12, 1.12])
    drawn.update_yaxes(tickvals=[0, 0.25, 0.5, 0.75, 1])
    return _finished(drawn, ends, end, train_length, log_x, language, dark)


def shares(position: np.ndarray, scored: np.ndarray, *, log: bool) -> tuple[np.ndarray, np.ndarray]:
    """Unexplored share of up to 16 bins with as many snapshots each: their middles and shares.

    Snapshots are evenly spaced on neither axis, so bins of equal numbers suit both; ``log`` chooses their middles.
    """
    borders = edges(len(position), 16, False, least=4)
    starts, stops = borders[:-1], borders[1:]
    share = np.add.reduceat((scored > 1).astype(np.float64), starts) / (stops - starts)
    first, last = position[starts].astype(np.float64), position[stops - 1].astype(np.float64)
    return np.sqrt(first * last) if log else (first + last) / 2, share


def _finished(
    drawn: go.Figure,
    ends: Sequence[tuple[float, float, str, str]],
    end: float,
    train_length: int,
    log_x: bool,
    language: str,
    dark: bool,
) -> go.Figure:
    first = on_axis(min(32, train_length), True) if log_x else 0
    drawn.update_layout(template=template(dark), height=400, hovermode="x unified", margin={"r": 32, "t": 28})
    drawn.update_xaxes(**position_axis(log_x, language, range=[first, on_axis(end * 1.02, log_x)]))
    mark_training_length(drawn, train_length, end, language=language, dark=dark, log=log_x)
    label_ends(drawn, ends, log_x=log_x, log_y=False, share=0.07)
    return drawn
