"""The figures of a diagnosis: what each strategy removes and costs, and the same in small for many documents."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from model.studies.diagnose import Diagnosis, StrategyResult
from model.studies.evidence import Estimate
from viz.app.language import t
from viz.app.theme import BLUE, GREEN, GREY, VERMILLION, template
from viz.ui.curves import ink, translucent

ROW = 26
"""Pixels of a strategy, whose name has up to two lines."""
WRAPPED = 30
"""Characters of a line of a name: on a phone the names must leave room for the bars."""
WORST_SHARE, WORST_COST = -0.6, 0.4
"""Where the axes end, however bad a strategy is: the number stands in the box and in the table."""
PANEL = 210
COLUMNS = 3

GROUPS = ("recommended", "tied", "helps", "plain", "other", "worse")


def group(result: StrategyResult, found: Diagnosis) -> str:
    """What a strategy is to its diagnosis: one of GROUPS."""
    if result.recording == found.recommended:
        return "recommended"
    if result.plain:
        return "plain"
    if result.behind is None or result.tie:
        return "tied"
    if result.gain is not None and result.gain.high < 0:
        return "worse"
    return "helps" if result.helps else "other"


def colours() -> dict[str, str]:
    """The colour of every group."""
    return {
        "recommended": BLUE,
        "tied": translucent(BLUE, 0.5),
        "helps": translucent(GREEN, 0.6),
        "plain": GREY,
        "other": translucent(GREY, 0.5),
        "worse": translucent(VERMILLION, 0.7),
    }


def shown(result: StrategyResult, shares: bool) -> Estimate | None:
    """What the bar of a strategy is as long as: the share of the excess removed, or the excess itself."""
    return result.removed if shares else result.excess


def has_shares(found: Diagnosis) -> bool:
    """Whether there is an excess to remove, so that strategies have a share of it."""
    return any(result.removed is not None for result in found.strategies)


def figure(found: Diagnosis, names: Sequence[str], *, dark: bool) -> go.Figure:
    """What every strategy removes (left) and costs within the training length (right), the best gain on top."""
    shares = has_shares(found)
    named = zip(found.strategies, map(wrapped, names), strict=True)
    rows = [(result, name) for result, name in named if shown(result, shares) is not None]
    drawn = make_subplots(rows=1, cols=2, shared_yaxes=True, column_widths=[0.64, 0.36], horizontal_spacing=0.05)
    palette = colours()
    for kind in GROUPS:
        chosen = [(result, name) for result, name in rows if group(result, found) == kind]
        if not chosen:
            continue
        lengths = [value for result, _ in chosen if (value := shown(result, shares)) is not None]
        drawn.add_bar(
            x=[value.mean for value in lengths],
            y=[name for _, name in chosen],
            orientation="h",
            error_x=_interval(lengths, ink(dark)),
            marker={"color": palette[kind], "line": {"width": 0}},
            name=t(f"diagnose.group_{kind}"),
            legendgroup=kind,
            customdata=[[value.low, value.high] for value in lengths],
            hovertemplate=t("diagnose.hover_removed" if shares else "diagnose.hover_excess"),
            row=1,
            col=1,
        )
        paid = [(result.cost, name) for result, name in chosen if result.cost is not None]
        drawn.add_scatter(
            x=[cost.mean for cost, _ in paid],
            y=[name for _, name in paid],
            error_x=_interval([cost for cost, _ in paid], translucent(GREY, 0.8)),
            mode="markers",
            marker={"size": 9, "color": palette[kind], "line": {"width": 1, "color": ink(dark)}},
            legendgroup=kind,
            showlegend=False,
            customdata=[[cost.low, cost.high] for cost, _ in paid],
            hovertemplate=t("diagnose.hover_cost"),
            row=1,
            col=2,
        )
    _axes(drawn, [result for result, _ in rows], [name for _, name in rows], shares)
    drawn.update_layout(
        template=template(dark),
        height=110 + ROW * len(rows),
        barmode="overlay",
        bargap=0.25,
        hovermode="closest",
        margin={"t": 46, "l": 8},
        legend={"y": 1.0, "yanchor": "bottom"},
    )
    return drawn


def _interval(estimates: Sequence[Estimate], colour: str) -> dict[str, object]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [estimate.high - estimate.mean for estimate in estimates],
        "arrayminus": [estimate.mean - estimate.low for estimate in estimates],
        "thickness": 1.4,
        "width": 3,
        "color": colour,
    }


def wrapped(name: str) -> str:
    """``name`` on at most two lines of a chart: Latin letters are half as wide as Japanese ones."""
    width = [1 if character.isascii() else 2 for character in name]
    if sum(width) <= WRAPPED:
        return name
    breaks = [place for place, character in enumerate(name) if character in " ・-" and place] or [len(name) // 2]
    middle = min(breaks, key=lambda place: abs(sum(width[:place]) - sum(width) / 2))
    return f"{name[: middle + 1].rstrip()}<br>{name[middle + 1 :].lstrip()}"


def _axes(drawn: go.Figure, results: Sequence[StrategyResult], names: Sequence[str], shares: bool) -> None:
    lengths = [value for result in results if (value := shown(result, shares)) is not None]
    low, high = min((value.low for value in lengths), default=0.0), max((value.high for value in lengths), default=1.0)
    ends = [max(WORST_SHARE, min(-0.02, low)), max(1.02, min(high, 1.2))] if shares else [min(0.0, low), max(0.0, high)]
    drawn.update_xaxes(
        range=ends,
        tickformat=".0%" if shares else "~g",
        nticks=5,
        tickangle=0,
        title_text=t("diagnose.axis_removed" if shares else "diagnose.axis_excess"),
        row=1,
        col=1,
    )
    costs = [result.cost for result in results if result.cost is not None]
    least = min((cost.low for cost in costs), default=-0.01)
    most = max((cost.high for cost in costs), default=0.01)
    drawn.update_xaxes(
        range=[max(-WORST_COST, min(-0.01, least)), min(WORST_COST, max(0.01, most))],
        tickformat="+.0%",
        nticks=4,
        tickangle=0,
        title_text=t("diagnose.axis_cost"),
        row=1,
        col=2,
    )
    drawn.update_yaxes(type="category", categoryorder="array", categoryarray=list(reversed(names)), tickfont_size=11)
    for column in (1, 2):
        drawn.add_vline(x=0, line={"color": GREY, "width": 1.2}, row=1, col=column)


def multiples(found: Sequence[Diagnosis], titles: Sequence[str], texts: dict[str, str], *, dark: bool) -> go.Figure:
    """A small panel for each document: the share of its excess that the same few strategies remove.

    ``texts`` are the names of the strategies, by what is typed for them.
    """
    rows = -(-len(found) // COLUMNS)
    drawn = make_subplots(
        rows=rows,
        cols=min(COLUMNS, len(found)),
        subplot_titles=list(titles),
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=min(0.2, 0.36 / rows),
    )
    palette = colours()
    for place, diagnosis in enumerate(found):
        row, column = place // COLUMNS + 1, place % COLUMNS + 1
        chosen = [result for result in diagnosis.strategies if result.text in texts and result.removed is not None]
        values = [result.removed for result in chosen if result.removed is not None]
        drawn.add_bar(
            x=[value.mean for value in values],
            y=[wrapped(texts[result.text]) for result in chosen],
            orientation="h",
            error_x=_interval(values, ink(dark)),
            marker={"color": [palette[group(result, diagnosis)] for result in chosen]},
            showlegend=False,
            customdata=[[value.low, value.high] for value in values],
            hovertemplate=t("diagnose.hover_removed"),
            row=row,
            col=column,
        )
    every = [result.removed for one in found for result in one.strategies if result.text in texts and result.removed]
    low, high = min((value.low for value in every), default=0.0), max((value.high for value in every), default=1.0)
    drawn.update_xaxes(range=[max(WORST_SHARE, min(0.0, low)), max(1.02, min(high, 1.2))], tickformat=".0%")
    order = [wrapped(name) for name in reversed(texts.values())]
    drawn.update_yaxes(type="category", categoryorder="array", categoryarray=order, tickfont_size=11)
    drawn.update_annotations(font_size=12)
    drawn.update_layout(template=template(dark), height=60 + PANEL * rows, bargap=0.25, margin={"t": 44, "l": 8})
    return drawn
