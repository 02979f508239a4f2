"""What frames a page: its title and question, the choice of the recording, the sidebar, notices."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from viz.app import presentation, shortcuts, shown, tour, undo
from viz.app.choices import choices
from viz.app.language import t
from viz.app.navigation import PAGES
from viz.app.sidebar import sidebar
from viz.jobs import reading
from viz.ui.terms import with_terms


def draw(name: str, run: Callable[[], None]) -> None:
    """Draw the page ``name``, whose own part ``run`` draws."""
    page = PAGES[name]
    tour.open_on_first_visit()  # before the address gets what is shown
    reading.show()
    undo.show(name)
    left, right = st.columns([3, 2], vertical_alignment="center") if page.recording else (st.container(), st.empty())
    with left:
        st.title(t(f"{name}.page.title"), anchor=False)
        with_terms(t(f"{name}.page.help"), key="question", small=True)
    with right:
        entry = shown.choose(draw=page.recording)
    with st.sidebar:
        if page.recording or page.settings:
            sidebar(computes=page.settings)
        _help(name)
    tour.show()
    if page.recording and entry is not None:
        shown.show_difference(entry, choices())
    run()


def _help(name: str) -> None:
    """The buttons at the end of the sidebar: the presentation, the tour, the keys."""
    with st.container(gap="xxsmall", key="help_buttons"):
        if _button("present", ":material/slideshow:", shortcuts.PRESENT):
            presentation.start(name)
        if _button("tour", ":material/explore:", shortcuts.TOUR):
            tour.start()
        if _button("help", ":material/keyboard:", shortcuts.HELP):
            shortcuts.show()


def _button(name: str, icon: str, shortcut: str) -> bool:
    return st.button(t(f"app.help.{name}"), key=f"open_{name}", type="tertiary", icon=icon, shortcut=shortcut)
