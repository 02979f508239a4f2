"""The figures of the lab: the loss by position before, now and with a fresh state; the training loss; the tables."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from model.diagnostics.collapse import Interval
from model.training.trial import TrialResult, borders, middles
from viz.app.language import t
from viz.app.theme import BLUE, GREY, VERMILLION, template
from viz.ui.curves import ink, mark_training_length, position_axis, translucent

FAINT = 6
"""Earlier curves that stay visible, faintly, to show how the line moved."""


UNKNOWN = Interval(math.nan, math.nan, math.nan, 0)


def figure(result: TrialResult, *, dark: bool) -> go.Figure:
    """Loss by position on the watched document: the base dashed, the current model solid, the fresh state dotted."""
    before, now = result.before, result.now
    assert before is not None and now is not None
    drawn = go.Figure()
    places = middles(result.tokens).round(1)
    step = result.readings[-1][0]
    earlier = result.readings[1:-1]
    for place in np.unique(np.linspace(0, len(earlier) - 1, FAINT).round().astype(int)) if earlier else ():
        drawn.add_scatter(
            x=places,
            y=earlier[place][1].loss.round(4),
            mode="lines",
            line={"color": translucent(VERMILLION, 0.22), "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
        )
    lines = [
        (t("lab.line_floor"), before.control, GREY, "dot", 2.0),
        (t("lab.line_base"), before.loss, ink(dark), "dash", 2.0),
    ]
    if step > 0:
        lines.append((t("lab.line_floor_now"), now.control, BLUE, "dot", 2.0))
        lines.append((t("lab.line_now", step=step), now.loss, VERMILLION, "solid", 3.0))
    for name, values, colour, dash, width in lines:
        drawn.add_scatter(
            x=places,
            y=values.round(4),
            name=name,
            mode="lines",
            line={"color": colour, "dash": dash, "width": width},
            hovertemplate="%{y:.3f}",
        )
    mark_training_length(drawn, result.trial.train_length, result.tokens, dark=dark, log=True)
    drawn.update_xaxes(**position_axis(True, range=np.log10([places[0], result.tokens]).tolist()))
    drawn.update_yaxes(title_text=t("figures.loss"))
    drawn.update_layout(
        template=template(dark),
        height=420,
        hovermode="x unified",
        uirevision=result.trial.key,
        margin={"t": 56},
    )
    return drawn


def training_figure(result: TrialResult, *, dark: bool) -> go.Figure:
    """The loss of the training batches, step by step."""
    drawn = go.Figure()
    steps = [step for step, _ in result.losses]
    drawn.add_scatter(
        x=steps,
        y=np.round([loss for _, loss in result.losses], 4),
        mode="lines",
        line={"color": BLUE, "width": 2},
        hovertemplate=t("lab.training_hover"),
        showlegend=False,
    )
    drawn.update_xaxes(title_text=t("lab.axis_steps"), range=[0, result.trial.config.steps], tickformat=",d")
    drawn.update_yaxes(title_text=t("figures.loss"))
    drawn.update_layout(template=template(dark), height=420, hovermode="closest", uirevision=result.trial.key)
    return drawn


def table(result: TrialResult) -> pd.DataFrame:
    """The loss by position: one row per bin, two columns per reading."""
    edges = borders(result.tokens)
    columns = {"from_token": edges[:-1], "to_token": edges[1:]}
    for step, reading in result.readings:
        columns |= {f"step_{step}": reading.loss, f"step_{step}_fresh_state": reading.control}
    return pd.DataFrame(columns)


def training_table(result: TrialResult) -> pd.DataFrame:
    """The training loss: one row per report."""
    return pd.DataFrame(result.losses, columns=["step", "loss"])


def comparison(results: Sequence[TrialResult], names: Sequence[str]) -> pd.DataFrame:
    """One row per finished run: its change on the document (nats per token), its settings, and its saved name."""
    rows = []
    for result, kept in zip(results, names, strict=True):
        config, before, after = result.trial.config, result.before, result.now
        assert before is not None and after is not None
        (name, share) = config.interventions[0]
        had, has = before.excess or UNKNOWN, after.excess or UNKNOWN
        rows.append(
            {
                t("lab.column_how"): t(f"interventions.{name}_title"),
                t("lab.column_before"): had.mean,
                t("lab.column_after"): has.mean,
                t("lab.column_low"): has.low,
                t("lab.column_high"): has.high,
                t("lab.column_within"): after.within - before.within,
                t("lab.column_share"): share,
                t("lab.column_steps"): config.steps,
                t("lab.column_length"): config.length,
                t("lab.column_rate"): config.learning_rate,
                t("lab.column_clipping"): t(f"training.clipping_{config.clipping}"),
                t("lab.column_truncation"): config.truncation or config.length,
                t("lab.column_kept"): kept,
            }
        )
    return pd.DataFrame(rows)
