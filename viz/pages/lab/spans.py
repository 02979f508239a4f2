"""The picked spans before and after training: the novelty of their states and the excess loss of the long memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from model.training.trial import Figures, Pick, Trial, TrialResult
from viz.app.choices import Choices
from viz.app.language import t
from viz.app.theme import BLUE, GREY, VERMILLION, is_dark, template
from viz.ui.chart import chart
from viz.ui.curves import ink, translucent
from viz.ui.spans import drop, picked, span_words


def note(chosen: Choices) -> tuple[Pick, ...]:
    """Say which spans are picked, or where to pick some; returns them."""
    picks = picked(chosen)
    if not picks:
        st.caption(t("ui.spans.invitation"))
        return ()
    with st.container(border=True, key="lab-spans"):
        with st.container(horizontal=True, vertical_alignment="center"):
            spans = ", ".join(span_words(pick.first, pick.last) for pick in picks)
            st.markdown(t("ui.spans.picked", count=len(picks), spans=spans), width="stretch")
            st.button(t("ui.spans.drop"), key="lab_drop_spans", icon=":material/close:", on_click=drop)
        if chosen.document.startswith("upload:"):
            st.warning(t("ui.spans.confidential"), icon=":material/lock_open:")
    return picks


def render(result: TrialResult, plain: TrialResult | None) -> None:
    """Draw before and after at the picks of ``result``, beside ``plain`` fine-tuning if it was run; else nothing."""
    before, after = result.picked_before, result.picked_after
    if before is None or after is None:
        return
    control = None if plain is None or plain.trial.key == result.trial.key else plain.picked_after
    numbers = means(before, after)
    rest = {f"rest_{name}": value for name, value in rests(before, after).items()}
    known = all(math.isfinite(value) for value in rest.values())
    st.markdown(t("ui.spans.finding", **numbers, **rest) if known else t("ui.spans.finding_alone", **numbers))
    chart(
        figure(result.trial, before, after, control, dark=is_dark()),
        key="lab_spans_chart",
        title=t("ui.spans.result_title"),
        explanation=t("ui.spans.result_explanation"),
        alt=t("ui.spans.result_alt", count=len(result.trial.picks), **numbers),
        data=table(result.trial, before, after, control),
    )
    number = st.column_config.NumberColumn
    rows = shown(result.trial, before, after, control)
    st.dataframe(
        rows,
        hide_index=True,
        column_config={name: number(format="%.2f") for name in rows.columns[1:]},
    )


def means(before: Figures, after: Figures) -> dict[str, float]:
    """Means over the picked spans, each counted once."""
    return {
        "novelty_before": float(np.mean(before.novelty[:-1])),
        "novelty_after": float(np.mean(after.novelty[:-1])),
        "excess_before": float(np.mean(before.excess[:-1])),
        "excess_after": float(np.mean(after.excess[:-1])),
    }


def rests(before: Figures, after: Figures) -> dict[str, float]:
    """The same figures of the rest of the document."""
    return {
        "novelty_before": before.novelty[-1],
        "novelty_after": after.novelty[-1],
        "excess_before": before.excess[-1],
        "excess_after": after.excess[-1],
    }


def places(trial: Trial) -> list[str]:
    """What the rows of :class:`~model.training.trial.Figures` are called."""
    return [*(span_words(pick.first, pick.last) for pick in trial.picks), t("ui.spans.rest")]


def figure(trial: Trial, before: Figures, after: Figures, control: Figures | None, *, dark: bool) -> go.Figure:
    """Novelty and excess loss of each span and of the rest: hollow before, filled after, diamond control."""
    drawn = make_subplots(rows=1, cols=2, horizontal_spacing=0.12)
    names = places(trial)
    series: list[tuple[str, Figures, dict[str, object]]] = [
        (t("ui.spans.before"), before, {"symbol": "circle-open", "color": ink(dark), "size": 11, "line": {"width": 2}})
    ]
    if control is not None:
        series.append((t("ui.spans.control"), control, {"symbol": "diamond", "color": BLUE, "size": 9}))
    series.append((t("ui.spans.after"), after, {"symbol": "circle", "color": VERMILLION, "size": 11}))
    for column, pair in enumerate(((before.novelty, after.novelty), (before.excess, after.excess)), start=1):
        x: list[str | None] = []
        y: list[float | None] = []
        for name, had, has in zip(names, *pair, strict=True):
            x += [name, name, None]
            y += [had, has, None]
        line = {"color": translucent(GREY, 0.6), "width": 2}
        drawn.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False, row=1, col=column)
    for name, figures, marker in series:
        for column, values in ((1, figures.novelty), (2, figures.excess)):
            drawn.add_scatter(
                x=names,
                y=np.round(values, 4),
                name=name,
                mode="markers",
                marker=marker,
                legendgroup=name,
                showlegend=column == 1,
                hovertemplate=t("ui.spans.hover"),
                row=1,
                col=column,
            )
    for column, limit in ((1, 1.0), (2, 0.0)):
        drawn.add_hline(limit, line={"color": GREY, "width": 1.2, "dash": "dash"}, row=1, col=column)
    drawn.update_yaxes(title_text=t("state_map.novelty"), rangemode="tozero", row=1, col=1)
    drawn.update_yaxes(title_text=t("ui.spans.axis_excess"), row=1, col=2)
    drawn.update_xaxes(type="category")
    drawn.update_layout(template=template(dark), height=380, hovermode="closest", uirevision=trial.key)
    return drawn


def table(trial: Trial, before: Figures, after: Figures, control: Figures | None) -> pd.DataFrame:
    """Every number, one row per span and one for the rest of the document, whose tokens are not given."""
    columns: dict[str, Sequence[object]] = {
        "from_token": [*(pick.first for pick in trial.picks), None],
        "to_token": [*(pick.last for pick in trial.picks), None],
    }
    for name, figures in (("before", before), ("after", after), ("plain_fine_tuning", control)):
        if figures is not None:
            columns |= {
                f"novelty_{name}": figures.novelty,
                f"loss_{name}": figures.loss,
                f"fresh_state_{name}": figures.control,
                f"excess_{name}": figures.excess,
            }
    return pd.DataFrame(columns)


def shown(trial: Trial, before: Figures, after: Figures, control: Figures | None) -> pd.DataFrame:
    """What the page shows of it: novelty, loss and excess loss, each before, after and with plain fine-tuning."""
    columns: dict[str, Sequence[object]] = {t("ui.spans.column_tokens"): places(trial)}
    for what, values in (
        ("novelty", attrgetter("novelty")),
        ("loss", attrgetter("loss")),
        ("excess", attrgetter("excess")),
    ):
        for name, figures in (("before", before), ("after", after), ("control", control)):
            if figures is not None:
                columns[f"{t(f'ui.spans.column_{what}')} · {t(f'ui.spans.{name}')}"] = values(figures)
    return pd.DataFrame(columns)
