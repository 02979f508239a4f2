"""Length extension (LongSSM): the loss in ever longer windows, and the argument of the paper on its smallest case."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from model.studies.evidence import Estimate, EvidenceResult
from model.studies.evidence.findings import extension_curve, monotone
from model.studies.evidence.run import EXTENDED
from model.studies.extension import MULTIPLES, Toy, toy
from model.studies.extension.toy import DEGREE, LONGEST, TRAINED
from viz.app.language import t
from viz.app.theme import BLUE, COLOURS, GREY, VERMILLION, is_dark, template
from viz.pages.evidence.figures import estimates_table, interval_line
from viz.ui.chart import chart
from viz.ui.curves import ink
from viz.ui.fold import fold

FROM_ZERO = ("base", "zeros", "delta")
"""Roles whose training began every sequence with the zero state; the others began from states of earlier ones."""

Curves = list[tuple[str, str, list[tuple[int, Estimate]]]]


def render(result: EvidenceResult) -> None:
    """Draw what was measured, and folded the argument; a sentence where nothing was."""
    found = curves(result)
    if not found:
        st.info(t("evidence.extension_nothing"), icon=":material/straighten:")
        return
    counts = [(name, *monotone(result, role)) for role, name, _ in found]
    _, _, base = found[0]
    st.markdown(
        t(
            "evidence.extension_finding",
            times=base[-1][0],
            changes="; ".join(
                t("evidence.extension_change", name=name, change=curve[-1][1].mean) for _, name, curve in found
            ),
        )
    )
    ends = ", ".join(f"{name} {curve[-1][1].mean:+.2f}" for _, name, curve in found)
    chart(
        figure(found, dark=is_dark()),
        key="evidence_extension",
        title=t("evidence.extension_title"),
        explanation=t("evidence.extension_explanation"),
        alt=t("evidence.extension_alt", numbers=ends),
        data=estimates_table(
            [(name, f"loss_at_{multiple}T", value) for _, name, curve in found for multiple, value in curve]
        ),
    )
    said = "; ".join(t("evidence.extension_one", name=name, monotone=few, documents=of) for name, few, of in counts)
    st.caption(t("evidence.extension_monotone", numbers=said))
    with fold(t("evidence.toy_fold"), key="ev_toy", icon=":material/science:") as opened:
        if opened:
            _toy()


def curves(result: EvidenceResult) -> Curves:
    """Role, name and curve of every model that was measured."""
    names = {"base": t("evidence.who_base"), "delta": t("evidence.who_delta")}
    names |= {role: t(f"interventions.{role}_title") for role in EXTENDED if role not in names}
    found = [(role, names[role], extension_curve(result, role)) for role in EXTENDED]
    return [(role, name, curve) for role, name, curve in found if curve]


def figure(found: Curves, *, dark: bool) -> go.Figure:
    """The rise of the loss over that at one training length: dashed where training began from the zero state."""
    drawn = go.Figure()
    for place, (role, name, curve) in enumerate(found):
        colour = COLOURS[place] if place < len(COLOURS) else ink(dark)
        x = [multiple for multiple, _ in curve]
        dash = "dash" if role in FROM_ZERO else "solid"
        interval_line(drawn, x, [value for _, value in curve], name, place, colour=colour, dash=dash, digits="+.3f")
    drawn.add_hline(y=0, line={"color": GREY, "width": 1.2})
    drawn.update_xaxes(type="log", tickvals=MULTIPLES, ticktext=[f"{multiple:g}" for multiple in MULTIPLES])
    drawn.update_xaxes(title_text=t("evidence.extension_axis_x"))
    drawn.update_yaxes(title_text=t("evidence.extension_axis_y"), tickformat="+.1f")
    drawn.update_layout(template=template(dark), height=420, hovermode="closest", showlegend=True, margin={"t": 90})
    return drawn


def _toy() -> None:
    found = toy()
    numbers = {name: found.error(name, beyond=True) for name in ("zero", "carried")}
    within = found.error("zero", beyond=False)
    st.markdown(t("evidence.toy_words", degree=DEGREE, longest=LONGEST, within=within, **numbers))
    thin = slice(None, None, TRAINED // 16)
    chart(
        toy_figure(found, dark=is_dark()),
        key="evidence_toy",
        title=t("evidence.toy_title"),
        explanation=t("evidence.toy_explanation", degree=DEGREE, longest=LONGEST),
        alt=t("evidence.toy_alt", **numbers),
        data=pd.DataFrame(
            {
                "age_in_training_lengths": found.ages[thin],
                "target": found.target[thin],
                "fit_zero_state": found.zero[thin],
                "fit_carried_states": found.carried[thin],
            }
        ),
    )


def toy_figure(found: Toy, *, dark: bool) -> go.Figure:
    """The weight of an input by its age: what is to be learnt, and the two fits."""
    drawn = go.Figure()
    thin = slice(None, None, TRAINED // 16)
    lines = (
        (t("evidence.toy_target"), found.target, ink(dark), "dot"),
        (t("evidence.toy_zero"), found.zero, VERMILLION, "dash"),
        (t("evidence.toy_carried"), found.carried, BLUE, "solid"),
    )
    for name, values, colour, dash in lines:
        drawn.add_scatter(
            x=found.ages[thin].round(4),
            y=np.round(values[thin], 4),
            name=name,
            mode="lines",
            line={"color": colour, "dash": dash, "width": 2.5},
            hovertemplate="%{x:.2f} ×: %{y:.3f}<extra>%{fullData.name}</extra>",
        )
    drawn.add_vline(
        x=1,
        line={"color": GREY, "width": 1.6, "dash": "dash"},
        annotation={"text": t("figures.train_length"), "font": {"size": 11}},
    )
    drawn.update_xaxes(title_text=t("evidence.toy_axis_x"), range=[0, LONGEST])
    drawn.update_yaxes(title_text=t("evidence.toy_axis_y"))
    drawn.update_layout(template=template(dark), height=380, hovermode="closest", showlegend=True, margin={"t": 70})
    return drawn
