"""Which architecture keeps working far beyond its training length, and what does it cost?

The matrix of stored results, the loss of all against position, and what was measured of the selected one.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from model.errors import UserError
from model.studies.architectures import Architecture
from model.studies.architectures.report import COLUMNS, conclusion, head, row
from viz.app import links
from viz.app.language import language, plain, show_error, t
from viz.app.theme import is_dark
from viz.pages.architectures import figures
from viz.pages.architectures.job import MEASUREMENT, known_results, start, unmeasured
from viz.ui.chart import chart

LIVE, MOST, MODEL = 3.0, 8, "ar_model"


def render() -> None:
    """Draw the page."""
    MEASUREMENT.collect()
    active = MEASUREMENT.active
    left = unmeasured(known_results())
    with st.expander(t("architectures.settings"), icon=":material/tune:"):
        names = st.multiselect(t("architectures.which"), left, key="ar_measure")
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
    _one(results, dark)
    names = [one.name for one in results]
    chosen = links.choices(
        "ar_shown", {name: name for name in names}, names[:MOST], t("architectures.shown"), most=MOST
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


def _matrix(results: Sequence[Architecture]) -> None:
    """The matrix; a selected row opens what was measured."""
    names = [one.name for one in results]
    frame = pd.DataFrame([row(one) for one in results])[list(COLUMNS)]
    frame.columns = [head(name, language()) for name in COLUMNS]
    frame.insert(0, head("name", language()), names)

    def select() -> None:
        rows = st.session_state["ar_matrix"].selection.rows
        if rows and rows[0] < len(names):
            st.session_state[MODEL] = names[rows[0]]

    st.dataframe(
        frame.round(2),
        hide_index=True,
        placeholder="—",
        key="ar_matrix",
        on_select=select,
        selection_mode="single-row",
        alt=t("architectures.matrix_alt"),
    )
    st.caption(t("architectures.missing"))


def _one(results: Sequence[Architecture], dark: bool) -> None:
    """Passkeys and gradients of the selected checkpoint."""
    name = links.choice(MODEL, {one.name: one.name for one in results}, t("architectures.which_one"))
    one = next(one for one in results if one.name == name)
    grid = st.grid(2, min_column_width=340)
    if one.passkeys:
        share = [right / of for right, of in one.passkeys.values()]
        titles = t("architectures.axis_length"), t("architectures.axis_accuracy")
        with grid.cell():
            chart(
                figures.line_figure(list(one.passkeys), share, titles, log=False, dark=dark),
                key="architectures_passkey",
                title=t("architectures.passkey_title"),
                explanation=t("architectures.passkey_explanation"),
                alt=", ".join(f"{at}: {right}/{of}" for at, (right, of) in one.passkeys.items()),
            )
    if one.gradients:
        titles = t("architectures.axis_lag"), t("architectures.axis_gradient")
        with grid.cell():
            chart(
                figures.line_figure(one.gradients.lags, one.gradients.norms, titles, log=True, dark=dark),
                key="architectures_gradient",
                title=t("architectures.gradient_title"),
                explanation=t("architectures.gradient_explanation"),
                alt=t(f"architectures.verdict_{one.gradients.verdict}"),
            )
