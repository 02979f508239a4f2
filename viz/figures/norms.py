"""How large the state is, and how long each head keeps what was written."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from model.messages import message
from viz.figures.curves import kept_rows, line_colours, narrow, points_for
from viz.figures.frame import finish, map_height, small_figure
from viz.figures.style import BLUE, GREY, VERMILLION, template


def norm_figure(
    position: np.ndarray, norm: np.ndarray, *, train_length: int, end: int, language: str, dark: bool
) -> go.Figure:
    """Mean norm over the heads of each layer, from ``norm`` (boundary, layer, head)."""
    figure = small_figure(dark)
    layers = norm.shape[1]
    for layer, colour in enumerate(line_colours(layers, dark)):
        mean = norm[:, layer].mean(axis=1)
        rows = kept_rows(position, mean, points=min(600, points_for(layers)), log=True)
        line = {"color": colour, "width": 2}
        name = message("figures.layer", language, layer=layer)
        figure.add_scatter(x=position[rows], y=narrow(mean[rows]), mode="lines", name=name, line=line)
    figure.update_layout(showlegend=layers <= 6)
    return finish(figure, message("figures.norm_axis", language), train_length, end, language, dark)


def half_life_figure(half_life: np.ndarray, *, train_length: int, language: str, dark: bool) -> go.Figure:
    """Half-lives (layer, head) in tokens, one dot per head."""
    layers, heads = half_life.shape
    drawn = go.Figure()
    for longer, colour, symbol in ((False, BLUE, "circle"), (True, VERMILLION, "diamond")):
        layer, head = np.nonzero(np.isfinite(half_life) & ((half_life > train_length) == longer))
        drawn.add_scatter(
            x=half_life[layer, head].astype(np.float32),
            y=(layer + 0.5 * ((head + 0.5) / heads - 0.5)).astype(np.float32),
            customdata=np.stack([layer, head], axis=1).astype(np.int16),
            mode="markers+text" if layers * heads <= 32 else "markers",
            text=[str(index) for index in head] if layers * heads <= 32 else None,
            textposition="middle right",
            textfont={"size": 10},
            name=message("figures.keeps_longer" if longer else "figures.keeps_shorter", language),
            marker={"color": colour, "symbol": symbol, "size": 8},
            hovertemplate=message("figures.half_life_hover", language),
        )
    drawn.add_vline(x=train_length, line={"color": GREY, "width": 1.2, "dash": "dash"})
    drawn.update_layout(template=template(dark), height=map_height(layers))
    drawn.update_xaxes(title_text=message("figures.half_life", language), type="log", tickformat="~s", dtick=1)
    drawn.update_yaxes(title_text=message("figures.layers", language), dtick=1 if layers <= 16 else 4, zeroline=False)
    drawn.update_yaxes(range=[layers - 0.5, -0.5])
    return drawn
