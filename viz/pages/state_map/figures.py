"""Novelty over the document.

The figure depends on the recording and the settings only, never on what is selected in it: Plotly drops a selection
when its figure changes.
"""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from viz.app.language import t
from viz.app.theme import BACKGROUND, EXPLORED, UNEXPLORED, template
from viz.ui.curves import ink, mark_training_length, on_axis, position_axis, translucent


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
            name=t("figures.unexplored_name" if is_new else "figures.explored_name"),
            hovertemplate=t("figures.hover"),
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
