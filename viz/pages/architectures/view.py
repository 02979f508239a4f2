"""Which architecture keeps working far beyond its training length, and what does it cost?

The matrix of stored results, the loss of all against position, and what was measured of the selected one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from model.errors import UserError
from model.studies.architectures import Architecture
from model.studies.architectures.report import (
    COLUMNS,
    TIMES,
    conclusion,
    head,
    row,
    unequal,
    written,
)
from viz.app import links
from viz.app.language import language, plain, show_error, t
from viz.app.theme import is_dark
from viz.pages.architectures import figures
from viz.pages.architectures.evidence import ALL, QUESTIONS, cost, evidence
from viz.pages.architectures.job import MEASUREMENT, known_results, start, unmeasured
from viz.ui.chart import chart

LIVE, MOST, MODEL, QUESTION = 3.0, 8, "ar_model", "ar_question"
FORMATS = {"trained": "compact", "excess": "%+.2f", "state": "%,.0f"} | dict.fromkeys(
    ("onset", "recall", "context"), "%,.0f"
)
"""How the numbers of a column are written; else with two decimals."""
WIDTHS = {"name": 160, "trained": 60, "within": 48, "excess": 56, "context": 60, "state": 46}
WIDTHS |= {"norm": 62, "gradient": 74}
NARROW = 53
"""Pixels of the columns: all of them are in sight on a page 1,280 pixels wide."""


def render() -> None:
    """Draw the page."""
    MEASUREMENT.collect()
    active = MEASUREMENT.active
    left = unmeasured(known_results())
    with st.expander(t("architectures.settings"), icon=":material/tune:"):
        names = st.multiselect(t("architectures.which"), left, key="ar_measure", placeholder=t("app.choose"))
        if st.button(t("architectures.run"), key="ar_run", icon=":material/play_arrow:", disabled=active or not names):
            try:
                start(names)
            except UserError as error:
                show_error(error)
            else:
                st.rerun()
        MEASUREMENT.show_failure()
    MEASUREMENT.show_progress(t("architectures.running"))
    st.fragment(_results, run_every=LIVE if active else None)()


def _results() -> None:
    results, dark = sorted((one for one in known_results() if one.readings), key=_collapse), is_dark()
    if not results:
        st.info(t("architectures.nothing"), icon=":material/account_tree:")
        return
    with st.container(border=True, key="architectures-finding"):
        st.header(plain(conclusion(results, language())), anchor=False)
    _matrix(results)
    names = [one.name for one in results]
    with st.container(border=True, key="architectures-evidence"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = links.choice(MODEL, {name: name for name in names}, t("architectures.which_one"))
            asked = {one: t(f"architectures.question_{one}") for one in (ALL, *dict.fromkeys(QUESTIONS.values()))}
            question = links.choice(QUESTION, asked, t("architectures.which_question"))
        evidence(next(one for one in results if one.name == name), question, results, dark=dark)
    chosen = links.choices(
        "ar_shown",
        {name: name for name in names},
        _telling(results),
        t("architectures.shown"),
        most=MOST,
        placeholder=t("app.choose"),
    )
    for excess in (False, True):
        kind = "excess" if excess else "loss"
        chart(
            figures.position_figure(results, chosen, name, excess=excess, dark=dark),
            key=f"architectures_{kind}",
            title=t(f"architectures.{kind}_title"),
            explanation=t("architectures.position_explanation"),
            alt=conclusion(results, language()),
        )
    if not cost(results, chosen, name, key="architectures_cost", dark=dark):
        st.info(t("architectures.no_speed"), icon=":material/timer:")


def _collapse(result: Architecture) -> float:
    """A key by which the model that collapses most comes first."""
    return -(result.excess or 0.0)


def _telling(results: Sequence[Architecture]) -> list[str]:
    """Which models are highlighted at first: those that collapse most, and of the others those with the lowest loss."""
    worst, others = results[: MOST // 2], results[MOST // 2 :]
    best = sorted(others, key=lambda one: one.mean("beyond") or 0.0)[: MOST - len(worst)]
    return [one.name for one in (*worst, *best)]


def _matrix(results: Sequence[Architecture]) -> None:
    """The matrix; a selected value opens what it was measured from."""
    names = [one.name for one in results]
    frame = pd.DataFrame([row(one) for one in results])[list(COLUMNS)]
    frame["gradient"] = [written(one, "gradient", language()) for one in results]
    frame["excess"] = frame["excess"].round(2) + 0.0  # + 0.0: no "-0.00"
    frame["state"] = frame["state"].astype(float) / 1000
    frame.insert(0, "name", names)
    frame = frame.astype({"trained": "Int64", "onset": "Int64", "recall": "Int64"})
    # An unmeasured column would push the others out of sight.
    frame = frame.drop(columns=[name for name in TIMES if frame[name].isna().all()])
    columns: dict[str, Any] = {}
    for name in frame:
        title, width = t(f"architectures.short_{name}"), WIDTHS.get(name, NARROW)
        said = f"**{head(name, language())}.** {t(f'architectures.help_{name}')}"
        if name in ("name", "gradient"):
            columns[name] = st.column_config.TextColumn(title, help=said, width=width, pinned=name == "name")
        else:
            form = FORMATS.get(name, "%.2f")
            columns[name] = st.column_config.NumberColumn(title, help=said, width=width, format=form)

    def select() -> None:
        cells = st.session_state["ar_matrix"].selection.cells
        if cells and cells[0][0] < len(names):
            st.session_state[MODEL] = names[cells[0][0]]
            st.session_state[QUESTION] = QUESTIONS.get(cells[0][1], ALL)

    st.dataframe(
        frame,
        hide_index=True,
        column_config=columns,
        placeholder="—",
        key="ar_matrix",
        on_select=select,
        selection_mode="single-cell",
        height="content",
        alt=t("architectures.matrix_alt"),
    )
    st.caption(t("architectures.missing"))
    if words := unequal(results, language()):
        st.caption(words)
