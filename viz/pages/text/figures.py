"""How far back the memory reaches, exactly: shares of the state against the distance to the token that wrote them."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from viz.app.language import t
from viz.app.theme import template
from viz.ui.curves import hover_mode, line_colours, mark_training_length


def reached(shares: np.ndarray, points: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Distances back (n,), in tokens, and how much of the state the last so many tokens hold, (n,), from (moment,)."""
    total = np.cumsum(shares[::-1], dtype=np.float64)
    distance = np.unique(np.geomspace(1, len(shares), points).round().astype(int))
    return distance, total[distance - 1]


def half_reached(shares: np.ndarray, share: float = 0.5) -> int | None:
    """Tokens back within which ``share`` of the state was written for good; None if the tokens hold less than that."""
    total = np.cumsum(shares[::-1], dtype=np.float64)
    below = np.flatnonzero(total < share)
    after = int(below[-1]) + 1 if len(below) else 0
    return after + 1 if after < len(total) else None


def reach_figure(by_token: np.ndarray, *, train_length: int, dark: bool) -> go.Figure:
    """One line a layer: (layers, moment) shares against the distance back."""
    drawn = go.Figure()
    for layer, colour in enumerate(line_colours(len(by_token), dark)):
        distance, share = reached(by_token[layer])
        name = t("figures.layer", layer=layer)
        drawn.add_scatter(x=distance, y=share, mode="lines", name=name, line={"color": colour, "width": 2})
    drawn.update_layout(template=template(dark), height=320, hovermode=hover_mode(len(by_token)))
    drawn.update_xaxes(type="log", title_text=t("text.distance"))
    drawn.update_yaxes(tickformat=".0%", title_text=t("text.share_of_state"), rangemode="tozero")
    mark_training_length(drawn, train_length, by_token.shape[1], dark=dark, log=True)
    return drawn
