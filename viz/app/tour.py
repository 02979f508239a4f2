"""The guided tour: three steps in a dialog on the first visit of a browser, and whenever somebody asks for it.

That it was seen is a file of the workspace, or of the session where no workspace lasts. A link that names a recording
opens that recording at once: its reader wants the result.
"""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from viz.app.language import t
from viz.app.workspace import STATE_PREFIX, workspace

STEPS = ("result", "own", "way")
"""``app.tour.<step>`` is the text of a step, ``app.tour.<step>_title`` its heading."""
ICONS = {"result": ":material/lightbulb:", "own": ":material/upload_file:", "way": ":material/route:"}
SEEN = "tour_seen"
_STEP = STATE_PREFIX + "tour"


def open_on_first_visit() -> None:
    """Open the tour if this browser has not seen it and no link asks for something else."""
    if _STEP in st.session_state:
        return
    st.session_state[_STEP] = None
    seen = workspace().folder / SEEN
    if "recording" not in st.query_params and not seen.exists():
        start()
    with suppress(OSError):  # a data folder that cannot be written shows it once a session
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.touch()


def start() -> None:
    """Open the tour at its first step; a callback may call it."""
    st.session_state[_STEP] = 0


def stop() -> None:
    """Close the tour; a callback may call it."""
    st.session_state[_STEP] = None


def show() -> None:
    """Draw the tour if it is open."""
    if st.session_state.get(_STEP) is None:
        return

    @st.dialog(t("app.tour.title"), on_dismiss=stop, icon=":material/explore:")
    def draw() -> None:
        at = st.session_state[_STEP] or 0
        step, last = STEPS[at], at == len(STEPS) - 1
        st.header(f"{ICONS[step]} {t(f'app.tour.{step}_title')}", anchor=False)
        st.markdown(t(f"app.tour.{step}"))
        st.caption(t("app.tour.place", at=at + 1, of=len(STEPS)))
        with st.container(horizontal=True, horizontal_alignment="right"):
            if not last and st.button(t("app.tour.skip"), key="tour_skip", type="tertiary"):
                stop()
                st.rerun()
            if at and st.button(t("app.tour.back"), key="tour_back", icon=":material/arrow_back:"):
                st.session_state[_STEP] = at - 1
                st.rerun(scope="fragment")
            if st.button(t(f"app.tour.{'done' if last else 'next'}"), key="tour_next", type="primary"):
                if last:
                    stop()
                    st.rerun()
                st.session_state[_STEP] = at + 1
                st.rerun(scope="fragment")

    draw()
