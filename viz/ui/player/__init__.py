"""A reading replayed along its document: a custom component that draws map, curves and text in the browser.

``src/player.ts`` is its source and ``player.js`` the build, checked in so that a user needs no node:
``npm install && npm run build`` in this folder makes it anew, and a test compares the digest of the source.
All data goes to the browser once, so playing is smooth and needs no run of the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from viz.app.theme import EXPLORED, GREY, GRID, UNEXPLORED, is_dark
from viz.app.workspace import STATE_PREFIX

FOLDER = Path(__file__).parent
AT_ONCE = STATE_PREFIX + "play_at_once"
"""Entry of the session state: what is drawn next starts by itself, since somebody just asked for it."""
NORM, LOSS = 0, 1
"""The two panels of curves: state norm as a multiple of its value at the training length, and loss."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A line over the position: ``x`` and ``y`` (n,), in ``panel`` NORM or LOSS."""

    panel: int
    name: str
    colour: str
    x: np.ndarray
    y: np.ndarray
    dash: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """A reading: its curves, and its states ``xy`` (n, 2) on the map after ``position`` (n,) tokens.

    ``unexplored`` (n,) says which of the states are. Without a map all three are empty.
    """

    name: str
    colour: str
    curves: Sequence[Curve]
    position: np.ndarray
    xy: np.ndarray
    unexplored: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A track played from one position to another in so many seconds, or a stop at one, with a sentence."""

    track: int
    start: float
    end: float
    seconds: float
    act: int = 0
    says: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Passages:
    """The text beside the curves, counted in units of UTF-16.

    After ``position`` (n,) tokens the reading is at ``character`` (n,). ``parts`` are (first, start, text): from the
    character ``first`` on, ``text`` is shown, which begins at ``start``.
    """

    position: np.ndarray
    character: np.ndarray
    parts: Sequence[tuple[int, int, str]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Replay:
    """What is played. Positions go from ``first`` to ``end`` tokens, evenly or, if ``log``, by their logarithm.

    ``name`` tells one replay from another: with the same name the cursor stays where it is. ``marks`` are lines
    at a position, each with a label; ``explored`` (n, 2) are the explored states of the map; ``acts`` name the parts
    of a story.
    """

    name: str
    log: bool
    first: float
    end: float
    tracks: Sequence[Track]
    segments: Sequence[Segment]
    passages: Passages
    explored: np.ndarray
    marks: Sequence[tuple[float, str]] = ()
    acts: Sequence[str] = field(default=())


def player(
    replay: Replay,
    *,
    key: str,
    words: Mapping[str, str],
    moment: int | None,
    on_choice: Callable[[int], None],
    autoplay: bool = False,
    tall: bool = False,
) -> None:
    """Draw ``replay``, which starts at the token ``moment``; ``on_choice`` gets the token at which it is paused.

    ``words`` are the component's own, in the session's language. ``tall`` fills the height of the screen.
    """
    component = st.components.v2.component(
        "player",
        js=(FOLDER / "player.js").read_text(encoding="utf-8"),
        css=(FOLDER / "player.css").read_text(encoding="utf-8"),
    )

    def choose() -> None:
        token = st.session_state[key].moment
        if isinstance(token, int | float):
            on_choice(int(token))

    state = {"moment": moment, "autoplay": autoplay, "tall": tall, "words": dict(words)}
    component(key=key, data=packed(replay, dark=is_dark()) | state, on_moment_change=choose)


def packed(replay: Replay, *, dark: bool) -> dict[str, Any]:
    """``replay`` as the component reads it: see the top of ``src/player.ts``."""
    return {
        "id": replay.name,
        "dark": dark,
        "log": replay.log,
        "first": float(replay.first),
        "end": float(replay.end),
        "marks": [[float(at), label] for at, label in replay.marks],
        "explored": _numbers(replay.explored),
        "tracks": [
            {
                "name": track.name,
                "colour": track.colour,
                "curves": [
                    {
                        "panel": curve.panel,
                        "name": curve.name,
                        "colour": curve.colour,
                        "dash": curve.dash,
                        "x": _numbers(curve.x),
                        "y": _numbers(curve.y),
                    }
                    for curve in track.curves
                ],
                "position": _numbers(track.position),
                "xy": _numbers(track.xy),
                "unexplored": track.unexplored.tolist(),
            }
            for track in replay.tracks
        ],
        "segments": [
            {
                "track": part.track,
                "from": float(part.start),
                "to": float(part.end),
                "seconds": part.seconds,
                "act": part.act,
                "says": part.says,
            }
            for part in replay.segments
        ],
        "acts": list(replay.acts),
        "position": _numbers(replay.passages.position),
        "character": _numbers(replay.passages.character),
        "passages": [list(part) for part in replay.passages.parts],
        "colours": {
            "explored": EXPLORED,
            "unexplored": UNEXPLORED,
            "reference": GREY,
            "grid": GRID[dark],
            "quiet": GREY,
        },
    }


def _numbers(values: np.ndarray) -> list[Any]:
    """``values``, all finite, with the digits that a screen can show."""
    if values.dtype.kind in "iub":
        return values.tolist()
    digits = 4 - np.floor(np.log10(np.maximum(np.abs(values), 1e-12))).astype(int)
    flat = [round(float(value), int(digit)) for value, digit in zip(values.ravel(), digits.ravel(), strict=True)]
    return np.array(flat).reshape(values.shape).tolist()
