"""The passage that is marked in the shown recording: tokens in the link under ``mark``, as ``120-180``.

Both ends are in it and counted from 1, as people count. Another page has a link of its own, so the session remembers
the passage from page to page.
"""

from __future__ import annotations

import re

import streamlit as st

from model.recording.reader import Recording
from model.studies.passage.result import Passage
from viz.app.workspace import STATE_PREFIX

KEY = "mark"
_KEPT = STATE_PREFIX + "mark"
_WORDS = re.compile(r"([1-9][0-9]{0,10})-([1-9][0-9]{0,10})")


def mark_of(recording: Recording) -> Passage | None:
    """The marked passage of ``recording``; None if none is, or the link's is not within it."""
    of, kept = st.session_state.get(_KEPT, ("", None))
    if KEY not in st.query_params and of == recording.key:
        choose_mark(kept)
    match = _WORDS.fullmatch(st.query_params.get(KEY, ""))
    if match is None:
        return None
    passage = Passage(start=int(match[1]) - 1, stop=int(match[2]))
    if not passage.start < passage.stop <= recording.read_tokens:
        return None
    st.session_state[_KEPT] = recording.key, passage
    return passage


def choose_mark(passage: Passage | None) -> None:
    """Mark ``passage`` from now on; None marks nothing."""
    if passage is None:
        st.query_params.pop(KEY, None)
        st.session_state.pop(_KEPT, None)
    else:
        st.query_params[KEY] = f"{passage.start + 1}-{passage.stop}"
