"""The evidence page: a stored result, what is missing, and a measurement that is cancelled and resumed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from model.messages import LANGUAGES, message
from model.studies.evidence import (
    CLAIMS,
    EvidenceResult,
    findings,
)
from model.studies.evidence.claim import STUFFED
from model.studies.evidence.report import ours, says
from tests.support.app import APP
from tests.support.evidence import DOCUMENTS, TOKENS, made_up, make_family, with_family


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    make_family(home)
    return home


@pytest.fixture(autouse=True)
def tiny(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_family(home, monkeypatch)


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Opens the page in a fresh session, with the stored results of a folder and the tiny family as the base."""
    from streamlit.testing.v1 import AppTest

    monkeypatch.setattr("viz.jobs.evidence.STORED", tmp_path / "stored")
    for module in ("viz.jobs.evidence", "viz.pages.evidence.view"):
        monkeypatch.setattr(f"{module}.DEFAULT", "tiny")
    monkeypatch.setattr("viz.pages.evidence.view.LENGTHS", (TOKENS, 2 * TOKENS))
    monkeypatch.setattr("viz.pages.evidence.view.TOKENS", TOKENS)

    def start(result: EvidenceResult | None, language: str = "en", theme: str = "light", **shown: str):
        if result is not None:
            result.save(tmp_path / "stored" / "result.json")
        app = AppTest.from_file(APP, default_timeout=60)
        app.context = {"locale": language, "theme": theme}
        app.query_params |= shown
        app.run()
        return app.switch_page("viz/pages/evidence/page.py").run()

    return start


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_a_stored_result(open_page, language: str, theme: str) -> None:
    app = open_page(made_up(), language, theme)
    assert not app.exception and not app.error
    assert len(app.get("plotly_chart")) == 5 and len(app.dataframe[0].value) == len(CLAIMS)
    counted = [finding for finding in findings(made_up()) if finding.verdict in ("agrees", "disagrees", "unclear")]
    assert str(len(counted)) in app.main.header[0].value
    column = message("evidence.column_verdict", language)
    assert any("✗" in cell for cell in app.dataframe[0].value[column])
    assert all(element.proto.alt for element in app.get("plotly_chart"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_length_extension_is_said_and_its_argument_shown_on_demand(open_page, language: str) -> None:
    app = open_page(made_up(), language)
    texts = [element.value for element in app.main.markdown]
    who = message("evidence.who_base", language)
    changes = message("evidence.extension_change", language, name=who, change=2.4)
    assert any(changes in text for text in texts)
    other = message("evidence.who_delta", language)
    one = message("evidence.extension_one", language, name=other, monotone=0, documents=5)
    assert any(one in note.value for note in app.caption)
    opened = open_page(made_up(), language, ev_toy="true")
    assert not opened.exception and len(opened.get("plotly_chart")) == 6
    assert len(app.get("plotly_chart")) == 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_is_filtered_and_one_claim_has_its_details(open_page, language: str) -> None:
    app = open_page(made_up(), language)
    found = {finding.claim.key: finding for finding in findings(made_up())}
    app.multiselect(key="ev_source").set_value([STUFFED]).run()
    app.multiselect(key="ev_verdict").set_value(["agrees"]).run()
    kept = [one for one in found.values() if one.claim.paper == STUFFED and one.verdict == "agrees"]
    assert not app.exception and 0 < len(kept) == len(app.dataframe[0].value) < len(found)
    app.selectbox(key="ev_claim").set_value(kept[-1].claim.key).run()
    details = [element.value for element in app.main.markdown]
    assert any(says(kept[-1].claim, language) in text for text in details)
    assert any(ours(kept[-1], language) in text for text in details)
    app.multiselect(key="ev_topic").set_value(["initial"]).run()
    assert any(note.value == message("evidence.none_left", language) for note in app.info)


@pytest.mark.parametrize("language", LANGUAGES)
def test_missing_models_are_rows_and_not_errors(open_page, language: str) -> None:
    few = made_up(train_lengths=False)
    kept = tuple(member for member in few.members if member.role in ("base", "carried"))
    app = open_page(replace(few, members=kept), language)
    assert not app.exception and not app.error
    cells = list(app.dataframe[0].value[message("evidence.column_ours", language)])
    assert (
        message("evidence.missing_model", language) in cells and message("evidence.missing_series", language) in cells
    )
    assert len(app.get("plotly_chart")) == 4
    assert any(message("evidence.capacity_few", language, count=1) == note.value for note in app.info)


def test_without_results_or_models_the_page_says_so(open_page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert any(note.value == message("evidence.nothing_yet", "en") for note in open_page(None).info)
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    app = open_page(made_up())
    assert not app.exception and any("tiny" in note.value for note in app.info) and len(app.get("plotly_chart")) == 5


def test_the_page_measures_cancels_and_goes_on(open_page, monkeypatch: pytest.MonkeyPatch) -> None:
    from viz.jobs import registry as jobs

    monkeypatch.setattr("viz.jobs.evidence.sample_documents", lambda: DOCUMENTS)
    app = open_page(None)
    app.button(key="ev_run").click().run()
    job = jobs.latest(app.session_state["_explorer_workspace"].id, "evidence")
    deadline = time.monotonic() + 60
    while job.done == 0 and job.active and time.monotonic() < deadline:
        time.sleep(0.02)
    job.cancel()
    assert job.wait(30)
    app.run()
    assert not app.exception and not app.error
    assert app.button(key="ev_run").label in (message("evidence.run_more", "en"), message("evidence.run", "en"))
    app.button(key="ev_run").click().run()
    job = jobs.latest(app.session_state["_explorer_workspace"].id, "evidence")
    assert job.wait(90)
    app.run()
    assert not app.exception and not app.error
    assert app.button(key="ev_run").label == message("evidence.run_done", "en") and len(app.dataframe)
