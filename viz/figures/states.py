"""Where the states lie among the explored ones: novelty over the document, and points on a plane."""

from __future__ import annotations

import math

import numpy as np
import plotly.colors
import plotly.graph_objects as go

from model.diagnostics.state_map import PCA, StateMap
from model.messages import message
from viz.figures.curves import ink, narrow, translucent
from viz.figures.frame import finish, small_figure
from viz.figures.style import BACKGROUND, EXPLORED, GREY, SEQUENTIAL, UNEXPLORED, template

MANY = 6000
"""Points above which a map is drawn by WebGL."""


def novelty_figure(
    position: np.ndarray, scores: np.ndarray, *, train_length: int, end: int, language: str, dark: bool
) -> go.Figure:
    """Novelty of the snapshots; above 1 is unexplored."""
    figure = small_figure(dark)
    known = np.isfinite(scores)
    position, scores = position[known], scores[known]
    line = {"color": GREY, "width": 1}
    figure.add_scatter(x=position, y=narrow(scores), mode="lines", line=line, showlegend=False, hoverinfo="skip")
    for inside, name, colour, symbol in (
        (scores <= 1, message("figures.explored_name", language), EXPLORED, "circle"),
        (scores > 1, message("figures.unexplored_name", language), UNEXPLORED, "diamond"),
    ):
        marker = {"color": colour, "size": 5, "symbol": symbol}
        figure.add_scatter(x=position[inside], y=narrow(scores[inside]), mode="markers", name=name, marker=marker)
    figure.add_hline(y=1, line={"color": GREY, "width": 1.2, "dash": "dot"})
    finish(figure, message("figures.novelty_axis", language), train_length, end, language, dark)
    if scores.max(initial=0) > 10:  # on a linear axis the limit at 1 would be at the bottom
        figure.update_yaxes(type="log", dtick=1)
    return figure


def map_figure(
    states: StateMap, novelty: np.ndarray, position: np.ndarray, *, by_position: bool, language: str, dark: bool
) -> go.Figure:
    """A map of explored and document states; the document's, (m,), are joined in the order of ``position``.

    Circles are explored and diamonds unexplored by their ``novelty``; ``by_position`` colours them by position.
    """
    Points = go.Scattergl if len(states.explored_xy) + len(states.document_xy) > MANY else go.Scatter
    new = novelty > 1
    drawn = go.Figure()
    x, y = states.explored_xy.T
    quiet = {"color": GREY, "size": 4, "opacity": 0.45}
    drawn.add_trace(
        Points(x=x, y=y, mode="markers", marker=quiet, name=message("figures.reference", language), hoverinfo="skip")
    )
    x, y = states.document_xy.T
    path = {"color": translucent(ink(dark), 0.28), "width": 1}
    drawn.add_trace(Points(x=x, y=y, mode="lines", line=path, name=message("figures.path", language), hoverinfo="skip"))
    for is_new, colour, symbol in ((False, EXPLORED, "circle"), (True, UNEXPLORED, "diamond")):
        rows = np.flatnonzero(new == is_new)
        marker = {"color": colour, **_marker(symbol, position[rows], dark)}
        if by_position:
            marker |= _position_colours(position, rows, is_new or not new.any(), language, dark)
        drawn.add_trace(
            Points(
                x=x[rows],
                y=y[rows],
                mode="markers",
                marker=marker,
                customdata=np.stack([rows, position[rows], novelty[rows]], axis=1).astype(np.float32),
                name=message("figures.unexplored_name" if is_new else "figures.explored_name", language),
                hovertemplate=message("figures.hover", language),
                unselected={"marker": {"opacity": 0.35}},
            )
        )
    note = {"ay": -26, "arrowhead": 2, "arrowwidth": 1.2, "arrowcolor": ink(dark), "font": {"size": 11}}
    for row, label, shift in ((0, "figures.start", 26), (-1, "figures.end", -26)):
        place = {"x": float(x[row]), "y": float(y[row]), "ax": shift}
        drawn.add_annotation(
            text=message(label, language), bgcolor=translucent(BACKGROUND[dark], 0.75), **place, **note
        )
    names = _axes(states, language)
    bare = {"showticklabels": False, "ticks": "", "zeroline": False}
    drawn.update_layout(template=template(dark), height=480, margin={"l": 36, "t": 28}, clickmode="event+select")
    drawn.update_xaxes(title_text=names[0], **bare)
    drawn.update_yaxes(title_text=names[1], **bare)
    return drawn


def _marker(symbol: str, position: np.ndarray, dark: bool) -> dict[str, object]:
    """Size, shape and outline; opacity grows with time."""
    solid = np.geomspace(0.4, 1, max(2, len(position)))[: len(position)].astype(np.float32)
    return {"symbol": symbol, "size": 7, "opacity": solid, "line": {"width": 0.6, "color": BACKGROUND[dark]}}


def _position_colours(
    position: np.ndarray, rows: np.ndarray, shown: bool, language: str, dark: bool
) -> dict[str, object]:
    """Colours on a logarithmic scale of the position, as the snapshots are spread; one of two traces has the bar."""
    low, high = (0.3, 1.0) if dark else (0.0, 0.9)  # clear of the background
    exponent = np.log10(np.maximum(position, 1)).astype(np.float32)
    ticks = np.arange(math.ceil(exponent.min()), math.floor(exponent.max()) + 1)
    return {
        "color": exponent[rows],
        "opacity": 1,
        "colorscale": plotly.colors.sample_colorscale(SEQUENTIAL, np.linspace(low, high, 9).tolist()),
        "cmin": float(exponent.min()),
        "cmax": float(exponent.max()),
        "showscale": shown,
        "colorbar": {
            "title": {"text": message("figures.position", language), "side": "right", "font": {"size": 12}},
            "tickvals": ticks,
            "ticktext": [f"{10 ** int(tick):,}" for tick in ticks],
            "thickness": 10,
        },
    }


def _axes(states: StateMap, language: str) -> tuple[str, str]:
    """What the axes are called."""
    if states.method == PCA and states.explained is not None:
        first, second = (
            message("figures.pca_axis", language, number=n + 1, share=share) for n, share in enumerate(states.explained)
        )
        return first, second
    return "UMAP 1", "UMAP 2"
