"""The language of the session: every sentence on the screen comes through :func:`t`."""

from __future__ import annotations

import re

import streamlit as st

from model.errors import UserError
from model.messages import LANGUAGES, message
from viz.app.links import publish, restore

LANGUAGE_NAMES = {"en": "English", "ja": "日本語"}


def browser_language() -> str:
    """The language that the browser asks for, else English."""
    return "ja" if (st.context.locale or "en").lower().startswith("ja") else "en"


def language() -> str:
    """The chosen language, else the browser's, else English."""
    chosen = st.session_state.get("lang")
    return chosen if chosen in LANGUAGES else browser_language()


def restore_language() -> None:
    """Take the language from the link; this comes before any text."""
    restore("lang", LANGUAGES, browser_language())


def language_switch() -> None:
    """The switch itself; it must be drawn before any other text."""
    restore_language()
    st.segmented_control(
        "言語 / Language",
        LANGUAGES,
        format_func=LANGUAGE_NAMES.__getitem__,
        key="lang",
        persist_state="session",
        required=True,
        label_visibility="collapsed",
        width="stretch",
    )
    publish("lang", language(), browser_language())


def t(key: str, **values: object) -> str:
    """The message ``key`` in the session's language."""
    return message(key, language(), **values)


def plain(text: str) -> str:
    """``text`` so that Markdown shows it as it is.

    Titles and file names are untrusted: an image link in one must not make the browser fetch it.
    """
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~$:^-])", r"\\\1", " ".join(text.split()))


def show_error(error: UserError) -> None:
    """What went wrong and what to do, in one sentence and without a traceback."""
    st.error(plain(error.sentence(language())), icon=":material/error:")
