"""How do the recalled length, and the training length needed to forget, grow with the size of the state?

The capacity series comes from stored evidence (``model.studies.evidence``), other models from stored passkey results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import streamlit as st

from model.checkpoints.catalogue import available
from model.experiment import key_of
from model.studies.capacity import (
    LEAST,
    REPORTED,
    REPORTED_DOUBLING,
    REPORTED_ZERO,
    Forgets,
    Point,
    follows,
    forget_brackets,
    forget_fit,
    forgetting,
    points_of_series,
    points_of_tests,
    recall_fit,
    reported_recall,
)
from model.studies.passkey import PasskeyResult, PasskeyTask
from model.studies.passkey.questions import QUESTIONS
from viz.app import links
from viz.app.language import LANGUAGE_NAMES, language, plain, t
from viz.app.theme import is_dark
from viz.jobs import evidence as evidences
from viz.jobs.passkeys import TEST
from viz.pages.capacity import figures
from viz.ui.chart import chart
from viz.ui.controls import page_link

MOST = 12
"""Tested models that can be drawn at once."""
RECALL_LAW = r"T_{\text{recall}} = 4.756\,(1.365^{N} - 1) - 0.742"
FORGET_LAW = r"T_{\text{forget}} = 5.172\,N - 4.469"


def render() -> None:
    """Draw the page: the series beside the published law, and every model that was tested on one kind of test."""
    measured = next((result for result in evidences.known_results() if result.recalls), None)
    series = points_of_series(measured) if measured is not None else []
    found = forgetting(measured) if measured is not None and len(series) > 1 else []
    if len(series) < 2:
        st.info(t("capacity.no_series"), icon=":material/straighten:")
        page_link("evidence", t("capacity.to_evidence"))
    else:
        with st.container(border=True, key="capacity-finding"):
            st.header(_finding(series), anchor=False)
            st.markdown(t("capacity.law", low=REPORTED[0], high=REPORTED[1]))
            st.latex(RECALL_LAW)
            st.latex(FORGET_LAW)
    chosen = _tested()
    groups = {t("capacity.series"): series, t("capacity.tested"): chosen}
    groups = {name: points for name, points in groups.items() if points}
    if groups:
        _recall(groups)
    if found:
        _forget(found)
    page_link("passkey", t("capacity.to_passkey"))


def _finding(series: Sequence[Point]) -> str:
    """Whether the measured series follows the published T_recall, in a sentence."""
    compared = follows(series)
    values = {
        "low": min(point.state_size for point in series),
        "high": max(point.state_size for point in series),
        "least": min(point.estimate.mean for point in series),
        "most": max(point.estimate.mean for point in series),
        "zero": float(f"{REPORTED_ZERO:.3g}"),
        "count": sum(compared),
        "of": len(compared),
    }
    if all(compared):
        return t("capacity.finding_follows", **values)
    below = all(reported_recall(point.state_size / 1e6) <= 0 for point in series)
    return t("capacity.finding_below" if below else "capacity.finding_differs", **values)


def _tested() -> list[Point]:
    """The chosen models among those that were tested without mitigation on the chosen kind of test."""
    known = [result for result in TEST.stored() if result.reader.plain and result.cells]
    tasks = {key_of(asdict(task)): task for task in dict.fromkeys(_settings(result.task) for result in known)}
    tasks = {key: task for key, task in tasks.items() if _points(task, known)}
    if not tasks:
        return []
    counts = {key: len(_points(task, known)) for key, task in tasks.items()}
    order = sorted(tasks, key=lambda key: (-counts[key], tasks[key].language != language()))
    labels = {key: t("capacity.test", what=_words(tasks[key]), count=counts[key]) for key in order}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        task = tasks[links.choice("cp_test", labels, t("capacity.which_test"), help=t("capacity.which_test_help"))]
        return _chosen(_points(task, known))


def _words(task: PasskeyTask) -> str:
    """Task, filler and language of a test."""
    kind = f"recall.{task.question}_title"
    question = t(kind) if task.question in QUESTIONS else task.question
    return " · ".join([question, t(f"capacity.filler_{task.filler}"), LANGUAGE_NAMES.get(task.language, task.language)])


def _points(task: PasskeyTask, known: Sequence[PasskeyResult]) -> list[Point]:
    """The models that were tested like ``task``, each once."""
    sizes = {name: card.config.state_size for name, card in available().items()}
    tested = [result for result in known if result.reader.model in sizes and _settings(result.task) == task]
    fullest = sorted(tested, key=lambda result: (-len(result.by_length()), -max(result.lengths)))
    return points_of_tests(fullest, sizes)


def _chosen(points: Sequence[Point]) -> list[Point]:
    """Those of ``points`` that the user wants."""
    names = {point.name: f"{point.name} ({point.state_size:,})" for point in points}
    wanted = links.choices(
        "pk_models",
        names,
        list(names)[:MOST],
        t("capacity.models"),
        most=MOST,
        placeholder=t("app.choose"),
        help=t("capacity.models_help"),
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
        title=t("capacity.recall_title"),
        explanation=t("capacity.recall_explanation", least=LEAST),
        alt=t("capacity.recall_alt", numbers=numbers),
        data=figures.recall_table(groups),
    )
    for name, points in groups.items():
        st.caption(f"{plain(name)}: {_doubling(points)}")


def _doubling(points: Sequence[Point]) -> str:
    """Our fit of one group in words, beside the published one."""
    fitted = recall_fit(points)
    if fitted is None:
        sizes = len({point.state_size for point in points})
        return t("capacity.few_sizes", count=sizes, least=LEAST)
    best, low, high = fitted.slope
    if low <= 0:
        return t("capacity.no_growth")
    return t("capacity.doubling", size=1 / best, low=1 / high, high=1 / low, published=REPORTED_DOUBLING / 1e6)


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
        title=t("capacity.forget_title"),
        explanation=t("capacity.forget_explanation", least=LEAST),
        alt=t("capacity.forget_alt", numbers=numbers),
        data=figures.forget_table(found),
    )
    for size, (low, high) in brackets.items():
        st.caption(t("capacity.bracket", size=size, low=low, high=high))
    if fitted is None:
        st.caption(t("capacity.forget_few", count=len(brackets), least=LEAST))
    else:
        best, low_slope, high_slope = fitted.slope
        thousand = 1000.0
        st.caption(
            t(
                "capacity.forget_line",
                slope=thousand * best,
                low=thousand * low_slope,
                high=thousand * high_slope,
            )
        )
