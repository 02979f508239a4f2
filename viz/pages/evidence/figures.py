"""The figures of the evidence: what training leaves of the collapse, what mitigations cost, state norms, capacity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from model.studies.evidence import Estimate, EvidenceResult, Finding, Member
from model.studies.evidence.family import MITIGATED, POST_TRAINED
from model.studies.evidence.findings import (
    MissingError,
    collapse_estimate,
    criterion_met,
    norm_curve,
    recall_estimate,
    series,
)
from model.studies.evidence.result import recalled
from viz.app.language import t
from viz.app.theme import BLUE, COLOURS, DASHES, GREY, VERMILLION, template
from viz.ui.curves import translucent

SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")


def bars(estimates: Sequence[Estimate]) -> dict[str, object]:
    """Plotly's error bars from the intervals of ``estimates``."""
    above = [estimate.high - estimate.mean for estimate in estimates]
    below = [estimate.mean - estimate.low for estimate in estimates]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.5, "width": 5}


def trained_rows(found: Sequence[Finding]) -> list[tuple[str, Finding]]:
    """Title and finding of every mitigation by training that was measured."""
    by_key = {finding.claim.key: finding for finding in found}
    rows = [(t(f"interventions.{role}_title"), by_key[f"left_{role}"]) for role in POST_TRAINED]
    return [(title, finding) for title, finding in rows if finding.estimate is not None]


def remaining_figure(found: Sequence[Finding], *, dark: bool) -> go.Figure:
    """The share of the base's excess loss that remains after each mitigation by training, with what is published."""
    rows = trained_rows(found)
    estimates = [finding.estimate for _, finding in rows if finding.estimate is not None]
    drawn = go.Figure()
    drawn.add_scatter(
        x=[round(estimate.mean, 4) for estimate in estimates],
        y=[title for title, _ in rows],
        error_x=bars(estimates),
        name=t("evidence.here"),
        mode="markers",
        marker={"size": 11, "color": BLUE},
        customdata=[[estimate.low, estimate.high] for estimate in estimates],
        hovertemplate="%{y}: %{x:.1%} (%{customdata[0]:.1%}, %{customdata[1]:.1%})<extra></extra>",
    )
    published = [(title, finding.claim.size) for title, finding in rows if finding.claim.size is not None]
    drawn.add_scatter(
        x=[round((low + high) / 2, 4) for _, (low, high) in published],
        y=[title for title, _ in published],
        error_x={"type": "data", "array": [(high - low) / 2 for _, (low, high) in published], "width": 5},
        name=t("evidence.paper"),
        mode="markers",
        marker={"size": 11, "color": VERMILLION, "symbol": "diamond-open", "line": {"width": 2}},
        hovertemplate="%{y}: %{x:.1%}<extra>%{fullData.name}</extra>",
    )
    drawn.add_vline(x=1, line={"color": GREY, "dash": "dash", "width": 1.5})
    drawn.add_vline(x=0, line={"color": GREY, "width": 1})
    drawn.update_xaxes(tickformat=".0%", title_text=t("evidence.remaining_axis"))
    drawn.update_yaxes(autorange="reversed", type="category")
    drawn.update_layout(template=template(dark), height=140 + 48 * len(rows), hovermode="closest", showlegend=True)
    return drawn


def mitigation_rows(found: Sequence[Finding]) -> list[tuple[str, Estimate, Estimate]]:
    """Title, what is removed and what it costs, of every mitigation that was measured."""
    by_key = {finding.claim.key: finding for finding in found}
    rows = []
    for name in MITIGATED:
        removed, cost = by_key[f"removed_{name}"], by_key[f"cost_{name}"]
        if removed.estimate is not None and cost.estimate is not None:
            rows.append((t(removed.claim.who), removed.estimate, cost.estimate))
    return rows


