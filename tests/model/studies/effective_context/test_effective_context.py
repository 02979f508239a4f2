"""Effective remembrance: the same numbers as one pass per suffix, the laws it must obey, and its page."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import numpy as np
import plotly.io
import pytest

from model.config import ModelConfig
from model.errors import UserError
from model.experiment import Strategy
from model.messages import LANGUAGES, message
from model.studies.effective_context import (
    EffectiveContextResult,
    EffectiveContextTask,
    kept_lengths,
    run_effective_context,
    sharing_tokenizer,
)
from model.studies.passkey import Reader
from tests.support.app import APP

VOCABULARY = 50


@pytest.fixture(scope="module")
def model():
    """Random weights, in float64, that remember for long and write enough to be seen."""
    import torch

    from model.arch.lm import LanguageModel

    torch.manual_seed(5)
    sizes = {"d_model": 16, "d_state": 8, "headdim": 8, "vocab_size": VOCABULARY, "train_length": 32}
    model = LanguageModel(ModelConfig(layers=("mamba2",) * 2, **sizes))
    with torch.no_grad():
        model.embedding.weight.mul_(40)
        for block in model.blocks:
            block.mixer.out_proj.weight.normal_(std=0.5)
            block.mixer.A_log.sub_(3)
    return model.double().requires_grad_(False)


@pytest.fixture(scope="module")
def tokens():
    return np.random.default_rng(0).integers(0, VOCABULARY, 700).astype(np.int32)


def a_task(**changes) -> EffectiveContextTask:
    settings = {"document": "", "length": 200, "lengths": (1, 3, 17, 64, 65, 100, 199, 200), "ends": 5}
    return EffectiveContextTask(**{**settings, **changes})


def empty(task: EffectiveContextTask) -> EffectiveContextResult:
    return EffectiveContextResult(task=task, reader=Reader(model="tiny"))


def one_by_one(model, tokens, task: EffectiveContextTask, scans=None, state=None) -> dict[int, list[float]]:
    """The definition, one pass over one suffix at a time, in one piece."""
    import torch

    def after(span):
        logits, _ = model(torch.from_numpy(span.astype(np.int64))[None], state, scans)
        return logits[0, -1].softmax(-1)

    return {
        end: [
            float((after(tokens[end - n : end]) - after(tokens[end - task.length : end])).abs().sum() / 2)
            for n in task.lengths
        ]
        for end in task.end_points(len(tokens))
    }


def settings_of(model, name: str):
    """Scans and an initial state, by name: what a reader may be."""
    import torch

    from kernels.cpu.chunked import chunked_scan
    from model.interventions.mitigations import mitigated
    from model.state import map_state

    noise = torch.Generator().manual_seed(1)
    state = map_state(model.zero_state(), lambda tensor: tensor + torch.randn(tensor.shape, generator=noise).double())
    mitigations = {"plain": {}, "noise": {}, "decay": {"decay": 4.0}, "window": {"window": 40}}[name]
    scans = [mitigated(chunked_scan, mitigations)] * 2 if mitigations else None
    return {"scans": scans, "state": state if name in ("noise", "window") else None}


@pytest.mark.parametrize("name", ["plain", "noise", "decay", "window"])
def test_batches_give_what_one_pass_per_suffix_gives(model, tokens, monkeypatch, name):
    monkeypatch.setattr("model.reading.stream.SEGMENT", 64)
    task, settings = a_task(), settings_of(model, name)
    result = run_effective_context(model, tokens, empty(task), **settings)
    expected = one_by_one(model, tokens, task, **settings)
    assert result.complete and result.distances.keys() == expected.keys()
    for end, row in expected.items():
        assert result.distances[end] == pytest.approx(row, abs=1e-9)
    values = np.array(list(result.distances.values()))
    assert (values >= 0).all() and (values <= 1).all()
    assert (values[:, -1] == 0).all()  # t = 0: nothing was forgotten
    assert values[:, 0].min() > 0.01  # and forgetting all but a token does change something


def test_it_does_not_depend_on_how_many_are_read_at_once(model, tokens, monkeypatch):
    together = run_effective_context(model, tokens, empty(a_task()))
    monkeypatch.setattr("model.studies.effective_context.run.WORK", 1)
    alone = run_effective_context(model, tokens, empty(a_task()))
    assert alone.distances.keys() == together.distances.keys()
    for end, row in together.distances.items():
        assert alone.distances[end] == pytest.approx(row, abs=1e-9)


@pytest.mark.parametrize("window", [5, 24, 70])
def test_a_window_reaches_as_far_as_its_layers_and_no_token_farther(model, tokens, window):
    from kernels.cpu.chunked import chunked_scan
    from model.interventions.mitigations import mitigated

    layers, taps = len(model.config.layers), model.config.d_conv
    # An output sees window - 1 older inputs of its scan, and each of these taps - 1 older inputs of its layer.
    seen = 1 + layers * (window - 1 + taps - 1)
    task = a_task(length=300, lengths=(1, seen - 1, seen, seen + 9, 299), ends=4)
    result = run_effective_context(
        model, tokens, empty(task), scans=[mitigated(chunked_scan, {"window": window})] * layers
    )
    values = np.array(list(result.distances.values()))
    assert values[:, 2:].max() < 1e-12  # rounding: the grid of chunks begins elsewhere
    assert values[:, 1].max() > 1e-9
    plain = np.array(list(run_effective_context(model, tokens, empty(task)).distances.values()))
    assert plain[:, 2].max() > 1e-4


def test_a_state_that_overflows_ends_the_test_with_a_sentence(model, tokens):
    from model.state import map_state

    state = map_state(model.zero_state(), lambda tensor: tensor + math.inf)
    with pytest.raises(UserError, match="scores of the next token are not finite"):
        run_effective_context(model, tokens, empty(a_task()), state=state)


def test_cancel_stops_within_a_batch_and_a_second_run_does_only_the_rest(model, tokens, monkeypatch):
    monkeypatch.setattr("model.studies.effective_context.run.WORK", 64 * 200 * 2)  # two end points at once
    task = a_task(ends=6)
    whole = run_effective_context(model, tokens, empty(task))
    seen: list[tuple[int, int]] = []

    def report(result, done):
        seen.append((len(result.distances), done))

    part = run_effective_context(
        model, tokens, empty(task), report=report, stop=lambda: seen[-1][1] > 3 * task.tokens_per_end
    )
    assert 0 < len(part.distances) < 6 and not part.complete
    assert all(part.distances[end] == pytest.approx(whole.distances[end]) for end in part.distances)
    assert seen == sorted(seen) and seen[-1][1] < 5 * task.tokens_per_end
    first, last = min(part.distances), max(part.distances)
    assert last - first >= (len(tokens) - task.length) // 2  # a part already speaks for the whole document

    done: list[int] = []
    rest = run_effective_context(model, tokens, part, report=lambda result, read: done.append(read))
    assert rest.complete and done[0] == part.tokens and done[-1] == task.tokens == whole.tokens
    assert all(rest.distances[end] == pytest.approx(whole.distances[end]) for end in whole.distances)


def a_result(rows: list[list[float]], **changes) -> EffectiveContextResult:
    task = a_task(length=1024, lengths=(1, 32, 64, 512, 1000)[: len(rows[0])], ends=len(rows))
    distances = {100 + place: tuple(row) for place, row in enumerate(rows)}
    return EffectiveContextResult(
        task=task, reader=Reader(model="tiny", strategy=Strategy(**changes)), distances=distances, seconds=2.0
    )


def test_mean_interval_and_reach():
    from scipy.stats import t as student

    result = a_result([[0.9, 0.5, 0.1, 0.05, 0.0], [0.7, 0.3, 0.3, 0.01, 0.0], [0.8, 0.1, 0.2, 0.03, 0.0]])
    curve = result.curve()
    assert curve.mean == pytest.approx([0.8, 0.3, 0.2, 0.03, 0])
    half = student.ppf(0.975, 2) * np.std([0.5, 0.3, 0.1], ddof=1) / math.sqrt(3)
    assert (curve.low[1], curve.high[1]) == pytest.approx((max(0, 0.3 - half), 0.3 + half), abs=1e-3)
    assert (curve.low >= 0).all() and (curve.high <= 1).all()
    assert result.reach() == pytest.approx(64 * 8 ** (0.15 / 0.17)) and not result.open_ended()
    assert result.moved(32) == pytest.approx(0.3) and result.moved(33) is None
    far = a_result([[0.9, 0.9, 0.9, 0.9, 0.9]])
    assert far.reach() == 1000 and far.open_ended()
    assert (far.curve().low[0], far.curve().high[0]) == (0, 1)  # one place tells nothing of the others
    none = a_result([[0.0, 0.0]])
    assert none.reach() == 0 and not none.open_ended()
    nothing = empty(a_task())
    assert np.isnan(nothing.curve().mean).all() and not nothing.open_ended() and not nothing.complete


def test_lengths_and_end_points():
    lengths = kept_lengths(4096, 256)
    assert lengths[0] == 1 and lengths[-2:] == (3072, 3840) and 256 in lengths and len(lengths) == 16
    assert list(lengths) == sorted(set(lengths))
    assert kept_lengths(32, 16)[-1] == 30
    assert a_task(ends=3).end_points(700) == [200, 450, 700]
    assert a_task(ends=1).end_points(700) == [700]
    assert a_task(ends=5).end_points(204) == [200, 201, 202, 203, 204]


def test_a_result_survives_its_file(tmp_path):
    result = a_result([[0.5, 0.1], [0.4, 0.2]], mitigations=(("decay", 4.0),))
    path = tmp_path / "new" / "result.json"
    result.save(path)
    assert EffectiveContextResult.load(path) == result
    assert EffectiveContextResult.load(path).key == result.key != replace(result, reader=Reader(model="tiny")).key
    for broken in ("", "[]", '{"format": 1}', json.dumps({**json.loads(path.read_text()), "distances": [[1, 2]]})):
        path.write_text(broken)
        with pytest.raises(UserError, match=r"result\.json"):
            EffectiveContextResult.load(path)
    path.write_text('{"format": 99}')
    with pytest.raises(UserError, match="newer"):
        EffectiveContextResult.load(path)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"lengths": ()}, "lengths"),
        ({"lengths": (0, 5)}, "lengths"),
        ({"lengths": (5, 201)}, "lengths"),
        ({"ends": 0}, "ends"),
        ({"length": 10**9}, "too_much"),
        ({"length": 697}, "too_short"),
    ],
)
def test_what_does_not_fit_is_one_sentence_in_every_language(model, tokens, changes, key):
    with pytest.raises(UserError) as caught:
        run_effective_context(model, tokens, empty(a_task(**changes)))
    assert caught.value.key == f"effective_context.{key}"
    for language in LANGUAGES:
        sentence = caught.value.sentence(language)
        assert sentence and "{" not in sentence and sentence.count("\n") == 0


def test_the_picture_has_a_line_and_a_band_for_each_reader():
    from viz.pages.effective_context.figures import figure, table

    results = [a_result([[0.9, 0.5, 0.1], [0.7, 0.3, 0.3]]), a_result([[0.2, 0.1, 0.0], [0.3, 0.1, 0.0]])]
    drawn = figure([*results, empty(results[0].task)], ["plain", "treated", "later"], train_length=32, dark=True)
    lines = [trace for trace in drawn.data if trace.mode == "lines+markers"]
    assert [trace.name for trace in lines] == ["plain", "treated"] and len(drawn.data) == 6
    assert list(lines[0].x) == [1, 32, 64] and list(lines[0].y) == pytest.approx([0.8, 0.4, 0.2])
    assert lines[0].line.color != lines[1].line.color and lines[0].line.dash != lines[1].line.dash
    assert 32 in {shape.x0 for shape in drawn.layout.shapes}
    assert len(plotly.io.to_json(drawn)) < 100_000
    assert list(table(results, ["plain", "treated"])["forgotten_tokens"][:3]) == [1023, 992, 960]


def test_the_sentence_on_top_follows_the_numbers(monkeypatch):
    from viz.pages.effective_context import view as remembrance

    monkeypatch.setattr(remembrance, "t", lambda key, **values: message(key, "en", **values))
    farther = remembrance.finding(a_result([[0.9, 0.5, 0.4, 0.3, 0.2]]), "Plain model", 32)
    assert "1,000 tokens back or more" in farther and "older than 32 tokens changes 50% of it" in farther
    far = remembrance.finding(a_result([[0.9, 0.08, 0.07, 0.03, 0.0]]), "Plain model", 32)
    assert "text about 180 tokens back" in far and "changes 8.0% of it" in far
    near = remembrance.finding(a_result([[0.9, 0.02, 0.01, 0.0, 0.0]]), "Plain model", 32)
    assert "the last 28 tokens" in near and "less than 5%" in near
    assert "hardly depends" in remembrance.finding(a_result([[0.01, 0.0]]), "Plain model", 32)


def test_reading_results_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, model.studies.effective_context; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def page(home, monkeypatch):
    """The page in a fresh session, with a tiny model."""
    from streamlit.testing.v1 import AppTest

    from tests.support.tiny import make_tiny_checkpoint

    monkeypatch.setattr("model.checkpoints.catalogue.SHIPPED", home / "none")
    make_tiny_checkpoint(home)
    opened = AppTest.from_file(APP, default_timeout=60).run()
    return opened.switch_page("viz/pages/effective_context/page.py").run()


def until_measured(page, language: str):
    for _ in range(300):
        if page.button(key="rm_run").label == message("effective_context.run_done", language):
            return page
        time.sleep(0.1)
        page.run()
    raise AssertionError("it never ended")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_measures_and_shows_it_again(page, language):
    page.segmented_control(key="lang").set_value(language)
    page.select_slider(key="rm_length").set_value(4)
    page.select_slider(key="rm_ends").set_value(4)
    page.toggle(key="decay").set_value(True).run()
    assert not page.get("plotly_chart") and not page.exception
    page.button(key="rm_run").click().run()
    until_measured(page, language)
    assert not page.exception and not page.error
    traces = json.loads(page.get("plotly_chart")[0].proto.spec)["data"]
    names = [trace["name"] for trace in traces if trace.get("mode") == "lines+markers"]
    assert names[0] == message("effective_context.plain", language) and len(names) == 2
    assert page.main.header[0].value.startswith(message("effective_context.plain", language))
    page.switch_page("viz/pages/passkey/page.py").run()
    page.switch_page("viz/pages/effective_context/page.py").run()
    assert page.button(key="rm_run").disabled and page.get("plotly_chart") and not page.exception
    page.select_slider(key="rm_ends").set_value(8).run()
    assert any(note.value == message("effective_context.shown_other", language) for note in page.caption)
    page.select_slider(key="rm_length").set_value(64)
    page.selectbox(key="doc").set_value("sample:newlines").run()
    assert not page.get("plotly_chart") and page.info and not page.exception


def test_a_document_that_is_too_short_is_said_in_a_sentence(page):
    from tests.support.tiny import tiny_text

    page.file_uploader[0].upload("short.txt", tiny_text(60).encode())
    for _ in range(50):
        if page.run().selectbox(key="doc").value.startswith("upload:"):
            break
        time.sleep(0.1)
    page.button(key="rm_run").click().run()
    for _ in range(100):
        if page.error:
            break
        time.sleep(0.1)
        page.run()
    assert "shorter span" in page.error[0].value and not page.exception


def test_a_second_model_is_offered_if_it_shares_the_tokenizer(page, tmp_path):
    import shutil

    from model.checkpoints.catalogue import load_tokenizer_of
    from model.tokenizer import train_tokenizer

    assert sharing_tokenizer("tiny") == [] and "rm_other" not in page.session_state
    home = tmp_path / "checkpoints"
    for name in ("tuned", "foreign"):
        shutil.copytree(home / "tiny", home / name)
    train_tokenizer(["quite another text"], 300).save(str(home / "foreign" / "tokenizer.json"))
    assert sharing_tokenizer("tiny") == ["tuned"]
    page.run()
    page.select_slider(key="rm_length").set_value(2)
    page.select_slider(key="rm_ends").set_value(4)
    page.selectbox(key="rm_other").set_value("tuned").run()
    page.button(key="rm_run").click().run()
    until_measured(page, "en")
    traces = json.loads(page.get("plotly_chart")[0].proto.spec)["data"]
    lines = [trace for trace in traces if trace.get("mode") == "lines+markers"]
    assert [trace["name"] for trace in lines] == ["Plain model", "tuned"]
    assert lines[0]["y"] == lines[1]["y"]  # the same weights
    load_tokenizer_of.cache_clear()
