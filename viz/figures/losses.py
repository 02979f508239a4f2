"""What the long memory costs: loss and control by position, and their difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.diagnostics.collapse import ExcessCurve
from model.messages import message
from viz.figures.curves import binned, ink, narrow, translucent
from viz.figures.frame import finish, small_figure
from viz.figures.style import GREY, VERMILLION


def loss_figure(
    loss: np.ndarray, control: np.ndarray | None, *, train_length: int, end: int, language: str, dark: bool
) -> go.Figure:
    """Binned ``loss`` (token,) and, where there is one, the ``control`` (token,), in nats."""
    figure = small_figure(dark)
    lines = [(loss, message("figures.loss_name", language), {"color": ink(dark), "width": 2})]
    if control is not None:
        lines.insert(
            0, (control, message("figures.control_name", language), {"color": GREY, "width": 2, "dash": "dash"})
        )
    for tokens, name, line in lines:
        x, y = binned(tokens, parts=120, log=True)
        figure.add_scatter(x=x, y=y, mode="lines", name=name, line=line)
    return finish(figure, message("figures.loss", language), train_length, end, language, dark)


def excess_figure(curve: ExcessCurve, *, train_length: int, end: int, language: str, dark: bool) -> go.Figure:
    """Excess of the loss over the control with its 95% band, in nats."""
    figure = small_figure(dark)
    known = np.isfinite(curve.low) & np.isfinite(curve.high)
    x = curve.position[known]
    edge: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=x, y=narrow(curve.low[known]), **edge)
    fill = {"fill": "tonexty", "fillcolor": translucent(VERMILLION, 0.18)}
    figure.add_scatter(x=x, y=narrow(curve.high[known]), **fill, **edge)
    line = {"color": VERMILLION, "width": 2}
    figure.add_scatter(
        x=curve.position, y=narrow(curve.excess), mode="lines", name=message("figures.excess_name", language), line=line
    )
    figure.add_hline(y=0, line={"color": GREY, "width": 1.2, "dash": "dot"})
    return finish(figure, message("figures.excess_axis", language), train_length, end, language, dark)
