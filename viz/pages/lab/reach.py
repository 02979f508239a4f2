"""The figure of the gradient's reach, on logarithmic axes with the thresholds of the verdict, and its table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from model.studies.gradients import EXPLODED, VANISHED, GradientReach
from viz.app.language import t
from viz.app.theme import GREY, VERMILLION, template
from viz.ui.curves import ink

Named = Sequence[tuple[str, GradientReach]]
"""What was measured, each with the name of its line; the last is drawn solid."""
LEAST_SHARE = 1e-12
"""Where a norm is zero, the line ends at this share."""


def reach_figure(named: Named, *, key: str, dark: bool) -> go.Figure:
    """The norm of the gradient over its value at the shortest lag; the thresholds are named where they lie."""
    drawn = go.Figure()
    for place, (name, one) in enumerate(named):
        now = place == len(named) - 1 and place > 0
        drawn.add_scatter(
            x=one.lags,
            y=np.maximum(one.relative, LEAST_SHARE),
            name=name,
            mode="lines+markers",
            line={"color": VERMILLION if now else ink(dark), "dash": "solid" if now else "dash", "width": 2.5},
            marker={"size": 7, "symbol": "circle" if now else "diamond"},
            hovertemplate=t("lab.reach_hover"),
        )
    shares = np.concatenate([np.array(one.relative) for _, one in named])
    seen = shares[np.isfinite(shares) & (shares > LEAST_SHARE)]
    low, high = min(VANISHED / 10, *seen), max(EXPLODED * 10, *seen)
    for level, words in ((VANISHED, "lab.reach_vanished"), (EXPLODED, "lab.reach_exploded")):
        drawn.add_hline(y=level, line={"color": GREY, "width": 1.4, "dash": "dot"})
        drawn.add_annotation(
            x=0,
            xref="x domain",
            xanchor="left",
            y=np.log10(level),
            yanchor="bottom" if level > 1 else "top",
            text=t(words),
            showarrow=False,
            font={"size": 12},
        )
    longest = max(one.lags[-1] for _, one in named)
    ticks = [2**power for power in range(0, longest.bit_length(), 1 + longest.bit_length() // 10)]
    drawn.update_xaxes(
        type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks], title_text=t("lab.reach_axis_x")
    )
    drawn.update_yaxes(
        type="log",
        exponentformat="e",
        dtick=1 if np.log10(high / low) < 12 else 3,
        range=np.log10([low, high]).tolist(),
        title_text=t("lab.reach_axis_y"),
    )
    drawn.update_layout(template=template(dark), height=380, hovermode="closest", showlegend=True, uirevision=key)
    return drawn


def reach_table(named: Named) -> pd.DataFrame:
    """Every norm, one row per line and lag: of the whole state, relative to the shortest lag, and of each layer."""
    rows = []
    for name, one in named:
        for place, lag in enumerate(one.lags):
            row = {"line": name, "lag": lag, "norm": one.norms[place], "relative": one.relative[place]}
            rows.append(row | {f"layer_{layer}": norms[place] for layer, norms in enumerate(one.layers)})
    return pd.DataFrame(rows)
