"""The entry point: language, pages, sidebar. Run it with ``streamlit run app.py``.

Streamlit imports this file once, finds ``app`` and serves it; it then runs the same file as the script of every page.
"""

from __future__ import annotations

import logging
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from model.errors import UserError
from model.waiting import wait_by_load
from viz.app import frame, presentation, shown, sign_in, uploads
from viz.app.browser import BrowserCookie
from viz.app.language import language_switch, restore_language, show_error, t
from viz.app.navigation import GROUPS, HOME, PAGES, pages_of
from viz.app.theme import follow_theme, keep_contrast
from viz.jobs import reading
from viz.ui.terms import without_terms

wait_by_load()
ASSETS = Path(__file__).parent / "viz" / "assets"  # a page icon by its name would be fetched from outside


def menu_entry(name: str) -> st.Page:
    """The page of the folder ``name``, as the menu lists it."""
    return st.Page(
        f"viz/pages/{name}/page.py",
        title=t(f"{name}.page.title"),
        icon=PAGES[name].icon,
        url_path=name,
        help=without_terms(t(f"{name}.page.help")),
        default=name == HOME,
    )


def draw() -> None:
    """Draw the page that is open, or its slide."""
    slides = presentation.wanted()
    if slides:
        restore_language()
    else:
        st.logo(str(ASSETS / "logo.svg"), size="large", icon_image=str(ASSETS / "icon.svg"))
        with st.sidebar:
            language_switch()
            sign_in.show()
    st.set_page_config(page_title=t("app.name"), page_icon=str(ASSETS / "icon.svg"), layout="wide")

    sign_in.require()
    uploads.collect()
    reading.collect()
    page = st.navigation(
        {t(f"app.groups.{group}"): [menu_entry(name) for name in pages_of(group)] for group in GROUPS},
        position="hidden" if slides else "top",
    )
    name = page.url_path or HOME
    try:
        if slides:
            shown.choose(draw=False)
            presentation.show(name)
        else:
            frame.draw(name, page.run)
    except UserError as error:
        show_error(error)
    except Exception:
        logging.getLogger(__name__).exception("The page %s failed", name)
        st.error(t("app.unexpected"), icon=":material/error:")
    with st.container() if slides else st.sidebar:
        follow_theme()
        keep_contrast()


if __name__ == "__main__":
    draw()
else:
    app = st.App(__file__, middleware=[Middleware(BrowserCookie)])
