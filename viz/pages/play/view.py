"""How did it happen? The reading replayed along the document: path on the map, norms, loss and text.

Or as a story of a minute: fine, collapsed, mitigated. Both are drawn from stored recordings, without a model.
"""

from __future__ import annotations

import streamlit as st

from model.recording.reader import Recording
from viz.app import session
from viz.app.language import t
from viz.app.links import switch
from viz.app.theme import is_dark
from viz.pages.play.frames import curves, passages, span, tracks
from viz.pages.play.story import cast, onset_of, story
from viz.ui.controls import page_link
from viz.ui.curves import ink
from viz.ui.moment import choose_moment, moment_of
from viz.ui.player import AT_ONCE, Replay, Segment, player

MODES = ("replay", "story")
SECONDS = 40.0
"""A document from start to end at speed 1."""
WORDS = ("play", "pause", "restart", "position", "speed", "token", "map", "panel_0", "panel_1")


def render(recording: Recording) -> None:
    """Draw the page for ``recording``."""
    controls = st.container(horizontal=True, vertical_alignment="bottom")
    with controls:
        mode = switch("play_mode", {name: t(f"play.mode_{name}") for name in MODES}, t("play.mode"))
    if mode == "story":
        _story(recording)
        return
    with controls:
        log = st.toggle(t("ui.curves.log_x"), value=True, key="play_log_x", bind="query-params")
    _replay(recording, log=log)


def slide(recording: Recording) -> None:
    """The story, or the replay where there is none, over the whole screen."""
    st.title(t("play.slide"), anchor=False)
    if not _story(recording, tall=True):
        _replay(recording, log=True, tall=True)


def _replay(recording: Recording, *, log: bool, tall: bool = False) -> None:
    dark, (first, end) = is_dark(), span(recording)
    onset = onset_of(recording)
    played, explored = tracks([recording], [curves(recording, log=log, dark=dark)], [""], [ink(dark)])
    marks = [(float(recording.train_length), t("figures.train_length"))]
    if onset is not None:
        marks.append((float(onset + 1), t("play.onset")))
    text = session.text_of(recording)
    replay = Replay(
        name=f"{recording.key} {log}",
        log=log,
        first=first,
        end=end,
        tracks=played,
        segments=[Segment(track=0, start=first, end=end, seconds=SECONDS)],
        passages=passages(recording, text),
        explored=explored,
        marks=[mark for mark in marks if first < mark[0] < end],
    )
    _play(replay, recording, tall=tall)
    if text is None:
        st.caption(t("play.no_text"))


def _story(recording: Recording, *, tall: bool = False) -> bool:
    """Draw the story; False, with a sentence, if no reading of the document collapses."""
    found = cast(recording)
    if found is None:
        st.info(t("play.no_story"), icon=":material/info:")
        return False
    if found.mitigated is None:
        st.info(t("play.two_acts"), icon=":material/info:")
        if not tall:
            page_link("diagnose", t("play.diagnose"))
    replay = story(found, session.text_of(found.plain), dark=is_dark())
    _play(replay, recording, tall=tall, autoplay=bool(st.session_state.pop(AT_ONCE, False)))
    return True


def _play(replay: Replay, recording: Recording, *, tall: bool, autoplay: bool = False) -> None:
    player(
        replay,
        key="player",
        words={name: t(f"play.{name}") for name in WORDS}
        | {name: t(f"figures.{name}_name") for name in ("explored", "unexplored")}
        | {"reference": t("figures.reference")},
        moment=moment_of(recording),
        on_choice=choose_moment,
        autoplay=autoplay,
        tall=tall,
    )
    if not tall:
        st.caption(t("play.keys"))
