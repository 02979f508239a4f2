"""Details on demand: a folded part of a page, whose content is computed once it is opened; the link holds it open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def fold(title: str, *, key: str, icon: str | None = None, expanded: bool = False) -> Iterator[bool]:
    """A folded part with this ``title``; yields whether it is open, and so whether to draw what is in it."""
    box = st.expander(title, key=key, icon=icon, expanded=expanded, bind="query-params")
    with box:
        yield bool(box.open)
