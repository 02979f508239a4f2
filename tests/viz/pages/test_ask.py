"""The page "Ask after reading": answers side by side, stored and shown again, and states compared."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from model.messages import message
from model.reading.again import prepare_again
from model.reading.runner import run
from model.studies.ask.result import Question, moments_along
from model.studies.ask.run import ask
from model.studies.ask.states import state_at
from tests.support.app import APP, LANGUAGES, sound, until, words
from tests.support.tiny import prepared, tiny_text
from viz.pages.ask.view import shown, visible

TEXT = tiny_text(400)


@pytest.fixture
def pair(tiny, monkeypatch):
    monkeypatch.setattr("viz.app.session.SHIPPED", tiny / "none")
    folder = tiny / "home" / "recordings"
    return [run(prepared(TEXT, mitigations=each), folder, keep_text=True) for each in ({}, {"decay": 2.0})]


def opened(language: str, **query: str) -> AppTest:
    page = AppTest.from_file(APP, default_timeout=60)
    page.context = {"locale": LANGUAGES[language], "theme": "light"}
    page.query_params |= query
    page.run()
    return page.switch_page("viz/pages/ask/page.py").run()


@pytest.mark.parametrize("language", LANGUAGES)
def test_recordings_are_asked_side_by_side_and_answers_are_kept(pair, language):
    page = opened(language, recording=pair[0].key)
    page.number_input(key="ask_moment").set_value(301).run()
    page.number_input(key="ask_length").set_value(16).run()
    assert page.query_params["at"] in ("301", ["301"])
    page.button(key="ask_run").click().run()
    until(page, lambda page: len(page.metric) == 4)
    sound(page)
    question = Question(length=16)
    answers = [next(ask(prepare_again(each, TEXT), [(301, question)]))[1] for each in pair]
    assert [page.metric[place].value for place in (0, 2)] == [f"{answer.repetition:.0%}" for answer in answers]
    assert [page.metric[place].value for place in (1, 3)] == [f"{answer.mean_entropy:.2f}" for answer in answers]
    table = page.dataframe[0].value
    assert list(table.iloc[:, 1]) == pytest.approx([each.probability for each in answers[0].next[:10]])
    until(page, lambda page: page.button(key="ask_run").label != message("ask.run", language))
    assert len(page.main.get("plotly_chart")) == 1
    moments = moments_along(pair[0].tokens, pair[0].train_length)
    assert len(moments) > 8 and page.button(key="ask_run").disabled
    page.number_input(key="ask_moment").set_value(moments[3]).run()  # asked along the document already
    assert page.button(key="ask_run").disabled and len(sound(page).metric) == 4
    page.switch_page("viz/pages/text/page.py").run()
    assert sound(page).query_params["at"] in (str(moments[3]), [str(moments[3])])


def test_a_state_is_prepared_and_compared(pair, monkeypatch):
    page = opened("en", recording=pair[0].key, at="200")
    page.button(key="ask_state_prepare").click().run()
    until(page, lambda page: bool(page.get("download_button")))
    data = state_at(prepare_again(pair[1], TEXT), 200).to_bytes()
    page.file_uploader(key="ask_state_file").upload("other.safetensors", data, "application/octet-stream").run()
    page.button(key="ask_state_compare").click().run()
    until(page, lambda page: bool(page.dataframe))
    table = sound(page).dataframe[0].value
    assert (table[message("ask.column_angle", "en")] > 0).any()
    page.file_uploader(key="ask_state_file").upload("bad.safetensors", b"nothing", "application/octet-stream").run()
    assert "safetensors" in page.error[0].value


def test_a_text_that_is_gone_is_said_so(tiny, monkeypatch):
    monkeypatch.setattr("viz.app.session.SHIPPED", tiny / "none")
    without = run(prepared(tiny_text(100)), tiny / "home" / "recordings")
    assert message("ask.no_text", "en") in words(sound(opened("en", recording=without.key)))


def test_words_of_a_model_cannot_draw_on_the_page():
    assert "<script" not in shown("<script>alert(1)</script>")
    assert shown("a\u202eb\0") == "a�b�" and shown("a\u3000b") == "a\u3000b"
    assert shown("a\n\n\nb").count("↵") == 3 and shown("a\n\n\nb").count("\n") == 1
    assert visible(" the\n") == "␣the↵"
