"""What pages draw with: points, bins and marks of :mod:`viz.figures.curves`, named in the session's language."""

from __future__ import annotations

import plotly.graph_objects as go

from viz.app.language import language
from viz.figures import curves
from viz.figures.curves import (
    MAX_POINTS,
    binned,
    edges,
    hover_mode,
    ink,
    kept_rows,
    label_ends,
    line_colours,
    on_axis,
    points_for,
    spread,
    translucent,
)

__all__ = [
    "MAX_POINTS",
    "binned",
    "edges",
    "hover_mode",
    "ink",
    "kept_rows",
    "label_ends",
    "line_colours",
    "mark_training_length",
    "on_axis",
    "points_for",
    "position_axis",
    "spread",
    "translucent",
]


def position_axis(log: bool, **more: object) -> dict[str, object]:
    """The layout of an x axis that counts tokens."""
    return curves.position_axis(log, language(), **more)


def mark_training_length(figure: go.Figure, train_length: int, end: float, *, dark: bool, log: bool) -> None:
    """Vertical lines through all panels where training stopped, and where a document counts as long."""
    curves.mark_training_length(figure, train_length, end, language=language(), dark=dark, log=log)
