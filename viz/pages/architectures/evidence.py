"""What was measured of one checkpoint: its readings, passkeys, effective context and gradients."""

from __future__ import annotations

import streamlit as st

from model.checkpoints.catalogue import available
from model.studies.architectures import Architecture
from model.studies.architectures.report import written
from viz.app.language import language, t
from viz.pages.architectures import figures
from viz.ui.chart import chart
from viz.ui.controls import open_page


def evidence(one: Architecture, *, dark: bool) -> None:
    """Draw the charts of ``one``, in two columns where there is room, and a button that opens its card."""
    grid = st.grid(2, min_column_width=340)
    if one.readings:
        with grid.cell():
            chart(
                figures.reading_figure(one, dark=dark),
                key="architectures_reading",
                title=t("architectures.reading_title"),
                explanation=t("architectures.reading_explanation"),
                alt=f"{t('architectures.column_excess')}: {written(one, 'excess', language())}",
            )
    if one.passkeys:
        shares = {at: right / of for at, (right, of) in one.passkeys.items()}
        alt = ", ".join(f"{at}: {right}/{of}" for at, (right, of) in one.passkeys.items())
        with grid.cell():
            _line(one, "passkey", shares, "share", alt, dark=dark)
    if one.context:
        moved = dict(zip(one.context.kept, one.context.moved, strict=True))
        alt = f"{t('architectures.column_context')}: {written(one, 'context', language())}"
        with grid.cell():
            _line(one, "context", moved, "share", alt, dark=dark)
    if one.gradients:
        norms = dict(zip(one.gradients.lags, one.gradients.norms, strict=True))
        with grid.cell():
            _line(one, "gradient", norms, "log", written(one, "gradient", language()), dark=dark)
    if one.name in available():
        card = st.button(
            t("architectures.card", name=one.name), key="ar_card", icon=":material/arrow_forward:", type="tertiary"
        )
        if card:
            st.session_state["shown"] = one.name
            open_page("models")


def _line(one: Architecture, part: str, values: dict[int, float], scale: str, alt: str, *, dark: bool) -> None:
    """``values`` by tokens, under the title of ``part``."""
    titles = t(f"architectures.{part}_x"), t(f"architectures.{part}_y")
    drawn = figures.line_figure(
        list(values), list(values.values()), titles, scale=scale, mark=one.train_length, dark=dark
    )
    chart(
        drawn,
        key=f"architectures_{part}",
        title=t(f"architectures.{part}_title"),
        explanation=t(f"architectures.{part}_explanation"),
        alt=alt,
    )
