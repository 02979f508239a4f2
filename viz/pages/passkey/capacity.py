"""How do the recalled length, and the training length needed to forget, grow with the size of the state?

The capacity series comes from stored evidence (``model.studies.evidence``), other models from stored passkey results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from model.checkpoints.catalogue import available
from model.studies.capacity import (
    LEAST,
    REPORTED_DOUBLING,
    Forgets,
    Point,
    forget_brackets,
    forget_fit,
    forgetting,
    points_of_series,
    points_of_tests,
    recall_fit,
)
from model.studies.passkey import PasskeyResult, PasskeyTask
from viz.app import links
from viz.app.language import plain, t
from viz.app.theme import is_dark
from viz.jobs import evidence as evidences
from viz.pages.passkey import capacity_figures as figures
from viz.ui.chart import chart

MOST = 12
"""Tested models that can be drawn at once."""


def render(task: PasskeyTask, known: Sequence[PasskeyResult]) -> None:
    """Draw the section: the series, and every model that was tested with the settings of ``task``."""
    measured = next((result for result in evidences.known_results() if result.recalls), None)
    series = points_of_series(measured) if measured is not None else []
    chosen = _chosen(task, known)
    groups = {t("passkey.capacity.series"): series, t("passkey.capacity.tested"): chosen}
    groups = {name: points for name, points in groups.items() if points}
    if len(series) < 2:
        st.info(t("passkey.capacity.no_series"), icon=":material/straighten:")
    if groups:
        _recall(groups)
    if measured is not None and len(series) > 1:
        found = forgetting(measured)
        if found:
            _forget(found)


def _chosen(task: PasskeyTask, known: Sequence[PasskeyResult]) -> list[Point]:
    """The models that the user has chosen of those that were tested without mitigation on ``task``."""
    sizes = {name: card.config.state_size for name, card in available().items()}
    tested = [
        result
        for result in known
        if result.reader.plain
        and result.reader.model in sizes
        and _settings(result.task) == _settings(task)
        and result.cells
    ]
    fullest = sorted(tested, key=lambda result: (-len(result.by_length()), -max(result.lengths)))
    points = points_of_tests(fullest, sizes)
    if not points:
        return []
    names = {point.name: f"{point.name} ({point.state_size:,})" for point in points}
    wanted = links.choices(
        "pk_models",
        names,
        list(names)[:MOST],
        t("passkey.capacity.models"),
        most=MOST,
        help=t("passkey.capacity.models_help"),
    )
    return [point for point in points if point.name in wanted]


def _settings(task: PasskeyTask) -> PasskeyTask:
    """``task`` without its grid: the needle, the query and the filler."""
    return replace(task, lengths=(), depths=(), trials=1, seed=0)


def _recall(groups: Mapping[str, Sequence[Point]]) -> None:
    numbers = "; ".join(
        f"{point.name} ({point.state_size:,}): {point.estimate.mean:,.0f}"
        for points in groups.values()
        for point in points
    )
    chart(
        figures.recall(groups, dark=is_dark()),
        key="capacity_recall",
        title=t("passkey.capacity.recall_title"),
        explanation=t("passkey.capacity.recall_explanation", least=LEAST),
        alt=t("passkey.capacity.recall_alt", numbers=numbers),
        data=figures.recall_table(groups),
    )
    for name, points in groups.items():
        st.caption(f"{plain(name)}: {_doubling(points)}")


def _doubling(points: Sequence[Point]) -> str:
    """Our fit of one group in words, beside the published one."""
    fitted = recall_fit(points)
    if fitted is None:
        sizes = len({point.state_size for point in points})
        return t("passkey.capacity.few_sizes", count=sizes, least=LEAST)
    best, low, high = fitted.slope
    if low <= 0:
        return t("passkey.capacity.no_growth")
    return t("passkey.capacity.doubling", size=1 / best, low=1 / high, high=1 / low, published=REPORTED_DOUBLING / 1e6)


def _forget(found: Sequence[Forgets]) -> None:
    brackets = forget_brackets(found)
    fitted = forget_fit(brackets)
    numbers = "; ".join(
        f"{one.member.name} ({one.member.state_size:,}, {one.member.train_length:,}): {one.ratio.mean:.2f}"
        for one in found
    )
    chart(
        figures.forget(found, fitted, dark=is_dark()),
        key="capacity_forget",
        title=t("passkey.capacity.forget_title"),
        explanation=t("passkey.capacity.forget_explanation", least=LEAST),
        alt=t("passkey.capacity.forget_alt", numbers=numbers),
        data=figures.forget_table(found),
    )
    for size, (low, high) in brackets.items():
        st.caption(t("passkey.capacity.bracket", size=size, low=low, high=high))
    if fitted is None:
        st.caption(t("passkey.capacity.forget_few", count=len(brackets), least=LEAST))
    else:
        best, low_slope, high_slope = fitted.slope
        thousand = 1000.0
        st.caption(
            t(
                "passkey.capacity.forget_line",
                slope=thousand * best,
                low=thousand * low_slope,
                high=thousand * high_slope,
            )
        )
