"""A marked passage on the page "Text": in the link, how it is forgotten, and which head holds it."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from model.experiment import Strategy
from model.messages import LANGUAGES, message
from model.reading.runner import run
from model.studies.passage.result import Difference, Forgetting, Passage, Probe, Recalled
from tests.support.app import APP, sound, until
from tests.support.tiny import prepared, tiny_text
from viz.figures.forgetting import Line, forgetting_figure, forgetting_table
from viz.pages.text.download import table_bytes

TEXT = tiny_text(150)


@pytest.fixture
def recording(tiny, monkeypatch):
    monkeypatch.setattr("viz.app.session.SHIPPED", tiny / "none")
    return run(prepared(TEXT, "tiny"), tiny / "home" / "recordings", keep_text=True)


def opened(recording, language: str, **parameters: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    page.context = {"locale": language, "theme": "light"}
    page.query_params["recording"] = recording.key
    page.run()
    page.switch_page("viz/pages/text/page.py").run()
    for name, value in parameters.items():
        page.query_params[name] = value
    page.session_state["text_passage"] = True
    return page.run()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_passage_in_the_link_is_followed_and_its_heads_are_shown(recording, language):
    page = opened(recording, language, mark="101-120", at="200")
    assert [page.number_input(key=f"text_passage_{name}").value for name in ("first", "last")] == [101, 120]
    page.multiselect(key="text_strategies").set_value(["plain", "decay=256"]).run()
    page.button(key="text_follow").click().run()
    measured = message("text.follow_done", language)
    until(page, lambda page: page.button(key="text_follow").label == measured)
    sound(page)
    table = next(frame.value for frame in page.dataframe if message("text.column_strategy", language) in frame.value)
    assert len(table) == 2 and (table[message("text.column_share_end", language)] > 0).all()
    assert page.query_params["text_strategies"] == "plain,decay=256"
    page.button(key="text_heads").click().run()
    of_state = message("text.column_of_state", language)
    until(page, lambda page: any(of_state in frame.value for frame in page.dataframe))
    heads = next(frame.value for frame in page.dataframe if of_state in frame.value)
    assert list(heads[of_state].abs()) == sorted(heads[of_state].abs(), reverse=True)
    said = message(
        "text.heads_finding",
        language,
        token=200,
        share=heads[of_state].sum() / 100,
        layer=heads[message("text.column_layer", language)][0],
        head=heads[message("text.column_head", language)][0],
        held=float(heads[of_state].abs()[0] / heads[of_state].abs().sum()),
    )
    assert said in [words.value for words in sound(page).markdown]


def test_a_passage_is_marked_with_two_numbers_and_cleared(recording):
    page = opened(recording, "en")
    page.number_input(key="text_passage_first").set_value(90).run()
    assert "mark" not in page.query_params
    page.number_input(key="text_passage_last").set_value(80).run()
    assert page.query_params["mark"] == "80-90"
    page.query_params["at"] = "50"
    assert message("text.heads_later", "en", token=90) in [note.value for note in page.run().caption]
    page.button(key="text_passage_clear").click().run()
    assert "mark" not in page.query_params and page.number_input(key="text_passage_first").value is None
    for wrong in ("5", "9-2", "1-999999", "x-y", "0-4"):
        page.query_params["mark"] = wrong
        assert page.run().number_input(key="text_passage_first").value is None
        sound(page)


def test_the_table_that_is_downloaded_is_that_of_the_recording(recording):
    frame = pd.read_csv(io.BytesIO(table_bytes(recording, TEXT, None, "en", "csv")))
    np.testing.assert_allclose(frame["loss [nats]"], recording.array("loss"), atol=1e-6)
    parquet = pd.read_parquet(io.BytesIO(table_bytes(recording, TEXT, None, "en", "parquet")))
    assert "".join(parquet["text"]) == TEXT


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_figure_has_a_panel_for_the_key_where_there_is_one(language):
    def probe(distance: int, recalled: Recalled | None) -> Probe:
        gap = Difference(0.5, 0.2, 0.8)
        return Probe(distance=distance, loss=1.0, without=1.5, fresh=1.6, remembered=gap, gain=gap, recalled=recalled)

    def line(recalled: Recalled | None) -> Line:
        found = Forgetting(
            passage=Passage(start=0, stop=5),
            shares={0: (0.5, 0.3), 10: (0.1, 0.1)},
            probes=(probe(0, recalled), probe(10, recalled)),
            planned=2,
        )
        return Line(Strategy.of().text, found)

    for recalled, panels in ((None, 2), (Recalled(0.7, True), 3)):
        drawn = forgetting_figure([line(recalled)], measure="gain", train_length=64, language=language, dark=False)
        assert len(list(drawn.select_yaxes())) == panels
    table = forgetting_table([line(Recalled(0.7, True))])
    assert list(table["share"]) == pytest.approx([0.4, 0.1]) and list(table["remembered_low"]) == [0.2, 0.2]
