"""The passkey page: every question and filler can be asked for, results are listed, compared, kept and linked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import plotly.io
import pytest
from streamlit.testing.v1 import AppTest

from model.experiment import Strategy
from model.messages import message
from model.studies.passkey import PasskeyResult, reader_of
from model.studies.passkey.questions import QUESTIONS
from tests.support.app import APP
from tests.support.passkey import a_result
from tests.support.tiny import make_tiny_checkpoint, tiny_text
from viz.jobs import registry as jobs

LOCALES = {"en": "en-GB", "ja": "ja-JP"}


@pytest.fixture
def open_page(tmp_path, monkeypatch) -> Callable[..., AppTest]:
    """Opens the page in a new session of ``language``, with a tiny model and two kept results of it."""
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    monkeypatch.setattr("model.checkpoints.catalogue.SHIPPED", tmp_path / "none")
    monkeypatch.setattr("viz.pages.passkey.job.TEST.shipped", tmp_path / "none")
    make_tiny_checkpoint(tmp_path)
    for numbers, settings in (([[10, 0, 1], [10, 3, None]], {}), ([[10, 9, 2], [10, 4, 2], [1, 1, 1]], {"decay": 4.0})):
        made = a_result(numbers)
        task = replace(made.task, lengths=tuple(8 * length for length in made.lengths))
        cells = {(8 * length, depth): cell for (length, depth), cell in made.cells.items()}
        result = PasskeyResult(task=task, reader=reader_of("tiny", Strategy.of(mitigations=settings)), cells=cells)
        result.save(tmp_path / "passkey" / f"{result.key}.json")

    def start(language: str = "en", **query: str) -> AppTest:
        app = AppTest.from_file(APP, default_timeout=60)
        app.context = {"locale": LOCALES[language], "theme": "light"}
        for name, value in query.items():
            app.query_params[name] = value
        return app.run().switch_page("viz/pages/passkey/page.py").run()

    return start


def kept(tmp_path) -> list[PasskeyResult]:
    found = [PasskeyResult.load(file) for file in (tmp_path / "passkey").glob("*.json")]
    return sorted(found, key=lambda result: not result.reader.plain)


def sound(page: AppTest) -> AppTest:
    assert not page.exception, page.exception[0].value
    assert not page.error, page.error[0].value
    return page


def charts(page: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def run(page: AppTest) -> AppTest:
    page.button(key="pk_run").click().run()
    for _ in range(300):
        if page.button(key="pk_run").label == message("passkey.run_done", page.session_state["lang"]):
            return sound(page)
        time.sleep(0.1)
        sound(page.run())
    raise AssertionError("it never ended")


@pytest.mark.parametrize("language", LOCALES)
def test_a_link_shows_two_results_and_where_they_differ(open_page, tmp_path, language):
    plain, mitigated = kept(tmp_path)
    page = sound(open_page(language, pk_result=plain.key, pk_other=mitigated.key, pk_prompt="true"))
    assert page.selectbox(key="pk_result").value == plain.key
    maps, difference = charts(page)[:2]
    drawn = [trace for trace in maps["data"] if trace["type"] == "heatmap"]
    assert [trace["text"] for trace in drawn] == [
        [["1.00", "0.00", "0.10"], ["1.00", "0.30", ""]],
        [["1.00", "0.90", "0.20"], ["0.10", "0.10", "0.10"]],  # depths 0 and 1 alone are common
    ]
    texts = next(trace for trace in difference["data"] if trace["type"] == "heatmap")["text"]
    assert texts == [["0.00", "+0.90*", "+0.10"], ["-0.90*", "-0.20", ""]]
    assert sum(shape["type"] == "rect" for shape in difference["layout"]["shapes"]) == 2
    assert len(page.metric) == 2


def test_a_link_to_a_result_that_is_not_here_says_so(open_page):
    page = sound(open_page(pk_result="ffffffffffff"))
    assert any("not available" in note.value for note in page.info)
    assert page.selectbox(key="pk_result").value == "settings"


def test_every_question_has_its_controls(open_page):
    page = open_page()
    for name, row in QUESTIONS.items():
        sound(page.selectbox(key="pk_question").set_value(name).run())
        boxes = {box.key for box in page.number_input}
        assert (f"pk_count_{name}" in boxes) == (row.high > row.low)
        assert ("pk_digits" in boxes) == row.sized
        assert ("pk_shape" in {box.key for box in page.selectbox}) == row.shaped


def test_an_own_document_is_tested_listed_kept_and_seen_by_others(open_page, tmp_path):
    page = open_page("ja")
    page.file_uploader[0].upload("mine.txt", tiny_text(900).encode())
    for _ in range(100):
        page.run()
        uploads = [option for option in page.selectbox(key="pk_filler").options if option == "mine.txt"]
        if uploads:
            break
        time.sleep(0.1)
    key = page.session_state["doc"]
    assert key.startswith("upload:")
    page.selectbox(key="pk_filler").set_value(key)
    page.selectbox(key="pk_question").set_value("pairs").run()
    page.number_input(key="pk_count_pairs").set_value(2)
    page.selectbox(key="pk_shape").set_value("hex")
    page.select_slider(key="pk_longest").set_value(4)
    page.slider(key="pk_depths").set_value(2)
    page.number_input(key="pk_trials").set_value(2).run()
    run(page)
    mine = next(iter(page.session_state["_explorer_workspace"].folder.glob("passkey/*.json"))).stem
    assert any("mine.txt" in option for option in page.selectbox(key="pk_result").options)
    sound(page.button(key=f"pk_keep_{mine}").click().run())
    assert (tmp_path / "passkey" / f"{mine}.json").exists()
    task = PasskeyResult.load(tmp_path / "passkey" / f"{mine}.json").task
    assert (task.question, task.count, task.shape, task.filler) == ("pairs", 2, "hex", "text")
    other = sound(open_page("en", pk_result=mine, pk_prompt="true"))
    assert not any("mine.txt" in option for option in other.selectbox(key="pk_result").options)
    assert other.selectbox(key="pk_result").value == mine
    assert any("is not here" in note.value for note in other.caption)


def test_a_cancelled_test_keeps_what_there_is_and_can_go_on(open_page):
    page = open_page()
    page.select_slider(key="pk_longest").set_value(32)
    page.slider(key="pk_depths").set_value(11)
    page.number_input(key="pk_trials").set_value(20).run()
    page.button(key="pk_run").click().run()
    folder = page.session_state["_explorer_workspace"].folder / "passkey"
    for _ in range(600):
        if any(folder.glob("*.json")):
            break
        time.sleep(0.05)
    job = jobs.latest(page.session_state["_explorer_workspace"].id, "passkey")
    page.run().button(key=f"cancel-{job.id}").click().run()
    assert job.wait(20)
    sound(page.run())
    assert page.button(key="pk_run").label == message("passkey.run_more", "en")
    drawn = charts(page)[0]["data"]
    texts = {text for trace in drawn if trace["type"] == "heatmap" for row in trace["text"] for text in row}
    assert "" in texts and len(texts) > 1
    result = next(PasskeyResult.load(file) for file in folder.glob("*.json"))
    assert {depth for _, depth in result.cells} <= set(result.task.depths[::2])  # the coarse half first
    sound(page.button(key="pk_run").click().run())
    again = jobs.latest(page.session_state["_explorer_workspace"].id, "passkey")
    again.cancel()
    assert again.wait(20) and again.error is None


@pytest.mark.parametrize("language", LOCALES)
def test_a_cell_is_looked_into(open_page, tmp_path, language):
    plain, mitigated = kept(tmp_path)
    page = open_page(language, pk_result=plain.key, pk_other=mitigated.key, pk_prompt="true")
    sound(page.selectbox(key="pk_length").set_value(512).run())
    before = [chart["data"] for chart in charts(page)]
    drawn = len(before)
    page.button(key="pk_look").click().run()
    for _ in range(300):
        if len(charts(sound(page))) > drawn:
            break
        time.sleep(0.1)
        page.run()
    digits, norms = (chart for chart in charts(page) if chart["data"] not in before)
    maps = [trace for trace in digits["data"] if trace["type"] == "heatmap"]
    assert len(maps) == 2 and len(maps[0]["text"]) == plain.task.trials
    assert len(norms["data"]) == 4  # two layers of two readers
    assert "pk_look" not in {button.key for button in page.button}
    sound(page.selectbox(key="pk_trial").set_value(3).run())
    assert len(charts(page)) == drawn + 2


def test_pictures_of_a_cell():
    from model.studies.passkey.explain import Explained
    from viz.pages.passkey.cell_figures import digits, digits_table, norms, norms_table, spoken

    random = np.random.default_rng(0)
    explained = Explained(
        keys=("12", "34"),
        right=(("1", "2"), ("3", "4")),
        said=(("1", "2"), ("3", "\n")),
        probability=random.random((2, 2)),
        position=np.arange(0, 64 * 2001, 64),
        norms=random.random((2, 2001, 6)),
        needles=((640, 660), (640, 660)),
        queries=(128_000, 128_000),
    )
    assert explained.correct == (True, False)
    known = [("plain", explained), ("mitigated", explained)]
    drawn = digits(known, dark=False)
    assert [list(row) for row in drawn.data[0].text] == [["1", "2"], ["3", "4→↵"]]
    assert (drawn.layout.coloraxis.cmin, drawn.layout.coloraxis.cmax) == (0, 1)
    assert spoken("7", "<b") == "7→&lt;b"
    lines = norms(known, 1, dark=True)
    assert len(lines.data) == 2  # six layers are drawn together
    assert len(digits_table(known)) == 8 and len(norms_table(known, 0)) == 2 * 2001 * 6
    for made in (drawn, lines):
        assert len(plotly.io.to_json(made)) < 200_000


def test_the_difference_marks_clear_cells_and_hatches_the_rest():
    from viz.pages.passkey.difference import counts, figure, table

    first, second = a_result([[10, 10, None], [10, 0, 0]]), a_result([[10, 0, 3], [None, 1, 0]])
    drawn = figure(first, second, train_length=64, dark=True)
    maps = next(trace for trace in drawn.data if trace.type == "heatmap")
    assert [list(row) for row in maps.text] == [["0.00", "-1.00*", ""], ["", "+0.10", "0.00"]]
    hatched = next(trace for trace in drawn.data if trace.type == "bar")
    assert list(zip(hatched.x, (base + 0.5 for base in hatched.base), strict=True)) == [(2, 0), (0, 1)]
    frames = [shape for shape in drawn.layout.shapes if shape.type == "rect"]
    assert [(round(shape.x0), round(shape.y0)) for shape in frames] == [(1, 0)]
    assert counts(first, second) == (0, 1, 4) and len(table(first, second)) == 4
    assert (drawn.layout.coloraxis.cmin, drawn.layout.coloraxis.cmax) == (-1, 1)
    assert len(plotly.io.to_json(drawn)) < 50_000
