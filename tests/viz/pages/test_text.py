"""The page "Text": colours of every token, the onset's sentence, and what is remembered at a moment."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from model.diagnostics.token_table import stretched
from model.messages import LANGUAGES, message
from model.reading.runner import run
from model.studies.shares import run as module
from tests.support.app import APP, sound, until
from tests.support.tiny import prepared, tiny_text
from viz.pages.text.figures import half_reached, reached
from viz.pages.text.measures import Measure, by_group, measure, names, passages, remembered
from viz.ui.sentences import sentence_at
from viz.ui.text_view import FOLDER, Painted, in_units, pack


@pytest.fixture
def recording(tiny, monkeypatch):
    monkeypatch.setattr("viz.app.session.SHIPPED", tiny / "none")
    return run(prepared(tiny_text(400), "tiny"), tiny / "home" / "recordings", keep_text=True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_moment_is_chosen_and_what_is_remembered_computed(recording, language):
    page = AppTest.from_file(APP, default_timeout=60)
    page.context = {"locale": language, "theme": "light"}
    page.query_params["recording"] = recording.key
    page.run()
    page.switch_page("viz/pages/text/page.py").run()
    page.selectbox(key="text_measure").set_value("remembered").run()
    assert message("text.choose_moment", language) in [info.value for info in sound(page).info]
    page.query_params["at"] = "301"
    page.run()
    page.button(key="text_compute").click().run()
    until(page, lambda page: bool(page.dataframe))
    sound(page)
    shares = module.remembered(prepared(tiny_text(400), "tiny"), 301).token_shares()
    strongest = page.dataframe[0].value
    share = strongest[message("text.column_share", language)]
    assert list(share) == sorted(share, reverse=True) and share.iloc[0] > 0
    within = float(shares[-recording.train_length :].sum())
    assert page.metric[1].value == f"{within:.0%}"
    page.selectbox(key="text_layer").set_value("1").run()
    page.selectbox(key="text_head").set_value("2").run()
    page.selectbox(key="text_grain").set_value("line").run()
    sound(page)


def test_a_text_that_is_gone_is_said_so(tiny, monkeypatch):
    monkeypatch.setattr("viz.app.session.SHIPPED", tiny / "none")
    without = run(prepared(tiny_text(100), "tiny"), tiny / "home" / "recordings")
    page = AppTest.from_file(APP, default_timeout=60)
    page.query_params |= {"recording": without.key, "at": "9999999"}
    page.run()
    page.switch_page("viz/pages/text/page.py").run()
    assert message("text.no_text", "en") in [info.value for info in sound(page).info]


def test_every_measure_has_a_number_for_every_token(recording):
    for name in names(recording, None)[:-1]:
        found = measure(recording, name, None, None, None)
        assert len(found.values) == recording.read_tokens
        assert np.isfinite(found.values[1:]).all()
        low, high = found.limits()
        assert low <= found.base <= high and low < high
    norm, position = recording.array("norm"), recording.array("position")
    of_head = measure(recording, "norm", None, 1, 2).values
    at = int(np.searchsorted(position, recording.train_length))
    assert of_head[100] == pytest.approx(norm[2, 1, 2] / norm[at, 1, 2])  # token 100 is read within the second chunk


def test_groups_add_shares_and_average_the_rest():
    shares = remembered(np.array([0.1, 0.2, 0.3], np.float32), 5)
    assert np.isnan(shares.values[3:]).all()
    group = np.array([0, 0, 1, 1, 2])
    assert by_group(shares, group).values[:2] == pytest.approx([30, 30]) and np.isnan(by_group(shares, group).values[2])
    losses = Measure(name="loss", values=np.array([1, 3, 5, np.nan, np.nan], np.float32), base=0.0, digits=2)
    assert by_group(losses, group).values[:2] == pytest.approx([2, 5])
    assert list(stretched(np.array([1.0, 2.0, 3.0]), np.array([0, 2, 4]), 5)) == [2, 2, 3, 3, 3]


def test_passages_and_sentences():
    text = "One line. And more\nSecond line\n\nNew paragraph. Ends here."
    starts = np.array([text.index(word) for word in ("One", "more", "Second", "New", "Ends")])
    assert list(passages(text, starts, "token")) == [0, 1, 2, 3, 4]
    assert list(passages(text, starts, "paragraph")) == [0, 0, 0, 1, 1]
    lines = passages(text, starts, "line")
    assert lines[0] == lines[1] < lines[2] < lines[3] == lines[4]
    assert sentence_at(text, text.index("more")) == "And more"
    assert sentence_at(text, text.index("Ends") + 2) == "Ends here."
    assert sentence_at("弁を点検した。異常はない。次へ。", 8) == "異常はない。"


def test_how_far_back_the_state_reaches():
    shares = np.array([0.4, 0.1, 0.1, 0.4], np.float32)
    assert half_reached(shares) == 2 and half_reached(shares, 0.95) == 4 and half_reached(shares, 1.5) is None
    distance, share = reached(shares)
    assert distance[-1] == 4 and share == pytest.approx([0.4, 0.5, 0.6, 1.0])
    taken_back = np.array([0.5, -0.4, 0.9], np.float32)
    assert half_reached(taken_back, 0.8) == 3  # 0.9, 0.5, 1.0: the second token back takes something away again


def test_the_block_of_bytes_is_what_the_component_reads():
    text = "a😀b\nc"
    painted = Painted(
        text=text,
        starts=np.array([0, 1, 2, 4]),
        tokens=np.array([0, 1, 3, 4]),
        values=np.array([0.5, np.nan, -1, 2], np.float32),
        base=0.0,
        low=-1.0,
        high=2.0,
        digits=2,
        end=6,
    )
    block = pack(painted, moment=3, mark=(1, 4), places=[(2, "page 2")], words={"search": "探す"}, dark=True)
    length = int.from_bytes(block[:4], "little")
    header = json.loads(block[4 : 4 + length])
    assert header["units"] == 6 and header["places"] == [[3, "page 2"]] and header["moment"] == 3
    assert header["mark"] == [1, 4] and header["end"] == 6
    at, parts = 4 + length, []
    for size in (2 * header["units"], *[4 * header["spans"]] * 3):
        at += -at % 8
        parts.append(block[at : at + size])
        at += size
    assert parts[0].decode("utf-16-le") == text
    assert list(np.frombuffer(parts[1], "<i4")) == [0, 1, 3, 5]
    assert list(np.frombuffer(parts[2], "<i4")) == [0, 1, 3, 4]
    assert np.array_equal(np.frombuffer(parts[3], "<f4"), painted.values, equal_nan=True)
    assert list(in_units("plain", np.array([0, 3]))) == [0, 3]


def test_the_build_of_the_component_is_that_of_its_source():
    digest = hashlib.sha256((FOLDER / "src" / "text_view.ts").read_bytes()).hexdigest()
    first, rest = (FOLDER / "text_view.js").read_text(encoding="utf-8").split("\n", 1)
    assert first.endswith(f"sha256: {digest}"), "run npm run build in viz/ui/text_view"
    assert "http" not in rest