def mitigations_figure(found: Sequence[Finding], *, dark: bool) -> go.Figure:
    """Excess removed against cost within the training length, a point for each mitigation."""
    drawn = go.Figure()
    for place, (title, removed, cost) in enumerate(mitigation_rows(found)):
        colour = COLOURS[place % len(COLOURS)]
        drawn.add_scatter(
            x=[round(cost.mean, 5)],
            y=[round(removed.mean, 4)],
            error_x={**bars([cost]), "color": translucent(colour, 0.6)},
            error_y={**bars([removed]), "color": translucent(colour, 0.6)},
            name=title,
            mode="markers",
            marker={"size": 12, "color": colour, "symbol": SYMBOLS[place % len(SYMBOLS)]},
            hovertemplate="%{y:.1%} / %{x:+.2%}<extra>%{fullData.name}</extra>",
        )
    drawn.add_hline(y=0, line={"color": GREY, "width": 1})
    drawn.add_vline(x=0, line={"color": GREY, "width": 1})
    drawn.update_xaxes(tickformat="+.1%", title_text=t("evidence.mitigations_axis_cost"))
    drawn.update_yaxes(tickformat=".0%", title_text=t("evidence.mitigations_axis_removed"))
    drawn.update_layout(template=template(dark), height=420, hovermode="closest", showlegend=True, margin={"t": 90})
    return drawn


def state_curves(result: EvidenceResult) -> list[tuple[str, list[tuple[float, Estimate]]]]:
    """Name and curve of the norm, of the base and of every mitigation by training that was measured."""
    roles = [("base", t("evidence.who_base"))] + [(role, t(f"interventions.{role}_title")) for role in POST_TRAINED]
    curves = [(name, norm_curve(result, role)) for role, name in roles if result.member(role) is not None]
    return [(name, curve) for name, curve in curves if curve]


def interval_line(
    drawn: go.Figure,
    x: Sequence[float],
    values: Sequence[Estimate],
    name: str,
    place: int,
    *,
    colour: str,
    dash: str,
    digits: str,
) -> None:
    """Draw ``values`` at ``x`` as a line with marks, its interval behind it; ``place`` chooses the mark."""
    edge = {"x": x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    drawn.add_scatter(y=[round(value.low, 4) for value in values], legendgroup=name, **edge)
    drawn.add_scatter(
        y=[round(value.high, 4) for value in values],
        legendgroup=name,
        fill="tonexty",
        fillcolor=translucent(colour, 0.13),
        **edge,
    )
    drawn.add_scatter(
        x=x,
        y=[round(value.mean, 4) for value in values],
        name=name,
        legendgroup=name,
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2.5},
        marker={"size": 8, "symbol": SYMBOLS[place % len(SYMBOLS)]},
        hovertemplate=f"%{{x:g}} ×: %{{y:{digits}}}<extra>%{{fullData.name}}</extra>",
    )


def states_figure(result: EvidenceResult, *, dark: bool) -> go.Figure:
    """The norm of the states over that at the training length, a line for each model."""
    drawn = go.Figure()
    for place, (name, curve) in enumerate(state_curves(result)):
        colour, spots = COLOURS[place % len(COLOURS)], [spot for spot, _ in curve]
        dash = DASHES[place // len(COLOURS) % len(DASHES)]
        interval_line(drawn, spots, [value for _, value in curve], name, place, colour=colour, dash=dash, digits=".2f")
    drawn.add_hline(y=1, line={"color": GREY, "dash": "dash", "width": 1.2})
    ticks = [0.5, 1, 2, 4, 8, 16, 32, 64]
    drawn.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks])
    drawn.update_xaxes(title_text=t("evidence.states_axis_x"))
    drawn.update_yaxes(title_text=t("evidence.states_axis_y"))
    drawn.update_layout(template=template(dark), height=420, hovermode="closest", showlegend=True, margin={"t": 90})
    return drawn


def recalled_by(result: EvidenceResult, member: Member) -> Estimate | None:
    """The longest recalled length of ``member``; None if its keys were not tested yet."""
    try:
        return recall_estimate(result, member)
    except MissingError:
        return None


def capacity_members(result: EvidenceResult) -> list[Member]:
    """Every model of the capacity series, the base once."""
    both = {member.name: member for axis in ("state_size", "train_length") for member in series(result, axis)}
    return sorted(both.values(), key=lambda member: (member.train_length, member.state_size))


