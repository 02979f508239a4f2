"""The text of a document, coloured token by token: a custom component that draws only the rows in view.

``src/text_view.ts`` is its source and ``text_view.js`` the build, checked in so that a user needs no node:
``npm install && npm run build`` in this folder makes it anew, and a test compares the digest of the source.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from viz.app.theme import is_dark

FOLDER = Path(__file__).parent
_ALIGNED = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Painted:
    """What is drawn: ``text`` in spans.

    A span begins at the character ``starts`` (n,) and belongs to the token ``tokens`` (n,), both increasing; it has a
    value (n,), NaN for none; the last one ends with the token before ``end``. ``base`` has no colour, ``low`` and
    ``high`` the fullest; ``digits`` are of a number.
    """

    text: str
    starts: np.ndarray
    tokens: np.ndarray
    values: np.ndarray
    base: float
    low: float
    high: float
    digits: int
    end: int


def text_view(
    painted: Painted,
    *,
    key: str,
    moment: int | None,
    mark: tuple[int, int] | None,
    places: Sequence[tuple[int, str]],
    words: Mapping[str, str],
    on_choice: Callable[[int], None],
    on_mark: Callable[[tuple[int, int] | None], None],
) -> None:
    """Draw ``painted``.

    Before the next run ``on_choice`` gets the token that is clicked, or chosen with Enter, and ``on_mark`` the tokens
    (start, stop) that are marked, or None where the mark is taken away.

    ``moment`` is the token that is looked at, ``mark`` the passage (start, stop); ``places`` (character, label), in
    order, stand beside the rows; ``words`` are the component's own, in the session's language.
    """
    component = st.components.v2.component(
        "text_view",
        js=(FOLDER / "text_view.js").read_text(encoding="utf-8"),
        css=(FOLDER / "text_view.css").read_text(encoding="utf-8"),
    )
    data = pack(painted, moment=moment, mark=mark, places=places, words=words, dark=is_dark())

    def choose() -> None:
        token = st.session_state[key].moment
        if isinstance(token, int | float):
            on_choice(int(token))

    def mark_tokens() -> None:
        ends = st.session_state[key].mark
        if ends is not None:
            on_mark((int(ends[0]), int(ends[1])) if len(ends) == 2 else None)

    component(key=key, data=data, on_moment_change=choose, on_mark_change=mark_tokens)


def pack(
    painted: Painted,
    *,
    moment: int | None,
    mark: tuple[int, int] | None,
    places: Sequence[tuple[int, str]],
    words: Mapping[str, str],
    dark: bool,
) -> bytes:
    """The one block of bytes that the component reads: see the top of ``src/text_view.ts``.

    Characters are counted in units of UTF-16 there, so a character beyond the basic plane counts twice.
    """
    units = painted.text.encode("utf-16-le", "surrogatepass")
    header: dict[str, Any] = {
        "units": len(units) // 2,
        "spans": len(painted.starts),
        "end": painted.end,
        "moment": moment,
        "mark": mark,
        "base": painted.base,
        "low": painted.low,
        "high": painted.high,
        "digits": painted.digits,
        "dark": dark,
        "places": [],
        "words": dict(words),
    }
    starts = in_units(painted.text, painted.starts)
    where = in_units(painted.text, np.array([at for at, _ in places], np.int64))
    header["places"] = [[int(at), label] for at, (_, label) in zip(where, places, strict=True)]
    said = json.dumps(header, ensure_ascii=False).encode("utf-8", "surrogatepass")
    block = bytearray(len(said).to_bytes(4, "little") + said)
    for part in (
        units,
        starts.astype("<i4").tobytes(),
        painted.tokens.astype("<i4").tobytes(),
        painted.values.astype("<f4").tobytes(),
    ):
        block += bytes(-len(block) % _ALIGNED) + part
    return bytes(block)


def in_units(text: str, characters: np.ndarray) -> np.ndarray:
    """Places in ``text`` counted in units of UTF-16, from those counted in characters."""
    if text.isascii() or not len(characters):
        return characters
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    before = np.concatenate([[0], np.cumsum(codes > 0xFFFF)])
    return characters + before[characters]
