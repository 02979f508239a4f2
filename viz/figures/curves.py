"""What figures share: points and bins for a linear or logarithmic axis, marks, names at the ends of lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import plotly.colors
import plotly.graph_objects as go
from tsdownsample import MinMaxLTTBDownsampler

from model.diagnostics.collapse import BEYOND
from model.messages import message
from viz.figures.style import BACKGROUND, COLOURS, GREY, SEQUENTIAL, TEXT

MAX_POINTS = 2000
"""Points of one drawn series; a screen has no more columns than that."""
POINT_BUDGET = 60_000
"""Points of one figure: an x and a y of four bytes each, in base64, make two thirds of a megabyte."""


def edges(count: int, parts: int, log: bool, least: int = 1) -> np.ndarray:
    """Borders that cut ``count`` rows into at most ``parts`` bins of ``least`` rows or more, (n + 1,) int64."""
    parts = max(1, min(parts, count // least))
    if not log:
        return np.unique(np.linspace(0, count, parts + 1).astype(np.int64))
    borders = [0]
    for border in np.geomspace(least, max(count, least + 1), parts):
        if border - borders[-1] >= least:
            borders.append(int(border))
    if len(borders) > 1:
        borders.pop()  # the last bin takes the rest, which may be a little longer
    return np.array([*borders, count], np.int64)


def binned(values: np.ndarray, *, parts: int = 240, log: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Means of ``values`` (n,), one per token, in bins of tokens: their middles and means, NaN skipped.

    On a logarithmic axis the bins grow with the position, and none is shorter than 16 tokens.
    """
    borders = edges(len(values), parts, log, least=16)
    known = np.isfinite(values)
    total = np.add.reduceat(np.where(known, values, 0).astype(np.float64), borders[:-1])
    number = np.add.reduceat(known.astype(np.int64), borders[:-1])
    middle = np.sqrt(np.maximum(borders[:-1], 1) * borders[1:]) if log else (borders[:-1] + borders[1:]) / 2
    kept = number > 0
    return middle[kept].astype(np.float32), (total[kept] / number[kept]).astype(np.float32)


def kept_rows(position: np.ndarray, values: np.ndarray, *, points: int = MAX_POINTS, log: bool = False) -> np.ndarray:
    """At most ``points`` rows, first and last too, that keep the shape of ``values`` over ``position``, both (n,).

    Rows without a finite value are left out, and on a logarithmic axis position 0, which it does not have.
    """
    usable = np.flatnonzero(np.isfinite(values) & (position > 0)) if log else np.flatnonzero(np.isfinite(values))
    if len(usable) <= points:
        return usable
    x = position[usable].astype(np.float64)
    return usable[MinMaxLTTBDownsampler().downsample(np.log(x) if log else x, values[usable], n_out=points)]


def points_for(series: int) -> int:
    """Points that each of ``series`` lines may have within the budget of a figure."""
    return max(100, min(MAX_POINTS, POINT_BUDGET // max(1, series)))


def line_colours(count: int, dark: bool) -> list[str]:
    """A colour per line: the palette for few, else steps of one scale without the end near the background."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    low, high = (0.35, 1.0) if dark else (0.0, 0.75)
    return plotly.colors.sample_colorscale(SEQUENTIAL, np.linspace(low, high, count).tolist())


def translucent(colour: str, alpha: float) -> str:
    """``colour`` with an opacity: Plotly fills take rgba, not hexadecimal."""
    if colour.startswith("#"):
        colour = "rgb" + str(plotly.colors.hex_to_rgb(colour))
    return colour.replace("rgb(", "rgba(").replace(")", f", {alpha})")


def position_axis(log: bool, language: str, **more: object) -> dict[str, object]:
    """The layout of an x axis that counts tokens."""
    scale = {"type": "log", "dtick": 1, "minor": {"ticks": "outside", "dtick": "D1"}} if log else {"type": "linear"}
    return {"title": {"text": message("figures.position", language)}, "tickformat": "~s", **scale, **more}


def on_axis(value: float, log: bool) -> float:
    """The place of an annotation: Plotly takes the exponent on logarithmic axes."""
    return math.log10(max(value, 1e-30)) if log else value


def mark_training_length(
    figure: go.Figure, train_length: int, end: float, *, language: str, dark: bool, log: bool
) -> None:
    """Vertical lines through all panels where training stopped, and where a document counts as long."""
    marks = (
        (train_length, message("figures.train_length", language), "dash"),
        (BEYOND * train_length, f"{BEYOND}×", "dot"),
    )
    for row, (place, label, dash) in enumerate(marks):
        if place >= end:
            continue
        figure.add_shape(
            type="line", x0=place, x1=place, y0=0, y1=1, yref="paper", line={"color": GREY, "width": 1.2, "dash": dash}
        )
        figure.add_annotation(
            x=on_axis(place, log),
            y=1,
            yref="paper",
            yanchor="top",
            xanchor="left",
            xshift=3,
            yshift=0 if log else -15 * row,  # on a linear axis the two may be close together
            text=label,
            showarrow=False,
            font={"size": 11},
            bgcolor=translucent(BACKGROUND[dark], 0.7),
        )


def label_ends(
    figure: go.Figure, ends: Iterable[tuple[float, float, str, str]], *, log_x: bool, log_y: bool, share: float = 0.055
) -> None:
    """Write a name at the right end of each line of the upper panel, moved apart where they would cover each other.

    ``ends``: (x, y, text, colour) in data units. Names are at least ``share`` of the lines' range apart.
    """
    places = [end for end in ends if math.isfinite(end[1]) and (end[1] > 0 or not log_y)]
    heights = spread([on_axis(y, log_y) for _, y, _, _ in places], share * _height(figure, log_y))
    for (x, _, text, colour), height in zip(places, heights, strict=True):
        figure.add_annotation(
            x=on_axis(x, log_x),
            y=height,
            text=text,
            showarrow=False,
            xanchor="left",
            xshift=4,
            font={"color": colour, "size": 11},
        )


def _height(figure: go.Figure, log: bool) -> float:
    """The range that the lines of the upper panel cover, in the axis' own units."""
    drawn = [np.asarray(trace.y, float) for trace in figure.data if trace.yaxis in (None, "y")]
    values = np.concatenate([curve[np.isfinite(curve) & ((curve > 0) | (not log))] for curve in drawn] or [np.zeros(1)])
    if not len(values):
        return 1.0
    return (on_axis(values.max(), log) - on_axis(values.min(), log)) or 1.0


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """``heights`` moved apart, in their order, until neighbours are about ``gap`` apart."""
    order = np.argsort(heights)
    moved = np.asarray(heights, float)[order]
    for _ in range(50):
        close = np.flatnonzero(np.diff(moved) < gap * 0.999)
        if not len(close):
            break
        for index in close:
            middle = (moved[index] + moved[index + 1]) / 2
            moved[index], moved[index + 1] = middle - gap / 2, middle + gap / 2
    result = np.empty_like(moved)
    result[order] = moved
    return result.tolist()


def hover_mode(lines: int) -> str:
    """One box with every line's value while they are few, else the value of the nearest."""
    return "x unified" if lines <= 12 else "closest"


def ink(dark: bool) -> str:
    """The colour of text, for lines that belong to no layer, head or recording."""
    return TEXT[dark]


def narrow(values: np.ndarray) -> np.ndarray:
    """``values`` in four bytes each: what a screen shows needs no more."""
    return values.astype(np.float32)
