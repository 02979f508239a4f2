"""Keyboard shortcuts of the app. Each is a button's, so that what a key does is always on the screen as well.

All but the arrows need Ctrl or Alt: a single letter would act while somebody dictates or types (WCAG 2.1.4).
"""

from __future__ import annotations

import streamlit as st

from viz.app.language import t

RUN, UNDO = "Ctrl+Enter", "Alt+U"
PRESENT, TOUR, HELP = "Alt+P", "Alt+T", "Alt+H"
NEXT, BACK, LEAVE = "Right", "Left", "Esc"
LISTED = {
    "run": RUN,
    "undo": UNDO,
    "present": PRESENT,
    "tour": TOUR,
    "help": HELP,
    "next": NEXT,
    "back": BACK,
    "leave": LEAVE,
}
"""What is listed, in this order; ``app.shortcuts.<name>`` says what a key does."""
SHOWN = {"Right": "→", "Left": "←"}


def show() -> None:
    """Open the list."""

    @st.dialog(t("app.shortcuts.title"), icon=":material/keyboard:")
    def draw() -> None:
        heads = f"| {t('app.shortcuts.key')} | {t('app.shortcuts.does')} |\n|---|---|"
        rows = [f"| `{SHOWN.get(key, key)}` | {t(f'app.shortcuts.{name}')} |" for name, key in LISTED.items()]
        st.markdown("\n".join([heads, *rows]))
        st.caption(t("app.shortcuts.streamlit"))

    draw()
