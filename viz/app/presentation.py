"""The presentation: a few slides in large type without controls, turned with the arrow keys.

``?present=1`` in the address of a page shows its slide, so that every slide has a link. A page has a slide if its row
says so (:mod:`viz.app.navigation`): ``slide.py`` of its folder, whose ``render(recording)`` draws it.
"""

from __future__ import annotations

from importlib import import_module

import streamlit as st

from viz.app import session, shortcuts
from viz.app.language import t
from viz.app.navigation import PAGES, SLIDES

PARAMETER = "present"
_STYLE = """
html { font-size: clamp(16px, 1.4vw, 26px) !important; }
[data-testid="stHeader"], [data-testid="stSidebar"], [data-testid="stExpandSidebarButton"] { display: none !important; }
[data-testid="stMainBlockContainer"] { max-width: 92rem; padding: 1.5rem 3rem 3.5rem; }
.st-key-slide_keys { position: fixed; right: 1.5rem; bottom: 0.5rem; width: auto; z-index: 10; }
@media (max-width: 900px) {
  [data-testid="stMainBlockContainer"] { padding: 1rem 1rem 4rem; }
  .st-key-slide_keys { left: 0; right: 0; bottom: 0; gap: 0.2rem; justify-content: center; }
  .st-key-slide_keys kbd, .st-key-slide_keys [data-testid="stCaptionContainer"] { display: none; }
}
"""


def wanted() -> bool:
    """Whether the address asks for slides."""
    return st.query_params.get(PARAMETER) == "1"


def start(page: str) -> None:
    """Show the slide of ``page``, or the first one if it has none."""
    _turn(page if PAGES[page].slide else SLIDES[0])


def _turn(page: str) -> None:
    st.switch_page(path_of(page), query_params={**_rest(), PARAMETER: "1"})


def _rest() -> dict[str, str]:
    """The address without the wish for slides."""
    return {name: value for name, value in st.query_params.items() if name != PARAMETER}


def path_of(page: str) -> str:
    """The script of ``page``, as Streamlit names pages."""
    return f"viz/pages/{page}/page.py"


def show(page: str) -> None:
    """Draw the slide of ``page`` and the keys below it."""
    if page not in SLIDES:
        _turn(SLIDES[0])
    st.html(f"<style>{_STYLE}</style>")
    with st.container(key="slide"):
        import_module(f"viz.pages.{page}.slide").render(session.current_recording())
    at = SLIDES.index(page)
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center", key="slide_keys"):
        st.caption(t("app.presentation.place", at=at + 1, of=len(SLIDES)), width="content")
        if _key("back", ":material/arrow_back:", shortcuts.BACK, disabled=at == 0):
            _turn(SLIDES[at - 1])
        if _key("next", ":material/arrow_forward:", shortcuts.NEXT, disabled=at == len(SLIDES) - 1):
            _turn(SLIDES[at + 1])
        if _key("leave", ":material/close:", shortcuts.LEAVE):
            st.switch_page(path_of(page), query_params=_rest())


def _key(name: str, icon: str, shortcut: str, *, disabled: bool = False) -> bool:
    return st.button(
        t(f"app.presentation.{name}"),
        key=f"slide_{name}",
        type="tertiary",
        icon=icon,
        shortcut=shortcut,
        disabled=disabled,
    )
