"""The figures of the state map: points on a plane, and novelty over the document.

A figure depends on the recording and the settings only, never on what is selected in it: Plotly drops a selection
when its figure changes.
"""

from __future__ import annotations

import math

import numpy as np
import plotly.colors
import plotly.graph_objects as go

from model.diagnostics.state_map import PCA, StateMap
from viz.app.language import t
from viz.app.theme import BACKGROUND, EXPLORED, GREY, SEQUENTIAL, UNEXPLORED, template
from viz.ui.curves import ink, mark_training_length, on_axis, position_axis, translucent

MANY = 6000
"""Points above which a map is drawn by WebGL."""


def figure(states: StateMap, novelty: np.ndarray, position: np.ndarray, *, by_position: bool, dark: bool) -> go.Figure:
    """A map of explored and document states; the document's, (m,), are joined in the order of ``position``.

    Circles are explored and diamonds unexplored by their ``novelty``; ``by_position`` colours them by position.
    """
    Points = go.Scattergl if len(states.explored_xy) + len(states.document_xy) > MANY else go.Scatter
    new = novelty > 1
    drawn = go.Figure()
    x, y = states.explored_xy.T
    quiet = {"color": GREY, "size": 4, "opacity": 0.45}
    drawn.add_trace(Points(x=x, y=y, mode="markers", marker=quiet, name=t("state_map.reference"), hoverinfo="skip"))
    x, y = states.document_xy.T
    path = {"color": translucent(ink(dark), 0.28), "width": 1}
    drawn.add_trace(Points(x=x, y=y, mode="lines", line=path, name=t("state_map.path"), hoverinfo="skip"))
    for is_new, colour, symbol in ((False, EXPLORED, "circle"), (True, UNEXPLORED, "diamond")):
        rows = np.flatnonzero(new == is_new)
        marker = {"color": colour, **_marker(symbol, position[rows], dark)}
        if by_position:
            marker |= _position_colours(position, rows, is_new or not new.any(), dark)
        drawn.add_trace(
            Points(
                x=x[rows],
                y=y[rows],
                mode="markers",
                marker=marker,
                customdata=np.stack([rows, position[rows], novelty[rows]], axis=1).astype(np.float32),
                name=t("state_map.unexplored" if is_new else "state_map.explored"),
                hovertemplate=t("state_map.hover"),
                unselected={"marker": {"opacity": 0.35}},
            )
        )
    note = {"ay": -26, "arrowhead": 2, "arrowwidth": 1.2, "arrowcolor": ink(dark), "font": {"size": 11}}
    for row, label, shift in ((0, "state_map.start", 26), (-1, "state_map.end", -26)):
        place = {"x": float(x[row]), "y": float(y[row]), "ax": shift}
        drawn.add_annotation(text=t(label), bgcolor=translucent(BACKGROUND[dark], 0.75), **place, **note)
    names = _axes(states)
    bare = {"showticklabels": False, "ticks": "", "zeroline": False}
    drawn.update_layout(template=template(dark), height=480, margin={"l": 36, "t": 28}, clickmode="event+select")
    drawn.update_xaxes(title_text=names[0], **bare)
    drawn.update_yaxes(title_text=names[1], **bare)
    return drawn


def _marker(symbol: str, position: np.ndarray, dark: bool) -> dict[str, object]:
    """Size, shape and outline; opacity grows with time."""
    solid = np.geomspace(0.4, 1, max(2, len(position)))[: len(position)].astype(np.float32)
    return {"symbol": symbol, "size": 7, "opacity": solid, "line": {"width": 0.6, "color": BACKGROUND[dark]}}


def _position_colours(position: np.ndarray, rows: np.ndarray, shown: bool, dark: bool) -> dict[str, object]:
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
            "title": {"text": t("ui.curves.position"), "side": "right", "font": {"size": 12}},
            "tickvals": ticks,
            "ticktext": [f"{10 ** int(tick):,}" for tick in ticks],
            "thickness": 10,
        },
    }


def _axes(states: StateMap) -> tuple[str, str]:
    """What the axes are called."""
    if states.method == PCA and states.explained is not None:
        first, second = (t("state_map.pca_axis", number=n + 1, share=share) for n, share in enumerate(states.explained))
        return first, second
    return "UMAP 1", "UMAP 2"


def novelty_figure(
    novelty: np.ndarray, position: np.ndarray, *, train_length: int, log_x: bool, dark: bool
) -> go.Figure:
    """Novelty (m,) at ``position`` (m,), with the limit at 1 and the training length."""
    known = np.isfinite(novelty)
    top = float(novelty[known].max(initial=1))
    shown = np.where(known, novelty, 1.1 * top)  # an overflowed state has no finite novelty: drawn at the top
    log_y = top > 10
    drawn = go.Figure()
    line = {"color": translucent(ink(dark), 0.45), "width": 1}
    drawn.add_scatter(x=position, y=shown, mode="lines", line=line, showlegend=False, hoverinfo="skip")
    for is_new, colour, symbol in ((False, EXPLORED, "circle"), (True, UNEXPLORED, "diamond")):
        rows = np.flatnonzero((novelty > 1) == is_new)
        drawn.add_scatter(
            x=position[rows],
            y=shown[rows],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 5},
            customdata=np.stack([rows, position[rows], novelty[rows]], axis=1).astype(np.float32),
            name=t("state_map.unexplored" if is_new else "state_map.explored"),
            hovertemplate=t("state_map.hover"),
            unselected={"marker": {"opacity": 0.35}},
        )
    drawn.add_hline(y=1, line={"color": ink(dark), "width": 1.2, "dash": "dash"})
    drawn.update_layout(template=template(dark), height=320, margin={"t": 28, "r": 24}, clickmode="event+select")
    first, last = float(max(1, position[0])), float(position[-1])
    limits = [on_axis(first, log_x), on_axis(last * 1.02, log_x)]
    drawn.update_xaxes(**position_axis(log_x, range=limits))
    drawn.update_yaxes(title_text=t("state_map.novelty"))
    if log_y:
        drawn.update_yaxes(type="log", dtick=1, minor={"ticks": "outside", "dtick": "D1"})
    else:
        drawn.update_yaxes(range=[0, max(1.3, 1.1 * top)])
    mark_training_length(drawn, train_length, last, dark=dark, log=log_x)
    place = {"x": 1, "xref": "paper", "xanchor": "right", "y": on_axis(1, log_y), "yanchor": "bottom"}
    look = {"showarrow": False, "font": {"size": 11}, "bgcolor": translucent(BACKGROUND[dark], 0.7)}
    drawn.add_annotation(text=t("state_map.limit"), **place, **look)
    return drawn
