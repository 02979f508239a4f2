"""The figure of the effective context, one line per reader over the tokens that are kept, and its table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from model.studies.effective_context import EffectiveContextResult
from model.studies.effective_context.result import NOTICEABLE
from viz.app.language import t
from viz.app.theme import COLOURS, DASHES, GREY, template
from viz.ui.curves import translucent

SYMBOLS = ("circle", "diamond", "square", "triangle-up")
COLUMNS = ["reader", "kept_tokens", "forgotten_tokens", "change", "low_95", "high_95", "end_points"]


def figure(
    results: Sequence[EffectiveContextResult], titles: Sequence[str], *, train_length: int, dark: bool
) -> go.Figure:
    """Share of the probability that moves when only the last n tokens are kept, with 95 % intervals."""
    task = results[0].task
    drawn = go.Figure()
    for index, (result, title) in enumerate(zip(results, titles, strict=True)):
        if not result.distances:
            continue
        curve, colour = result.curve(), COLOURS[index % len(COLOURS)]
        edge = {"x": task.lengths, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
        drawn.add_scatter(y=curve.low.round(5), legendgroup=title, **edge)
        drawn.add_scatter(
            y=curve.high.round(5), fill="tonexty", fillcolor=translucent(colour, 0.15), legendgroup=title, **edge
        )
        drawn.add_scatter(
            x=task.lengths,
            y=curve.mean.round(5),
            name=title,
            legendgroup=title,
            mode="lines+markers",
            line={"color": colour, "dash": DASHES[index % len(DASHES)], "width": 2.5},
            marker={"size": 8, "symbol": SYMBOLS[index % len(SYMBOLS)]},
            customdata=np.stack([curve.low, curve.high], axis=1).round(5),
            hovertemplate=t("effective_context.hover"),
        )
    drawn.add_hline(
        y=NOTICEABLE,
        line={"color": GREY, "width": 1, "dash": "dot"},
        annotation={"text": f"{NOTICEABLE:.0%}", "font": {"size": 11}},
        annotation_position="top left",
    )
    drawn.add_vline(x=train_length, line={"color": GREY, "width": 1.6, "dash": "dash"})
    drawn.add_annotation(
        x=np.log10(train_length),
        y=1,
        yref="paper",
        yanchor="bottom",
        text=t("figures.train_length"),
        showarrow=False,
        font={"size": 11},
    )
    ticks = [10**power for power in range(len(str(task.length)))]
    drawn.update_xaxes(
        type="log",
        tickvals=ticks,
        ticktext=[f"{tick:,}" for tick in ticks],
        minor={"ticks": "outside", "dtick": "D1"},
        range=np.log10([0.85, task.length * 1.1]).tolist(),
        title_text=t("effective_context.axis_kept"),
    )
    drawn.update_yaxes(range=[-0.02, 1.02], tickformat=".0%", title_text=t("effective_context.axis_change"))
    layout = {"height": 420, "hovermode": "closest", "showlegend": True, "legend": {"y": 1.1}, "margin": {"t": 70}}
    drawn.update_layout(template=template(dark), **layout)
    return drawn


def table(results: Sequence[EffectiveContextResult], titles: Sequence[str]) -> pd.DataFrame:
    """Every measured point, one row each."""
    rows = []
    for result, title in zip(results, titles, strict=True):
        if result.distances:
            for kept, *numbers in zip(result.task.lengths, *result.curve(), strict=True):
                rows.append((title, kept, result.task.length - kept, *numbers, len(result.distances)))
    return pd.DataFrame(rows, columns=COLUMNS)
