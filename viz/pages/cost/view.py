"""What does reading cost with this model, and what with a Transformer of the same size?

Both are measured on this machine (see :mod:`model.studies.cost`); longer documents are extrapolated, and said to be.
"""

from __future__ import annotations

import streamlit as st

from model.errors import UserError
from model.machine import cores
from model.studies.cost import CostResult, Prices, begin, default_prices
from model.studies.cost.fit import BEYOND
from model.studies.cost.report import (
    QUANTITIES,
    Cost,
    cost_at,
    crossing_words,
    digits,
    duration,
    finding,
    fit_words,
    said,
    size,
    sizes_words,
)
from model.studies.cost.result import PLAIN, READERS, TRANSFORMER
from viz.app.choices import Choices
from viz.app.language import language, plain, show_error, t
from viz.app.theme import is_dark
from viz.jobs import progress
from viz.pages.cost import figures
from viz.pages.cost.job import COST, known_results, result_of, start
from viz.ui.chart import chart

LIVE = 2.0
"""Seconds between two drawings of charts that are being filled."""
BUDGETS = (15, 30, 60, 120, 300, 600)
"""Seconds of a measurement that can be chosen."""
MOST = 10**10


def render(chosen: Choices) -> None:
    """Draw the page for the model and the device of the sidebar."""
    COST.collect()
    active = COST.active
    begun = begin(chosen.model, chosen.options.device)
    known = result_of(begun.task, known_results())
    length, prices, seconds = _controls(begun.task.device)
    try:
        prices.check()
    except UserError as error:
        show_error(error)
        return
    _run(known or begun, seconds, active)
    COST.show_progress(t("cost.running"))
    live = st.fragment(_results, run_every=LIVE if active else None)
    live(begun, length, prices, active)


def _controls(device: str) -> tuple[int, Prices, int]:
    """The length to say it for, money and power of this machine, and the seconds to measure."""
    default = default_prices(device, cores())
    with st.container(border=True, key="cost-settings"), st.container(horizontal=True, vertical_alignment="bottom"):
        length = st.number_input(
            t("cost.which_length"), 1, MOST, 1_000_000, key="cs_length", bind="query-params", format="%d"
        )
        hour = st.number_input(
            t("cost.which_price"),
            0.0,
            1e5,
            default.hour,
            key="cs_price",
            bind="query-params",
            format="%.3f",
            help=t("cost.which_price_help"),
        )
        low = st.number_input(
            t("cost.which_low"),
            0.0,
            1e5,
            default.low,
            key="cs_low",
            bind="query-params",
            format="%.0f",
            help=t("cost.which_watts_help"),
        )
        high = st.number_input(
            t("cost.which_high"), 0.0, 1e5, default.high, key="cs_high", bind="query-params", format="%.0f"
        )
        seconds = st.select_slider(
            t("cost.which_budget"),
            BUDGETS,
            value=60,
            format_func=progress.duration,
            key="cs_budget",
            bind="query-params",
            help=t("cost.which_budget_help"),
        )
    return int(length), Prices(hour=hour, low=low, high=high), seconds


def _run(begun: CostResult, seconds: float, active: bool) -> None:
    """The button, and beside it what was measured."""
    done = begun.complete and begun.budget >= seconds
    label = "run_done" if done else "run_more" if begun.points else "run"
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t(f"cost.{label}"),
            key="cs_run",
            type="primary",
            icon=":material/check:" if done else ":material/play_arrow:",
            disabled=active or done,
        )
        st.caption(t("cost.estimate", time=progress.duration(seconds), machine=plain(begun.task.machine)))
    if clicked:
        try:
            start(begun, seconds)
        except UserError as error:
            show_error(error)
        else:
            st.rerun()
    COST.show_failure()


def _results(begun: CostResult, length: int, prices: Prices, active: bool) -> None:
    """What is known; while it is measured, this is drawn anew every other second."""
    result = result_of(begun.task, known_results())
    if result is None or result.sizes is None:
        if not active:
            st.info(t("cost.nothing_yet"), icon=":material/payments:")
        return
    locale = language()
    with st.container(border=True, key="cost-finding"):
        st.header(finding(result, length, prices, locale), anchor=False)
        st.markdown("\n".join(f"- {crossing_words(name, result.crossing(name), locale)}" for name in QUANTITIES))
    _metrics(result, length, prices)
    _charts(result, length)
    st.dataframe(
        figures.lengths_table(result, length, prices), hide_index=True, key="cost_table", alt=t("cost.table_alt")
    )
    st.caption(sizes_words(result.sizes, locale))
    st.caption(t("cost.overhead"))
    st.caption(" ".join(words for reader in READERS if (words := fit_words(result, reader, locale))))
    st.caption(t("cost.assumptions", hour=prices.hour, low=prices.low, high=prices.high))


def _metrics(result: CostResult, length: int, prices: Prices) -> None:
    """Time, memory, energy and money of both at the chosen length."""
    locale = language()
    both = [cost_at(result, reader, length, prices) for reader in (PLAIN, TRANSFORMER)]
    rows: dict[str, list[tuple[str, str] | None]] = {
        "time": [(duration(cost.seconds.value, locale), cost.seconds.kind) if cost.seconds else None for cost in both],
        "step": [(duration(cost.step.value, locale), cost.step.kind) if cost.step else None for cost in both],
        "memory": [(size(cost.memory.value), cost.memory.kind) for cost in both],
        "energy": [_from_time(cost, figures.energy_words(cost.energy) if cost.energy else "") for cost in both],
        "money": [_from_time(cost, digits(cost.money) if cost.money is not None else "") for cost in both],
    }
    grid = st.grid(len(rows), min_column_width=150)
    for name, (ours, theirs) in rows.items():
        with grid.container(border=True, height="stretch"):
            st.metric(t(f"cost.metric_{name}"), ours[0] if ours else "–", help=t(f"cost.metric_{name}_help"))
            other = t("cost.metric_other", value=said(*theirs, locale) if theirs else "–")
            st.caption(f"{t('cost.metric_extrapolated')} {other}" if ours and ours[1] == BEYOND else other)


def _from_time(cost: Cost, words: str) -> tuple[str, str] | None:
    """What follows from the time of reading, and whether that was extrapolated."""
    return None if cost.seconds is None else (words, cost.seconds.kind)


def _charts(result: CostResult, length: int) -> None:
    dark, locale = is_dark(), language()
    points = figures.points_table(result)
    cross = {name: crossing_words(name, result.crossing(name), locale) for name in QUANTITIES}
    explained = t("cost.chart_explanation")
    chart(
        figures.time_figure(result, "seconds", length, dark=dark),
        key="cost_time",
        title=t("cost.time_title"),
        explanation=f"{t('cost.time_explanation')}\n\n{explained}",
        alt=f"{t('cost.time_title')}. {cross['seconds']}",
        data=points,
    )
    grid = st.grid(2, min_column_width=340)
    with grid.cell():
        chart(
            figures.memory_figure(result, length, dark=dark),
            key="cost_memory",
            title=t("cost.memory_title"),
            explanation=t("cost.memory_explanation"),
            alt=f"{t('cost.memory_title')}. {cross['memory']}",
            data=points,
        )
    with grid.cell():
        chart(
            figures.time_figure(result, "step", length, dark=dark),
            key="cost_step",
            title=t("cost.step_title"),
            explanation=f"{t('cost.step_explanation')}\n\n{explained}",
            alt=f"{t('cost.step_title')}. {cross['step']}",
            data=points,
        )
