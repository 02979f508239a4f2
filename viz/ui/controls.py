"""Choices in the URL that are independent of the language, and clicks that change them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import streamlit as st

from model.messages import LANGUAGES, message
from viz.app.language import language, t
from viz.app.navigation import PAGES


def choice(
    label: str,
    options: Sequence[str],
    *,
    key: str,
    words: Callable[[str, str], str],
    help: str | None = None,
    width: int | Literal["stretch"] = "stretch",
) -> str:
    """A select box bound to the URL; ``words(option, language)`` is what an option is called.

    Streamlit writes the visible name into the URL, so a link made in one language is translated when it is opened.
    """
    wanted = st.query_params.get(key)
    drawn_in = f"{key}_language"
    if key in st.session_state and st.session_state.get(drawn_in) != language():
        st.session_state[key] = st.session_state[key]  # the browser would keep showing the name in the old language
    st.session_state[drawn_in] = language()
    if wanted is not None and key not in st.session_state:
        for option in options:
            if any(words(option, locale) == wanted for locale in LANGUAGES):
                st.session_state[key] = option
                break
    names = {option: words(option, language()) for option in options}
    return st.selectbox(
        label,
        options,
        key=key,
        format_func=names.__getitem__,
        help=help,
        width=width,
        bind="query-params",
    )


def layer_choice(layers: Sequence[int], *, key: str) -> int | None:
    """One of ``layers``, or None for all of them."""

    def words(option: str, locale: str) -> str:
        if option == "all":
            return message("ui.curves.all_layers", locale)
        return message("figures.layer", locale, layer=option)

    chosen = choice(t("ui.curves.which_layer"), ["all", *map(str, layers)], key=key, words=words)
    return None if chosen == "all" else int(chosen)


def newly_clicked(event: Any, seen: str) -> dict[str, Any] | None:
    """The point that was clicked in a chart since the last call with this entry ``seen`` of the session, else None.

    A selection stays in the session until another replaces it, so without the entry an old click would override a
    later choice.
    """
    points = event.selection.points if event is not None else []
    point = dict(points[0]) if points else None
    if point == st.session_state.get(seen):
        return None
    st.session_state[seen] = point
    return point


def open_page(page: str) -> None:
    """Show another page now; a callback may have set widgets before.

    Without parameters given, Streamlit would refuse to clear those that the sidebar's widgets are bound to.
    """
    st.switch_page(f"viz/pages/{page}/page.py", query_params={})


def page_link(page: str, label: str) -> None:
    """A link to another page, if there is one of that name."""
    if page in PAGES:
        st.page_link(f"viz/pages/{page}/page.py", label=label, icon=":material/arrow_forward:")
