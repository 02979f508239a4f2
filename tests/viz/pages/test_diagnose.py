"""The page Diagnose: a diagnosis that is stored, one that runs, is cancelled and resumed, and several documents."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.documents.document import Document
from model.messages import LANGUAGES, message
from model.studies.diagnose import Diagnosis, Recall, file_of
from model.studies.diagnose.advice import concluded
from model.studies.diagnose.strategies import candidates, question_key
from tests.support.app import APP, sound, until, words
from tests.support.diagnose import diagnosis, made_up
from tests.support.tiny import tiny_text
from viz.jobs import registry as jobs

LONG = Document.of(tiny_text(900), "long.txt")
OTHER = Document.of(tiny_text(900, seed=4), "other.txt")
NUMBERS = {"ratio": 2.5, "percent": 80.0, "onset": 321}


def stored(document: Document, *, helps: bool = True) -> Diagnosis:
    """A finished diagnosis of ``document`` with the tiny model."""
    wanted = candidates("tiny")
    good = (0.01, -0.01, 0.02, -0.02, 0.0) if helps else (2.0, 2.1, 1.9, 2.0, 2.0)
    window = (0.5, 0.6, 0.4, 0.5, 0.5) if helps else (3.0,) * 5
    recalls = [Recall(result="0", length=512, correct=correct, trials=30) for correct in (21, 20)]
    results = [
        made_up("plain", onset=320, recall=recalls[0], tokens_per_second=9.0),
        made_up("decay", good, recall=recalls[1], tokens_per_second=8.0),
        made_up("window", window, value=64.0),
    ]
    begun = diagnosis(
        "collapses",
        document=document.sha256,
        document_name=document.name,
        weights=wanted[0].weights,
        key=question_key(document.sha256, wanted),
        planned=3,
        recallable=True,
    )
    begun = replace(begun, verdict=begun.verdict._replace(values=NUMBERS))
    return replace(concluded(begun, results, trainable=True), complete=True)


@pytest.fixture
def open_page(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    """Opens the page in a fresh session with two short samples and stored diagnoses of its own."""
    monkeypatch.setattr("viz.app.session.SAMPLES", {"plant_log_ja": None, "contract_en": None})
    documents = {"plant_log_ja": LONG, "contract_en": OTHER}
    monkeypatch.setattr("viz.app.session.sample_document", documents.__getitem__)
    monkeypatch.setattr("viz.app.session.SHIPPED", tiny / "shipped")

    def start(*found: Diagnosis, language: str = "en", theme: str = "light", more: bool = False) -> AppTest:
        for one in found:
            one.save(file_of(tiny / "shipped", one.key))
        app = AppTest.from_file(APP, default_timeout=60)
        app.context = {"locale": language, "theme": theme}
        app.query_params["dg_table"] = "true"  # the table of strategies is folded
        if more:
            app.query_params["dg_more"] = "sample:contract_en"
        app.run()
        return app.switch_page("viz/pages/diagnose/page.py").run()

    return start


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stored_diagnosis_is_shown_at_once(open_page, language: str, theme: str) -> None:
    found = stored(LONG)
    app = sound(open_page(found, language=language, theme=theme))
    assert found.verdict.words(language) in app.main.header[0].value
    values = [metric.value for metric in app.main.metric]
    assert values[0].startswith("100") and values[2] == "67%"
    level = message("diagnose.level_high", language)
    assert message("diagnose.sure_title", language, level=level) in words(app)
    table = app.main.dataframe[0].value
    assert len(table) == 3 and table["strategy"][0] == app.main.subheader[0].value
    assert "reading" not in table  # none of them is here
    assert len(app.main.get("plotly_chart")) == 1 and app.main.get("plotly_chart")[0].proto.alt
    assert message("diagnose.stored", language) in words(app)
    said = words(app).replace("\\", "")
    assert all(reason.words(language)[:12] in said for reason in found.confidence.reasons)


@pytest.mark.parametrize("language", LANGUAGES)
def test_where_nothing_helps_the_page_says_so(open_page, language: str) -> None:
    app = sound(open_page(stored(LONG, helps=False), language=language))
    assert app.main.subheader[0].value == message("diagnose.none", language)
    assert message("diagnose.step_do_not_use", language) in words(app).replace("\\", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_several_documents_those_come_first_that_need_attention(open_page, language: str) -> None:
    app = sound(open_page(stored(LONG), stored(OTHER, helps=False), language=language, more=True))
    assert app.main.header[0].value == message("diagnose.many_heading", language, count=2, bad=2)
    table = app.main.dataframe[0].value
    assert table["attention"][0] == message("diagnose.remark_nothing", language) and table["attention"][1] == ""
    assert table["document"][0] == message("app.samples.contract_en", language)
    assert len(app.main.get("plotly_chart")) == 1  # the small ones


def test_a_diagnosis_runs_is_cancelled_and_resumes(open_page) -> None:
    app = sound(open_page())
    assert message("diagnose.nothing_yet", "en") in words(app)
    app.button(key="dg_run").click().run()
    job = jobs.latest(app.session_state["_explorer_workspace"].session, "diagnose")
    deadline = time.monotonic() + 60
    while job.done < 2 and job.active and time.monotonic() < deadline:
        time.sleep(0.02)
    job.cancel()
    assert job.wait(60)
    app = sound(app.run())
    assert app.button(key="dg_run").label == message("diagnose.run_more", "en")
    assert message("diagnose.partly", "en").split("}")[-1] in words(app) and app.main.dataframe
    some = len(app.main.dataframe[0].value)
    assert 0 < some < len(candidates("tiny"))
    app.button(key="dg_run").click().run()
    done = message("diagnose.run_again", "en")
    app = sound(until(app, lambda app: app.button(key="dg_run").label == done, 120))
    table = app.main.dataframe[0].value
    assert len(table) == len(candidates("tiny"))
    assert table["reading"].str.startswith("./?recording=").all()  # each reading opens


def test_a_document_that_cannot_be_read_gives_its_sentence(open_page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others go on."""
    documents = {"plant_log_ja": Document.of("", "empty.txt"), "contract_en": OTHER}
    monkeypatch.setattr("viz.app.session.sample_document", documents.__getitem__)
    app = open_page(stored(OTHER), more=True)
    app.button(key="dg_run").click().run()
    app = until(app, lambda app: bool(app.error), 120)
    assert len(app.error) == 1 and message("app.samples.plant_log_ja", "en")[:10] in app.error[0].value
    assert not app.exception and app.main.dataframe
