"""How do the heads differ: whose norm grows, and whose half-life is long?

A head is one state matrix with its own decay. These figures show all heads at once, with one of them highlighted.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from viz.app.language import t
from viz.app.theme import BLUE, GREY, SEQUENTIAL, VERMILLION, template
from viz.figures.frame import map_height
from viz.ui.curves import kept_rows, points_for

LABELS = 12
"""Lines up to which every line carries its name."""


def draw_heads(
    drawn: go.Figure, position: np.ndarray, values: np.ndarray, head: int, log_x: bool = False
) -> list[tuple[float, float, str, str]]:
    """Draw each head, (n, head), in grey in the upper panel, ``head`` and the mean in colour.

    Returns (x, y, name, colour) at the right end of each line.
    """
    heads = values.shape[1]
    ends: list[tuple[float, float, str, str]] = []
    if not np.isfinite(values).any():  # beside a delta rule, a layer that does not erase
        return ends
    for index in [*(i for i in range(heads) if i != head), head]:  # the chosen one on top
        rows = kept_rows(position, values[:, index], points=points_for(heads + 1), log=log_x)
        chosen, name = index == head, t("ui.curves.head", head=index)
        colour = VERMILLION if chosen else GREY
        drawn.add_scatter(
            x=position[rows],
            y=values[rows, index],
            mode="lines",
            name=name if chosen else t("state_norms.other_heads"),
            line={"color": colour, "width": 2.4 if chosen else 1},
            opacity=1 if chosen else 0.75,
            legendgroup="chosen" if chosen else "other",
            showlegend=chosen or index == (1 if head == 0 else 0),
            hovertemplate=f"{name}: %{{y:.4g}}<extra></extra>",
            row=1,
            col=1,
        )
        if (chosen or heads <= LABELS) and len(rows):
            ends.append((float(position[rows[-1]]), float(values[rows[-1], index]), name, colour))
    mean = np.nanmean(values, axis=1)
    rows = kept_rows(position, mean, points=points_for(heads + 1), log=log_x)
    line = {"color": BLUE, "width": 2, "dash": "dash"}
    name = t("state_norms.mean_over_heads")
    drawn.add_scatter(x=position[rows], y=mean[rows], mode="lines", name=name, line=line, row=1, col=1)
    return ends


def growth_figure(growth: np.ndarray, *, dark: bool) -> go.Figure:
    """The growth of the norm of each head, (layer, head), as a map; cells show the numbers while they fit."""
    layers, heads = growth.shape
    written = layers * heads <= 200
    doublings = np.log2(np.maximum(growth, 1e-3))
    ticks = np.arange(np.floor(min(doublings.min(), 0)), np.ceil(max(doublings.max(), 1)) + 1)
    drawn = go.Figure(
        go.Heatmap(
            z=doublings.astype(np.float32),
            text=[[f"{value:.1f}×" for value in row] for row in growth] if written else None,
            texttemplate="%{text}" if written else None,
            colorscale=SEQUENTIAL,
            zmin=float(ticks[0]),
            zmax=float(ticks[-1]),
            xgap=2 if written else 0,
            ygap=2 if written else 0,
            colorbar={"tickvals": ticks, "ticktext": [f"{2**tick:g}×" for tick in ticks], "thickness": 12},
            hoverinfo="skip",
        )
    )
    # Streamlit reports clicks on points only, so every cell has an invisible one; the chosen one gets a frame.
    layer, head = np.indices(growth.shape, np.int16).reshape(2, -1)
    drawn.add_scatter(
        x=head,
        y=layer,
        customdata=growth.ravel().astype(np.float32),
        mode="markers",
        marker={
            "symbol": "square-open",
            "size": 30 if heads <= 8 else 16 if heads <= 16 else 9,
            "opacity": 0,
            "color": VERMILLION,
            "line": {"width": 3},
        },
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0}},
        hovertemplate=t("state_norms.growth_hover"),
        showlegend=False,
    )
    drawn.update_layout(template=template(dark), height=map_height(layers), hoverdistance=40)
    for axis, size, name in ((drawn.update_xaxes, heads, "heads"), (drawn.update_yaxes, layers, "layers")):
        axis(title_text=t(f"state_norms.{name}"), dtick=1 if size <= 16 else 4, showgrid=False, zeroline=False)
    drawn.update_xaxes(range=[-0.5, heads - 0.5])
    drawn.update_yaxes(range=[layers - 0.5, -0.5])
    return drawn
