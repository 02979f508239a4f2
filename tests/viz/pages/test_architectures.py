"""The page of architectures: stored results with speeds, and a tiny model that is measured and whose card opens."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from model.studies.architectures import Architecture, Speed, Timing, stored_in
from model.studies.architectures import measure as parts
from model.studies.architectures.report import COLUMNS
from model.studies.architectures.run import SHIPPED
from tests.support.app import APP, sound
from tests.support.tiny import tiny_text
from viz.app.theme import GREY
from viz.jobs import registry as jobs
from viz.pages.architectures.evidence import QUESTIONS
from viz.pages.architectures.figures import lines_of


def open_page(**query: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.context = {"locale": "en", "theme": "light"}
    for name, value in query.items():
        app.query_params[name] = value
    return sound(app.run().switch_page("viz/pages/architectures/page.py").run())


def made_up(home: Path, count: int) -> list[Architecture]:
    """``count`` results after a shipped one, some of which were not timed, one of a cache; stored under ``home``."""
    base, found = stored_in([SHIPPED])[0], []
    assert base.readings
    for place in range(count):
        lengths = [2**power for power in range(8, 15)]
        points = tuple(Timing(length=at, seconds=(2 + place) * 1e-5 * at + place * 1e-9 * at**2) for at in lengths)
        speed = None if place == 1 else Speed(machine="CPU", points=points, step=1e-3)
        one = replace(base, name=f"made-up-{place:02}", weights=f"{place:016x}", speed=speed)
        if place == 2:
            readings = {sha: replace(reading, norms=()) for sha, reading in base.readings.items()}
            one = replace(one, layers=("attention_rope",) * 2, readings=readings, gradients=None)
        one.save(home / f"{one.name}.json")
        found.append(one)
    return found


def test_every_value_of_the_matrix_opens_its_evidence(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viz.pages.architectures.job.SHIPPED", tiny / "none")
    results, reads = made_up(tiny / "home" / "architectures", 16), []
    load = Architecture.load
    monkeypatch.setattr(Architecture, "load", lambda path: reads.append(path) or load(path))
    app = open_page()
    assert len(reads) == 16  # each once, though page and matrix ask for them
    assert set(QUESTIONS) == set(COLUMNS)
    assert list(app.selectbox(key="ar_question").options) != list(QUESTIONS.values())
    table = app.dataframe[0].value
    assert list(table.columns) == ["name", *COLUMNS] and len(table) == 16
    whole = len(app.get("plotly_chart"))
    keys = set()
    for question in dict.fromkeys(QUESTIONS.values()):
        app.selectbox(key="ar_question").set_value(question).run()
        charts = len(sound(app).get("plotly_chart"))
        assert charts == 3 + (question != "training") < whole and not app.main.info
        keys.add(app.main.markdown[1].value)
    assert len(keys) == len(set(QUESTIONS.values()))  # each says its own values above its chart
    assert len(reads) == 16
    app.selectbox(key="ar_question").set_value("norm").run()
    app.selectbox(key="ar_model").set_value(results[2].name).run()
    assert "does not apply" in sound(app).main.info[0].value
    for question in ("gradient", "cost"):
        app.selectbox(key="ar_question").set_value(question).run()
        app.selectbox(key="ar_model").set_value(results[2 if question == "gradient" else 1].name).run()
        assert "measured" in sound(app).main.info[0].value


def test_lines_of_sixteen_models_can_be_told_apart(tiny) -> None:
    results = made_up(tiny / "made-up", 16)
    names = [one.name for one in results]
    drawn = lines_of(results, names[:8], names[12], dark=False)
    coloured = {(line["color"], line.get("dash")) for _, line, named in drawn if named}
    assert len(coloured) == 9 and drawn[-1][0].name == names[12]
    assert [line["width"] for _, line, _ in drawn][-1] == max(line["width"] for _, line, _ in drawn) > 2
    assert {line["color"] for _, line, named in drawn if not named} == {GREY}
    again = {one.name: line["color"] for one, line, _ in lines_of(results, names[:8], names[3], dark=False)}
    assert all(again[one.name] == line["color"] for one, line, _ in drawn if one.name in names[:8])


def test_speeds_are_drawn_with_their_crossing(tiny) -> None:
    for place, result in enumerate(stored_in([SHIPPED])[:2]):
        lengths = [2**power for power in range(8, 15)]
        cost = [(2e-5 * at, 1e-5 * at + 1e-8 * at**2)[place] for at in lengths]
        points = tuple(Timing(length=at, seconds=seconds) for at, seconds in zip(lengths, cost, strict=True))
        timed = replace(result, speed=Speed(machine="CPU", points=points, step=1e-3))
        timed.save(tiny / "home" / "architectures" / f"{timed.name}.json")
    names = [result.name for result in stored_in([SHIPPED])]
    app = open_page(ar_model=names[1])
    cost = json.loads(app.get("plotly_chart")[-1].proto.spec)["data"]
    assert [trace["name"] for trace in cost if trace["mode"] == "markers"] == [*names[:2], "Crossing"]
    assert any("from 1,000 tokens on" in element.value for element in app.main.markdown)
    assert app.selectbox(key="ar_model").value == names[1]
    assert not [button for button in app.button if button.key == "ar_card"]  # this home has one model, the tiny one


def test_a_tiny_model_is_measured_from_the_page(tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"ab" * 32: ("notes.txt", tiny_text(5000, seed=2))}
    monkeypatch.setattr("viz.pages.architectures.job.sample_texts", lambda: texts)
    monkeypatch.setattr("viz.pages.architectures.job.SHIPPED", tiny / "none")
    monkeypatch.setattr("model.studies.architectures.run.TOKENS", 1024)
    for name, value in (("TRIALS", 1), ("DEPTHS", (0.5,)), ("LONGEST", 4), ("LAST", 2048), ("LEAST", 0.0)):
        monkeypatch.setattr(parts, name, value)
    app = open_page()
    assert not app.get("plotly_chart") and app.info[0].value
    app.multiselect(key="ar_measure").set_value(["tiny"]).run()
    app.button(key="ar_run").click().run()
    end = time.monotonic() + 60
    while any(job.active for job in jobs.registry().jobs()) and time.monotonic() < end:
        time.sleep(0.1)
    sound(app.run())
    assert len(app.get("plotly_chart")) == 9 and "tiny" in app.main.header[0].value
    app.button(key="ar_card").click().run()
    assert sound(app).selectbox(key="shown").value == "tiny"
