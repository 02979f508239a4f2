"""The page "Play": what is replayed, and the story of a minute, from recordings alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from model.messages import LANGUAGES, message
from model.recording.reader import Recording
from tests.support.app import APP, sound
from tests.support.recordings import CHARACTERS_PER_TOKEN, synthetic_recording
from viz.pages.play import frames
from viz.ui.player import FOLDER, LOSS, NORM, Replay, packed

Opened = Callable[..., tuple[AppTest, Replay, dict[str, Any]]]
TOKENS = 12_000


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("viz.app.session.SHIPPED", tmp_path / "shipped")
    return tmp_path / "shipped"


@pytest.fixture
def opened(library: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Open the page, and return it with what the player got."""
    played: list[tuple[Replay, dict[str, Any]]] = []
    monkeypatch.setattr("viz.pages.play.view.player", lambda replay, **more: played.append((replay, more)))

    def open_page(recording: Recording, language: str = "en", **query: str) -> tuple[AppTest, Replay, dict[str, Any]]:
        page = AppTest.from_file(APP, default_timeout=60)
        page.context = {"locale": language, "theme": "light"}
        page.query_params |= {"recording": recording.key, **query}
        page.run()
        page.switch_page("viz/pages/play/page.py").run()
        return (sound(page), *played[-1])

    return open_page


def plain_and_mitigated(library: Path) -> tuple[Recording, Recording]:
    plain = synthetic_recording(library, TOKENS, keep_text=True)
    window = (("window", 256.0),)
    return plain, synthetic_recording(library, TOKENS, collapse=False, mitigations=window, keep_text=True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_story_has_three_acts_and_their_numbers(library: Path, opened: Opened, language: str) -> None:
    plain, mitigated = plain_and_mitigated(library)
    for asked in (plain, mitigated):
        _, story, more = opened(asked, language, play_mode="story")
        assert sum(part.seconds for part in story.segments) == 60
        assert [part.act for part in story.segments] == sorted(part.act for part in story.segments)
        assert len(story.acts) == 3 and len(story.tracks) == 2
        stops = [part for part in story.segments if part.start == part.end]
        assert stops[0].start == plain.train_length and stops[1].act == 1
        onset = round(stops[1].start) - 1
        assert plain.train_length < onset < 12 * plain.train_length  # where the made-up loss leaves its control
        losses = [float(np.nanmean(each.array("loss")[onset:])) for each in (plain, mitigated)]
        assert f"{losses[0]:.2f}" in stops[1].says and f"{onset + 1:,}" in stops[1].says and "Pump" in stops[1].says
        assert f"{losses[1]:.2f}" in story.segments[-1].says and f"{losses[0]:.2f}" in story.segments[-1].says
        assert story.segments[-1].track == 1 and story.segments[-2].start == stops[1].start
        assert not more["autoplay"]


def test_a_story_without_a_mitigation_has_two_acts_and_says_so(library: Path, opened: Opened) -> None:
    plain = synthetic_recording(library, TOKENS)
    page, story, _ = opened(plain, play_mode="story")
    assert len(story.acts) == 2 and not story.passages.parts
    assert message("play.two_acts", "en") in [info.value for info in page.info]


def test_without_a_collapse_there_is_no_story_and_the_slide_shows_the_replay(library: Path, opened: Opened) -> None:
    fine = synthetic_recording(library, TOKENS, collapse=False)
    page, replay, more = opened(fine, present="1")
    assert message("play.no_story", "en") in [info.value for info in page.info]
    assert len(replay.segments) == 1 and more["tall"]


def test_the_replay_is_what_the_recording_holds(library: Path, opened: Opened) -> None:
    recording = synthetic_recording(library, TOKENS, keep_text=True)
    _, replay, more = opened(recording, at="3000")
    assert more["moment"] == 2999 and replay.end == TOKENS
    assert replay.marks[0] == (recording.train_length, message("figures.train_length", "en"))
    norm, position = recording.array("norm").mean(axis=2), recording.array("position")
    at = int(np.searchsorted(position, recording.train_length))
    (track,) = replay.tracks
    first, last = (curve for curve in track.curves if curve.panel == NORM)
    assert last.y[-1] == pytest.approx(norm[-1, 1] / norm[at, 1], rel=1e-5)
    assert first.x[-1] == position[-1]
    assert [curve.dash for curve in track.curves if curve.panel == LOSS] == [False, True]
    assert len(track.xy) == len(track.position) == len(track.unexplored) == len(recording.array("snapshot_position"))
    sent = json.dumps(packed(replay, dark=True), allow_nan=False)
    assert len(sent) < 1_000_000


def test_the_text_is_found_at_every_position(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = synthetic_recording(library, TOKENS, keep_text=True)
    text = recording.text
    assert text is not None
    whole = frames.passages(recording, text)
    assert len(whole.parts) == 1 and whole.parts[0][2] == text
    monkeypatch.setattr(frames, "MOST_TEXT", 1000)
    monkeypatch.setattr(frames, "MOST_FRAMES", 50)
    parts = frames.passages(recording, text)
    assert len(parts.parts) == len(parts.position) <= 50 and sum(len(part[2]) for part in parts.parts) < len(text)
    for place, character, (first, start, words) in zip(parts.position, parts.character, parts.parts, strict=True):
        assert character == first == min(place * CHARACTERS_PER_TOKEN, len(text))
        assert words.startswith(text[start : start + 100]) and start <= first <= start + len(words)


def test_the_build_of_the_player_is_that_of_its_source() -> None:
    digest = hashlib.sha256((FOLDER / "src" / "player.ts").read_bytes()).hexdigest()
    first, rest = (FOLDER / "player.js").read_text(encoding="utf-8").split("\n", 1)
    assert first.endswith(f"sha256: {digest}"), "run npm run build in viz/ui/player"
    assert "http" not in rest
