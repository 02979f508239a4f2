"""Which architecture keeps working far beyond its training length, and what does it cost?

The matrix of stored results, the loss of all against position, and what was measured of the selected one.
"""

from __future__ import annotations

from collections import Counter
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
    crossing_words,
    crossings,
    head,
    row,
    unequal,
    written,
)
from viz.app import links
from viz.app.language import language, plain, show_error, t
from viz.app.theme import is_dark
from viz.pages.architectures import figures
from viz.pages.architectures.evidence import evidence
from viz.pages.architectures.job import MEASUREMENT, known_results, start, unmeasured
from viz.ui.chart import chart

LIVE, MOST, MODEL = 3.0, 8, "ar_model"
FORMATS = {"trained": "compact", "excess": "%+.2f", "state": "%,.1f kB"} | dict.fromkeys(
    ("onset", "recall", "context"), "%,.0f"
)
"""How the numbers of a column are written; else with two decimals."""


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
    results, dark = [one for one in known_results() if one.readings], is_dark()
    if not results:
        st.info(t("architectures.nothing"), icon=":material/account_tree:")
        return
    with st.container(border=True, key="architectures-finding"):
        st.header(plain(conclusion(results, language())), anchor=False)
    _matrix(results)
    name = links.choice(MODEL, {one.name: one.name for one in results}, t("architectures.which_one"))
    evidence(next(one for one in results if one.name == name), dark=dark)
    names = [one.name for one in results]
    chosen = links.choices(
        "ar_shown",
        {name: name for name in names},
        names[:MOST],
        t("architectures.shown"),
        most=MOST,
        placeholder=t("app.choose"),
    )
    for excess in (False, True):
        kind = "excess" if excess else "loss"
        chart(
            figures.position_figure(results, chosen, excess=excess, dark=dark),
            key=f"architectures_{kind}",
            title=t(f"architectures.{kind}_title"),
            explanation=t("architectures.position_explanation"),
            alt=conclusion(results, language()),
        )
    _cost(results, dark)


def _cost(results: Sequence[Architecture], dark: bool) -> None:
    """Cost against length of the models timed on one machine, that with most of them; or how to time them."""
    machines = Counter(one.speed.machine for one in results if one.speed)
    if not machines:
        st.info(t("architectures.no_speed"), icon=":material/timer:")
        return
    machine = machines.most_common(1)[0][0]
    timed = [one for one in results if one.speed and one.speed.machine == machine]
    crossed = [crossing_words(one, language()) for one in crossings(timed)]
    explanation = t("architectures.cost_explanation", machine=machine)
    chart(
        figures.cost_figure(timed, dark=dark),
        key="architectures_cost",
        title=t("architectures.cost_title"),
        explanation=explanation,
        alt="; ".join(crossed) or explanation,
    )
    for words in crossed:
        st.markdown(f"- {plain(words)}")


def _matrix(results: Sequence[Architecture]) -> None:
    """The matrix; a selected row opens what was measured."""
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
        title, said = head(name, language()), t(f"architectures.help_{name}")
        if name in ("name", "gradient"):
            columns[name] = st.column_config.TextColumn(title, help=said, pinned=name == "name")
        else:
            columns[name] = st.column_config.NumberColumn(title, help=said, format=FORMATS.get(name, "%.2f"))

    def select() -> None:
        rows = st.session_state["ar_matrix"].selection.rows
        if rows and rows[0] < len(names):
            st.session_state[MODEL] = names[rows[0]]

    st.dataframe(
        frame,
        hide_index=True,
        column_config=columns,
        placeholder="—",
        key="ar_matrix",
        on_select=select,
        selection_mode="single-row",
        alt=t("architectures.matrix_alt"),
    )
    st.caption(t("architectures.missing"))
    if words := unequal(results, language()):
        st.caption(words)
