"""From the list on the state map to the lab, training, and its figures before and after, in every language."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import plotly.io
import pytest
from streamlit.testing.v1 import AppTest

from model.messages import LANGUAGES, message
from model.reading.explore import explore
from model.reading.runner import run
from model.training.trial import Figures, Pick
from tests.support.app import APP
from tests.support.lab import a_trial, ended, short_run, until
from tests.support.tiny import prepared, tiny_text
from viz.jobs import registry as jobs

WORDS = 700


@pytest.fixture
def opened(tiny, monkeypatch):
    """The state map of a reading of an uploaded document, much of which counts as unexplored."""
    monkeypatch.setattr("model.diagnostics.explored.PERCENTILE", 5.0)
    monkeypatch.setattr("model.training.checkpoint.explore", partial(explore, windows=16))
    monkeypatch.setattr("viz.app.session.SHIPPED", tiny / "none")
    monkeypatch.setattr("model.training.trial.WATCHED", (512, 512))
    text = tiny_text(WORDS, 7)
    library = tiny / "home" / "recordings"
    plain = run(prepared(text, "tiny"), library)
    mitigated = run(prepared(text, "tiny", mitigations={"decay": 2.0}), library)

    def at(recording, language: str = "en") -> AppTest:
        page = AppTest.from_file(APP, default_timeout=60)
        page.context = {"locale": language, "theme": "light"}
        page.query_params |= {"recording": recording.key, "map_spans": "true"}
        page.run()
        return page.switch_page("viz/pages/state_map/page.py").run()

    yield at, plain, mitigated
    for job in jobs.registry().jobs():
        job.cancel()
        job.wait(20)


def captions(page) -> list[str]:
    return [entry.value for entry in page.caption]


def has(page, key: str) -> bool:
    return any(entry.key == key for entry in page.button)


@pytest.mark.parametrize("language", LANGUAGES)
def test_unexplored_spans_lead_to_training_and_are_measured_again(opened, language) -> None:
    at, plain, _ = opened
    page = at(plain, language)
    assert not page.exception and not page.error
    listed = page.dataframe[0].value
    assert next(iter(listed.columns)) == message("ui.spans.column_tokens", language) and 1 <= len(listed) <= 10
    novelty = listed[message("ui.spans.column_novelty", language)]
    assert (novelty > 1).all() and list(novelty) == sorted(novelty, reverse=True)
    assert not has(page, "spans_train")
    assert message("ui.spans.no_document", language) in captions(page)
    page.file_uploader[0].upload("mine.txt", tiny_text(WORDS, 7).encode())
    until(page, lambda page: page.selectbox(key="doc").value.startswith("upload:"))
    listed = page.dataframe[0].value
    assert all(words.strip() for words in listed[message("ui.spans.column_text", language)])
    page.button(key="spans_train").click().run()
    assert not page.exception and not page.error
    assert page.selectbox(key="lab_how").value == "stretches"
    assert page.warning[0].value == message("ui.spans.confidential", language)
    page.switch_page("viz/pages/lab/page.py").run()  # the browser switches by itself, the test does not
    assert page.selectbox(key="lab_how").value == "stretches"
    short_run(page)
    ended(page)
    assert not page.exception and not page.error, page.error
    before, after = (message(f"ui.spans.{name}", language) for name in ("before", "after"))
    found = page.dataframe[0].value
    rest = message("ui.spans.rest", language)
    assert list(found[message("ui.spans.column_tokens", language)])[-1] == rest and 2 <= len(found) <= 6
    assert {name.split(" · ")[1] for name in list(found.columns)[1:]} == {before, after}
    assert len(page.get("plotly_chart")) == 4
    page.selectbox(key="lab_how").set_value("zeros").run()
    page.button(key="lab_run").click().run()
    ended(page)
    page.selectbox(key="lab_how").set_value("stretches").run()
    assert any(message("ui.spans.control", language) in name for name in page.dataframe[0].value.columns)
    page.button(key="lab_drop_spans").click().run()
    assert "stretches" not in page.selectbox(key="lab_how").options and not page.exception
    assert message("ui.spans.invitation", language) in captions(page)


def test_ticked_rows_are_what_is_picked(opened, monkeypatch) -> None:
    import streamlit as st

    real = st.dataframe

    def ticked(data, **choices):
        event = real(data, **choices)
        if not choices.get("key", "").startswith("spans_"):
            return event
        return SimpleNamespace(selection=SimpleNamespace(rows=[1, 99]))

    monkeypatch.setattr(st, "dataframe", ticked)
    at, plain, _ = opened
    page = at(plain)
    page.file_uploader[0].upload("mine.txt", tiny_text(WORDS, 7).encode())
    until(page, lambda page: page.selectbox(key="doc").value.startswith("upload:"))
    span = page.dataframe[0].value[message("ui.spans.column_tokens")][1]
    assert span in captions(page) and not page.exception
    page.button(key="spans_train").click().run()
    picked = page.session_state["_explorer_spans"]
    assert [f"{pick.first:,}–{pick.last:,}" for pick in picked.picks] == [span]
    assert picked.weights == plain.experiment.weights and picked.document == plain.experiment.document


def test_a_mitigated_reading_says_why_it_offers_no_training(opened) -> None:
    at, _, mitigated = opened
    page = at(mitigated)
    assert page.dataframe and not has(page, "spans_train") and not page.exception
    assert message("ui.spans.not_plain") in captions(page)


def test_the_figure_and_the_table_show_before_after_and_control(monkeypatch) -> None:
    from dataclasses import replace

    from viz.pages.lab import spans as lab_spans

    monkeypatch.setattr(lab_spans, "t", lambda key, **values: message(key, "en", **values))
    monkeypatch.setattr("viz.pages.state_map.out_of_distribution.t", lambda key, **values: message(key, "en", **values))
    picks = (Pick(first=0, last=1000, at=512), Pick(first=2000, last=2500, at=2048))
    before = Figures(novelty=(4.0, 3.0, 2.0), loss=(7.0, 6.0, 5.0), control=(5.0, 5.0, 4.0))
    after = Figures(novelty=(1.5, 0.5, 1.0), loss=(5.5, 5.5, 4.5), control=(5.0, 5.0, 4.0))
    trial = replace(a_trial(), picks=picks)
    assert lab_spans.means(before, after) == {
        "novelty_before": 3.5,
        "novelty_after": 1.0,
        "excess_before": 1.5,
        "excess_after": 0.5,
    }
    drawn = lab_spans.figure(trial, before, after, before, dark=True)
    assert [trace.name for trace in drawn.data if trace.showlegend] == ["Before", "Plain fine-tuning", "After"]
    np.testing.assert_allclose(drawn.data[-1].y, [0.5, 0.5, 0.5])
    assert len(plotly.io.to_json(drawn)) < 50_000
    rows = lab_spans.table(trial, before, after, None)
    assert list(rows["excess_after"]) == [0.5, 0.5, 0.5] and "excess_plain_fine_tuning" not in rows
    assert len(lab_spans.shown(trial, before, after, before).columns) == 10
