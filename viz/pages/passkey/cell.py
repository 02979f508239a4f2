"""One cell in detail: the answers, the probability of each symbol, and the state norms over the prompt."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model.errors import UserError
from model.studies.passkey import PasskeyResult
from viz.app.language import plain, show_error, t
from viz.app.theme import is_dark
from viz.pages.passkey import cell_figures as figures
from viz.pages.passkey import cell_job as passkey_cells
from viz.pages.passkey.cell_job import LOOK, Cell
from viz.ui.chart import chart


def render(
    results: Sequence[PasskeyResult], titles: Sequence[str], cell: Cell, trial: int, texts: Sequence[str]
) -> None:
    """Draw the answers of all trials of ``cell`` and the norms of one ``trial``, or the button that computes them."""
    passkey_cells.collect()
    LOOK.show_progress(t("passkey.cell.running"))
    LOOK.show_failure()
    examined = [passkey_cells.found(result, cell) for result in results]
    if None in examined:
        tokens = sum(cell[0] * result.task.trials for result, known in zip(results, examined, strict=True) if not known)
        with st.container(horizontal=True, vertical_alignment="center"):
            clicked = st.button(
                t("passkey.cell.look"),
                key="pk_look",
                icon=":material/search:",
                disabled=LOOK.active,
            )
            st.caption(t("passkey.cell.cost", tokens=tokens))
        if clicked:
            try:
                passkey_cells.start(results, cell, texts)
            except UserError as error:
                show_error(error)
            else:
                st.rerun()
    known = [(title, explained) for title, explained in zip(titles, examined, strict=True) if explained is not None]
    if not known:
        return
    if not all(passkey_cells.same_weights(result.reader) for result in results):
        st.caption(t("passkey.cell.other_weights"))
    counted = "; ".join(
        t("passkey.cell.right", who=title, right=sum(explained.correct), trials=len(explained.keys))
        for title, explained in known
    )
    st.markdown(plain(counted))
    dark = is_dark()
    chart(
        figures.digits(known, dark=dark),
        key="passkey_digits",
        title=t("passkey.cell.digits_title"),
        explanation=t("passkey.cell.digits_explanation", most=figures.ROWS),
        alt=t("passkey.cell.digits_alt", counts=counted),
        data=figures.digits_table(known),
    )
    ends = ", ".join(f"{title} {figures.total(explained, trial)[-1]:.1f}" for title, explained in known)
    chart(
        figures.norms(known, trial, dark=dark),
        key="passkey_norms",
        title=t("passkey.cell.norms_title", trial=trial + 1),
        explanation=t("passkey.cell.norms_explanation"),
        alt=t("passkey.cell.norms_alt", ends=ends),
        data=figures.norms_table(known, trial),
    )
