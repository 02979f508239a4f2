"""The figures of cost: time of reading, memory, and time of a generated token, by length; and the table of lengths."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from model.studies.cost import Crossing, Curve, Prices
from model.studies.cost.report import cost_at, digits, duration, said, size
from model.studies.cost.result import PLAIN, READERS, RECORDED, TRANSFORMER, CostResult
from viz.app.language import language, t
from viz.app.theme import BLUE, GREEN, GREY, VERMILLION, template

LOOKS = {PLAIN: (BLUE, "circle"), RECORDED: (GREEN, "square"), TRANSFORMER: (VERMILLION, "diamond")}
SHORTEST = 256
STEPS = 80
"""Points of a drawn curve."""
SECONDS = (1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 60, 600, 3600, 36_000, 864_000, 8_640_000, 315_576_000, 3_155_760_000)
LENGTHS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
"""Rows of the table."""


def time_figure(result: CostResult, quantity: str, length: int, *, dark: bool) -> go.Figure:
    """The "seconds" of reading or the "step" of one token more, by length: points, fits, their crossing."""
    drawn = go.Figure()
    readers = READERS if quantity == "seconds" else (PLAIN, TRANSFORMER)
    top = _end(result, length)
    for reader in readers:
        points = [(point.length, getattr(point, quantity)) for point in result.of(reader)]
        points = [(at, value) for at, value in points if value is not None]
        if not points:
            continue
        curve = result.curve(reader, quantity)
        if curve is not None:
            _fit(drawn, reader, curve, top)
        colour, symbol = LOOKS[reader]
        drawn.add_scatter(
            x=[at for at, _ in points],
            y=[value for _, value in points],
            name=t(f"cost.reader_{reader}"),
            legendgroup=reader,
            mode="markers",
            marker={"size": 9, "symbol": symbol, "color": colour},
            text=[duration(value, language()) for _, value in points],
            hovertemplate=t("cost.hover_measured"),
        )
    curve = result.curve(PLAIN, quantity)
    if curve is not None:
        _cross(drawn, result.crossing(quantity), curve.fitted)
    ticks = [(tick, duration(tick, language())) for tick in SECONDS]
    title = t("cost.axis_time" if quantity == "seconds" else "cost.axis_step")
    return _laid_out(drawn, title, ticks, length, (SHORTEST, top), dark)


def memory_figure(result: CostResult, length: int, *, dark: bool) -> go.Figure:
    """What both remember, by length: exact at any length, and what was counted in the readings."""
    sizes = result.sizes
    assert sizes is not None
    drawn = go.Figure()
    top = _end(result, length)
    start = SHORTEST if sizes.crossing is None else min(SHORTEST, sizes.crossing / 2)
    for reader in (PLAIN, TRANSFORMER):
        colour, symbol = LOOKS[reader]
        line = np.geomspace(start, top, STEPS)
        drawn.add_scatter(
            x=line,
            y=[sizes.memory(reader, round(at)) for at in line],
            mode="lines",
            line={"color": colour, "width": 2},
            legendgroup=reader,
            showlegend=False,
            hoverinfo="skip",
        )
        points = result.of(reader)
        drawn.add_scatter(
            x=[point.length for point in points],
            y=[point.held for point in points],
            name=t(f"cost.reader_{reader}"),
            legendgroup=reader,
            mode="markers",
            marker={"size": 9, "symbol": symbol, "color": colour},
            text=[size(point.held) for point in points],
            hovertemplate=t("cost.hover_measured"),
        )
    _cross(drawn, result.crossing("memory"), lambda at: float(sizes.memory(PLAIN, round(at))))
    ticks = [(10.0**power, size(10.0**power)) for power in range(3, 16)]
    return _laid_out(drawn, t("cost.axis_memory"), ticks, length, (start, top), dark)


def _end(result: CostResult, length: int) -> float:
    """The end of the axis of lengths."""
    longest = max(point.length for point in result.points)
    return max(2.0 * length, 2.0 * longest)


def _fit(drawn: go.Figure, reader: str, curve: Curve, top: float) -> None:
    """The fit: a line between measured lengths, dashes beyond them."""
    longest = curve.lengths[-1]
    for first, last, dash in ((curve.lengths[0], longest, "solid"), (longest, top, "dash")):
        at = np.geomspace(first, max(first * 1.0001, last), STEPS)
        drawn.add_scatter(
            x=at,
            y=[curve.fitted(place) for place in at],
            mode="lines",
            line={"color": LOOKS[reader][0], "width": 2, "dash": dash},
            legendgroup=reader,
            showlegend=False,
            hoverinfo="skip",
        )


def _cross(drawn: go.Figure, found: Crossing | None, height: Callable[[float], float]) -> None:
    """A star where the two cross."""
    if found is None or not found.length:
        return
    words = said(f"{float(f'{found.length:.2g}'):,.0f}", found.kind, language())
    drawn.add_scatter(
        x=[found.length],
        y=[height(found.length)],
        name=t("cost.crossing_name"),
        mode="markers",
        marker={"size": 16, "symbol": "star-open", "color": GREY, "line": {"width": 2}},
        hovertemplate=t("cost.hover_crossing", length=words),
    )


def _laid_out(
    drawn: go.Figure, title: str, ticks: Sequence[tuple[float, str]], length: int, ends: tuple[float, float], dark: bool
) -> go.Figure:
    drawn.add_vline(x=length, line={"color": GREY, "width": 1.2, "dash": "dot"})
    drawn.update_xaxes(
        type="log",
        dtick=1,
        tickformat="~s",
        range=[math.log10(0.8 * ends[0]), math.log10(1.1 * ends[1])],
        title_text=t("cost.axis_length"),
    )
    drawn.update_yaxes(
        type="log", tickvals=[tick for tick, _ in ticks], ticktext=[words for _, words in ticks], title_text=title
    )
    drawn.update_layout(
        template=template(dark), height=400, showlegend=True, hovermode="closest", margin={"t": 70}, legend={"y": 1.03}
    )
    return drawn


def points_table(result: CostResult) -> pd.DataFrame:
    """Every measured point, one row each."""
    rows = [
        (point.reader, point.length, point.seconds, point.step, point.held, point.repeats)
        for reader in READERS
        for point in result.of(reader)
    ]
    columns = ["reader", "tokens", "seconds", "seconds_per_generated_token", "memory_bytes", "repeats"]
    return pd.DataFrame(rows, columns=columns)


def lengths_table(result: CostResult, length: int, prices: Prices) -> pd.DataFrame:
    """What this model and a Transformer need at a few lengths and at ``length``, in words."""
    locale = language()
    rows = []
    for at in sorted({*LENGTHS, length}):
        for reader in (PLAIN, TRANSFORMER):
            cost = cost_at(result, reader, at, prices)
            seconds, energy = cost.seconds, cost.energy
            rows.append(
                {
                    t("cost.axis_length"): f"{at:,}",
                    t("cost.column_reader"): t(f"cost.reader_{reader}"),
                    t("cost.axis_time"): said(duration(seconds.value, locale), seconds.kind, locale)
                    if seconds
                    else "–",
                    t("cost.axis_memory"): size(cost.memory.value),
                    t("cost.column_energy"): energy_words(energy) if energy else "–",
                    t("cost.column_money"): digits(cost.money) if cost.money is not None else "–",
                }
            )
    return pd.DataFrame(rows)


def energy_words(energy: tuple[float, float]) -> str:
    """A range of watt hours as people read it: 0.2–0.6 Wh, 3–9 kWh."""
    unit, scale = ("kWh", 1000.0) if energy[1] >= 1000 else ("mWh", 0.001) if energy[1] < 0.5 else ("Wh", 1.0)
    low, high = (digits(float(f"{value / scale:.2g}")) for value in energy)  # a rough range
    return f"{low} {unit}" if low == high else f"{low}–{high} {unit}"
