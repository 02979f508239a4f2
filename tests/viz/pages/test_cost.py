"""The cost page: a stored result, what is measured in it and what is not, and a run that is cancelled and resumed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.messages import LANGUAGES, message
from model.studies.cost import READERS, CostResult, begin
from tests.support.app import APP, sound
from tests.support.cost import SIZES, made_up
from viz.jobs import registry as jobs


def open_page(language: str = "en", theme: str = "light", **query: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.context = {"locale": language, "theme": theme}
    for name, value in query.items():
        app.query_params[name] = value
    return sound(app.run().switch_page("viz/pages/cost/page.py").run())


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stored_result_is_shown_at_once(tiny: Path, language: str, theme: str) -> None:
    result = made_up(task=begin("tiny").task)
    result.save(tiny / "home" / "cost" / f"{result.task.key}.json")
    app = open_page(language, theme)
    word = message("cost.extrapolated", language, value="").strip()
    assert app.main.header[0].value.count(word) == 2 and "1,000,000" in app.main.header[0].value
    assert len(app.get("plotly_chart")) == 3 and len(app.main.metric) == 5
    drawn = [json.loads(chart.proto.spec)["data"] for chart in app.get("plotly_chart")]
    dashed = [
        {trace["line"]["dash"] for trace in data if trace["mode"] == "lines" and "dash" in trace["line"]}
        for data in drawn
    ]
    assert dashed[0] == {"solid", "dash"} and not dashed[1]  # memory is exact, nothing there is extrapolated
    crossing = message("cost.crossing_name", language)
    assert all(any(trace.get("name") == crossing for trace in data) for data in drawn[:2])
    said = " ".join(element.value for element in app.main.caption)
    assert f"{SIZES.parameters:,}" in said and f"{SIZES.transformer:,}" in said
    longest = result.of("transformer")[-1].length
    app.number_input(key="cs_length").set_value(longest).run()
    assert word not in sound(app).main.header[0].value
    app.number_input(key="cs_low").set_value(1000.0).run()
    assert app.error[0].value  # lowest above highest


def test_a_measurement_is_cancelled_kept_and_resumed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viz.pages.cost.view.BUDGETS", (1, 60))
    app = open_page()
    assert any(note.value == message("cost.nothing_yet", "en") for note in app.info)
    app.select_slider(key="cs_budget").set_value(1).run()
    app.button(key="cs_run").click().run()
    job = jobs.latest(app.session_state["_explorer_workspace"].id, "cost")
    deadline = time.monotonic() + 60
    while job.done == 0 and job.active and time.monotonic() < deadline:
        time.sleep(0.02)
    job.cancel()
    assert job.wait(30)
    sound(app.run())
    app.select_slider(key="cs_budget").set_value(1).run()
    app.button(key="cs_run").click().run()
    job = jobs.latest(app.session_state["_explorer_workspace"].id, "cost")
    assert job.wait(60)
    sound(app.run())
    assert app.main.header and {chart.proto.id for chart in app.get("plotly_chart")}
    (file,) = (app.session_state["_explorer_workspace"].folder / "cost").glob("*.json")
    result = CostResult.load(file)
    assert result.complete and {point.reader for point in result.points} == set(READERS)
    assert app.button(key="cs_run").label == message("cost.run_done", "en")