def capacity_figure(result: EvidenceResult, *, dark: bool) -> go.Figure:
    """Collapse (above) and recall (below) over state size (left) and training length (right)."""
    drawn = make_subplots(rows=2, cols=2, shared_xaxes=True, vertical_spacing=0.08, horizontal_spacing=0.1)
    axes = (("state_size", t("evidence.capacity_axis_state")), ("train_length", t("evidence.capacity_axis_length")))
    for column, (axis, title) in enumerate(axes, 1):
        found = series(result, axis)
        for row, of in enumerate((collapse_estimate, recalled_by), 1):
            points = [(member, of(result, member)) for member in found]
            known = [(member, estimate) for member, estimate in points if estimate is not None]
            drawn.add_scatter(
                x=[getattr(member, axis) for member, _ in known],
                y=[round(estimate.mean, 4) for _, estimate in known],
                error_y=bars([estimate for _, estimate in known]),
                mode="lines+markers",
                line={"color": BLUE if row == 1 else VERMILLION, "dash": "solid" if row == 1 else "dash"},
                marker={"size": 10, "symbol": "circle" if row == 1 else "diamond"},
                text=[member.name for member, _ in known],
                hovertemplate="%{text}: %{y:.4g}<extra></extra>",
                showlegend=False,
                row=row,
                col=column,
            )
        values = sorted({getattr(member, axis) for member in found})
        for row in (1, 2):
            drawn.update_xaxes(
                type="log", tickvals=values, ticktext=[f"{value:,}" for value in values], row=row, col=column
            )
        drawn.update_xaxes(title_text=title, row=2, col=column)
        drawn.add_hline(y=1, line={"color": GREY, "dash": "dash", "width": 1.2}, row=1, col=column)
    drawn.update_yaxes(title_text=t("evidence.capacity_axis_ratio"), row=1, col=1)
    drawn.update_yaxes(title_text=t("evidence.capacity_axis_recall"), row=2, col=1)
    ticks = [32 * 2**power for power in range(10)]
    drawn.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{tick:,}" for tick in ticks], row=2)
    drawn.update_layout(template=template(dark), height=520, hovermode="closest")
    return drawn


def estimates_table(rows: Sequence[tuple[str, str, Estimate]]) -> pd.DataFrame:
    """Estimates with their intervals, one row each: name, quantity, numbers."""
    values = [(name, quantity, e.mean, e.low, e.high, e.count) for name, quantity, e in rows]
    return pd.DataFrame(values, columns=["name", "quantity", "mean", "low_95", "high_95", "observations"])


def capacity_table(result: EvidenceResult) -> pd.DataFrame:
    """The models of the capacity series, with their loss ratio and recalled length."""
    rows = []
    for member in capacity_members(result):
        ratio = collapse_estimate(result, member)
        met, count = criterion_met(result, member)
        rows.append(
            {
                t("evidence.capacity_column_model"): member.name,
                t("evidence.capacity_column_state"): f"{member.state_size:,}",
                t("evidence.capacity_column_length"): f"{member.train_length:,}",
                t("evidence.capacity_column_ratio"): spoken(ratio, ".2f"),
                t("evidence.capacity_column_met"): t("evidence.capacity_met", met=met, count=count),
                t("evidence.capacity_column_recall"): spoken_recall(result, member),
            }
        )
    return pd.DataFrame(rows)


def spoken_recall(result: EvidenceResult, member: Member) -> str:
    """The longest recalled length in words, because it may be below or above the tested range."""
    estimate, answers = recalled_by(result, member), result.answers(member)
    if estimate is None:
        return t("evidence.capacity_none")
    longest = recalled(answers)
    if longest is None:
        return t("evidence.capacity_below", length=min(answers))
    if longest == max(answers):
        return t("evidence.capacity_at_least", length=longest)
    return spoken(estimate, ",.0f")


def spoken(estimate: Estimate | None, form: str) -> str:
    """A number with its interval, 1.35 (1.20, 1.50), or that it is not known."""
    if estimate is None or not np.isfinite(estimate.mean):
        return t("evidence.capacity_none")
    return f"{estimate.mean:{form}} ({estimate.low:{form}}, {estimate.high:{form}})"
