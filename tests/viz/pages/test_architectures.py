"""The page of architectures: stored results with speeds, and a tiny model that is measured and whose card opens."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from model.studies.architectures import Speed, Timing, stored_in
from model.studies.architectures import measure as parts
from model.studies.architectures.run import SHIPPED
from tests.support.app import APP, sound
from tests.support.tiny import tiny_text
from viz.jobs import registry as jobs


def open_page(**query: str) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.context = {"locale": "en", "theme": "light"}
    for name, value in query.items():
        app.query_params[name] = value
    return sound(app.run().switch_page("viz/pages/architectures/page.py").run())


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
    assert len(app.get("plotly_chart")) == 7 and "tiny" in app.main.header[0].value
    app.button(key="ar_card").click().run()
    assert sound(app).selectbox(key="shown").value == "tiny"
