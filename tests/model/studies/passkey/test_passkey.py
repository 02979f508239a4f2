"""The passkey test: prompts of exactly the length they say, answers that do not depend on how they are batched."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace

import numpy as np
import plotly.io
import pytest

from model.errors import UserError
from model.messages import LANGUAGES, catalogue, message
from model.studies.passkey import (
    Cell,
    PasskeyResult,
    Prompts,
    Reader,
    doubling_lengths,
    even_depths,
    wilson,
)
from model.studies.passkey.cell_by_cell import run_passkey
from model.studies.passkey.fork import run_forked
from model.studies.recall import PASSKEYS
from tests.support.app import APP
from tests.support.passkey import DOCUMENT, a_result, a_task, empty


@pytest.mark.parametrize("language", PASSKEYS)
@pytest.mark.parametrize("filler", ["sentence", "newlines", "text"])
def test_prompts_are_exactly_as_long_as_they_say_and_hold_the_key_where_it_belongs(tokenizer, language, filler):
    lengths = (*range(130, 145), 512, 999)
    task = a_task(language=language, filler=filler, lengths=lengths, depths=even_depths(7), digits=5)
    prompts = Prompts(task, tokenizer, DOCUMENT)
    form = PASSKEYS[language]
    for length in lengths:
        for depth in task.depths:
            prompt = prompts.prompt(length, depth, trial=1)
            assert prompt.ids.shape == (length,)
            before, needle, after, query = prompt.pieces(tokenizer)
            assert needle == form.needle.format(key=prompt.key)
            assert query + prompt.key == form.query.format(key=prompt.key)
            assert tokenizer.decode(prompt.ids.tolist()) == before + needle + after + query == prompt.text(tokenizer)
            assert "\ufffd" not in before + after  # no character is cut in two
            filler = length - prompts.least
            place = depth * filler if 16 * prompts.least > filler else min(depth * length, filler)
            assert abs(prompt.needle_start - place) < 5
            assert (not before) if depth == 0 else (not after) if depth == 1 else (before and after)
            assert tokenizer.decode(prompt.key_ids.tolist()) == prompt.key
            assert len(prompt.key_ids) == len(prompt.key) == 5


def test_prompts_of_a_trial_share_their_beginning(tokenizer):
    prompts = Prompts(a_task(filler="text"), tokenizer, DOCUMENT)
    short, long = (prompts.prompt(length, 1.0, trial=0).ids for length in (200, 400))
    assert (short[:100] == long[:100]).all()
    assert (short[:50] != prompts.prompt(200, 1.0, trial=1).ids[:50]).any()


def test_keys_differ_between_trials_and_seeds_and_not_between_runs(tokenizer):
    def keys(**changes):
        prompts = Prompts(a_task(digits=9, **changes), tokenizer)
        return [prompts.prompt(240, 0.5, trial).key for trial in range(4)]

    assert keys() == keys()
    assert len(set(keys()) | set(keys(seed=1))) == 8


def test_answers_do_not_depend_on_the_batch(model, tokenizer, monkeypatch):
    from model.studies.passkey import cell_by_cell

    monkeypatch.setattr("model.reading.stream.SEGMENT", 50)
    prompts = Prompts(a_task(), tokenizer)
    together = run_passkey(model, prompts, empty(prompts.task))
    monkeypatch.setattr(cell_by_cell, "WORK", 1)
    alone = run_passkey(model, prompts, empty(prompts.task))
    assert together.complete and together.cells.keys() == alone.cells.keys()
    for place, cell in together.cells.items():
        assert cell[:2] == alone.cells[place][:2]
        assert cell.probability == pytest.approx(alone.cells[place].probability, rel=1e-9)


def test_answers_are_those_of_greedy_decoding_token_by_token(model, tokenizer, monkeypatch):
    import torch

    from model.studies.passkey.answer import answer

    monkeypatch.setattr("model.reading.stream.SEGMENT", 50)
    task = a_task(digits=1, trials=8, lengths=(120,))
    prompts = Prompts(task, tokenizer)
    batch = [prompts.prompt(120, depth, trial) for depth in task.depths for trial in range(task.trials)]
    found = answer(model, batch, None, None)
    assert 0 < found[:, 1].sum() < len(batch)  # some right, some wrong: both kinds are compared
    for prompt, (_, right) in zip(batch, found, strict=True):
        ids, said = prompt.ids.tolist(), []
        for _ in prompt.key_ids:
            logits, _ = model(torch.tensor([ids]))
            said.append(int(logits[0, -1].argmax()))
            ids.append(said[-1])
        assert bool(right.all()) == (said == prompt.key_ids.tolist())


def test_scans_and_initial_state_reach_every_row(model, tokenizer):
    import torch

    from kernels.cpu.chunked import chunked_scan
    from model.interventions.mitigations import mitigated
    from model.state import map_state

    prompts = Prompts(a_task(lengths=(120,)), tokenizer)
    plain = run_passkey(model, prompts, empty(prompts.task))
    same = run_passkey(model, prompts, empty(prompts.task), scans=[chunked_scan] * 2, state=model.zero_state())
    assert same.cells == plain.cells
    noise = map_state(model.zero_state(), lambda tensor: tensor + 3 * torch.randn_like(tensor))
    for changed in ({"state": noise}, {"scans": [mitigated(chunked_scan, {"insertion": 0.1})] * 2}):
        other = run_passkey(model, prompts, empty(prompts.task), **changed)
        assert all(other.cells[place].probability != cell.probability for place, cell in plain.cells.items())


@pytest.mark.parametrize("run", [run_passkey, run_forked])
def test_scores_that_are_not_finite_end_the_test_with_a_sentence(model, tokenizer, run):
    from model.state import map_state

    task = a_task(lengths=(128,), depths=(0.0, 1.0), trials=2)
    state = map_state(model.zero_state(), lambda tensor: tensor + math.inf)
    with pytest.raises(UserError, match="scores of the next token are not finite"):
        run(model, Prompts(task, tokenizer), empty(task), state=state)


def test_cancel_keeps_finished_cells_and_a_second_run_does_only_the_rest(model, tokenizer, monkeypatch):
    from model.studies.passkey import cell_by_cell

    monkeypatch.setattr(cell_by_cell, "WORK", 64 * 240)  # two rows of 120 tokens at once
    task = a_task(trials=3)
    prompts = Prompts(task, tokenizer)
    whole = run_passkey(model, prompts, empty(task))
    seen: list[tuple[int, int]] = []

    def report(result, done):
        seen.append((len(result.cells), done))

    part = run_passkey(model, prompts, empty(task), report=report, stop=lambda: bool(seen) and seen[-1][0] >= 4)
    assert 4 <= len(part.cells) < 6 and not part.complete
    assert all(part.cells[place] == pytest.approx(whole.cells[place]) for place in part.cells)
    assert list(part.cells) == task.cells[: len(part.cells)]  # short texts first, depth by depth
    assert seen == sorted(seen) and seen[-1][1] <= task.tokens

    done: list[int] = []
    rest = run_passkey(model, prompts, part, report=lambda result, tokens: done.append(tokens))
    assert rest.complete and done[0] == part.tokens and done[-1] == task.tokens
    assert all(rest.cells[place] == pytest.approx(whole.cells[place]) for place in task.cells)
    assert rest.seconds > part.seconds


@pytest.mark.parametrize(
    ("correct", "trials", "low", "high"),
    # Newcombe 1998, table I: Wilson's score method without continuity correction.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(correct, trials, low, high):
    assert wilson(correct, trials) == pytest.approx((low, high), abs=5e-5)
    mirrored = wilson(trials - correct, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)
    assert wilson(0, 0) == (0, 1)


def test_recall_length_needs_every_depth():
    result = a_result([[10, 10, 9, None], [10, 10, 10, 10]])
    assert result.lengths == [32, 64, 128, 256]
    assert result.by_length()[128] == Cell(19, 20, pytest.approx(0.95))
    assert list(result.by_length()) == [32, 64, 128]
    assert result.t_recall == 64  # 19 of 20 is not above 95 %
    assert a_result([[9, 0], [10, 0]]).t_recall is None
    assert np.isnan(result.accuracy()[0, 3]) and result.accuracy()[1, 3] == 1
    assert result.tokens == 10 * (2 * (32 + 64 + 128) + 256)


def test_a_result_survives_its_file(tmp_path):
    result = a_result([[10, 7, None], [10, 3, 0]], mitigations=(("decay", 4.0),))
    path = tmp_path / "new" / "result.json"
    result.save(path)
    assert PasskeyResult.load(path) == result
    assert PasskeyResult.load(path).key == result.key != replace(result, reader=Reader(model="tiny")).key
    for broken in ("", "[]", '{"format": 1}', json.dumps({**json.loads(path.read_text()), "cells": [[1, 2]]})):
        path.write_text(broken)
        with pytest.raises(UserError, match=r"result\.json"):
            PasskeyResult.load(path)
    path.write_text('{"format": 99}')
    with pytest.raises(UserError, match="newer"):
        PasskeyResult.load(path)


@pytest.mark.parametrize(
    ("changes", "text", "key"),
    [
        ({"depths": (0.0, 1.1)}, "", "depth"),
        ({"depths": (float("nan"),)}, "", "depth"),
        ({"depths": ()}, "", "empty"),
        ({"lengths": ()}, "", "empty"),
        ({"lengths": (30, 400)}, "", "too_short"),
        ({"digits": 0}, "", "digits"),
        ({"trials": 0}, "", "trials"),
        ({"lengths": (10**9,)}, "", "too_much"),
        ({"language": "xx"}, "", "language"),
        ({"filler": "poem"}, "", "filler"),
        ({"filler": "text"}, "", "no_text"),
        ({"filler": "text"}, " \n\n ", "no_text"),
    ],
)
def test_what_does_not_fit_is_one_sentence_in_every_language(tokenizer, changes, text, key):
    with pytest.raises(UserError) as caught:
        Prompts(a_task(**changes), tokenizer, text)
    assert caught.value.key == f"passkey.{key}"
    for language in LANGUAGES:
        sentence = caught.value.sentence(language)
        assert sentence and "{" not in sentence and sentence.count("\n") == 0


def test_every_message_is_in_every_language():
    for name, sentences in catalogue().items():
        if name.startswith("passkey."):
            assert set(sentences) == set(LANGUAGES), name


def test_lengths_and_depths():
    assert doubling_lengths(256, 4) == (128, 256, 512, 1024)
    assert even_depths(5) == (0, 0.25, 0.5, 0.75, 1) and even_depths(1) == (0.5,)


def test_reading_results_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, model.studies.passkey; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_map_prints_every_cell_and_hatches_what_was_not_run():
    from viz.pages.passkey.figures import curve, figure, table

    results = [a_result([[10, 7, None], [10, 3, 0]]), a_result([[10, 10, None], [10, 9, None]])]
    titles = ["plain", "treated"]
    drawn = figure(results, titles, train_length=64, dark=False)
    maps = [trace for trace in drawn.data if trace.type == "heatmap"]
    hatched = [trace for trace in drawn.data if trace.type == "bar"]
    assert [list(row) for row in maps[0].text] == [["1.00", "0.70", ""], ["1.00", "0.30", "0.00"]]
    assert (drawn.layout.coloraxis.cmin, drawn.layout.coloraxis.cmax) == (0, 1)
    assert [(bar.x, tuple(base + 0.5 for base in bar.base)) for bar in hatched] == [((2,), (0,)), ((2, 2), (0, 1))]
    assert all(bar.marker.pattern.shape == "/" for bar in hatched)
    assert {shape.x0 for shape in drawn.layout.shapes} == {1.5}  # after the training length, in both maps
    frames = next(trace for trace in drawn.data if trace.type == "scatter")
    place = list(zip(frames.x, frames.y, strict=True)).index((1, 1))
    assert list(frames.customdata[place][2:6]) == [3, 10, *wilson(3, 10)]
    lines = curve(results, titles, train_length=64, dark=True)
    assert list(lines.data[0].x) == [32, 64] and list(lines.data[0].y) == [1, 0.5]
    assert len(table(results, titles)) == 5 + 4
    for made in (drawn, lines):
        assert len(plotly.io.to_json(made)) < 100_000


def test_nothing_run_yet_is_a_picture_too():
    from viz.pages.passkey.figures import curve, figure

    nothing = a_result([[None, None], [None, None]])
    drawn = figure([nothing], [""], train_length=64, dark=False)
    assert sum(len(trace.x) for trace in drawn.data if trace.type == "bar") == 4
    assert len(curve([nothing], ["plain"], train_length=64, dark=False).data[0].x) == 0


@pytest.fixture
def page(home, monkeypatch):
    """The page in a fresh session, with a tiny model."""
    from streamlit.testing.v1 import AppTest

    from tests.support.tiny import make_tiny_checkpoint

    monkeypatch.setattr("model.checkpoints.catalogue.SHIPPED", home / "none")
    make_tiny_checkpoint(home)
    opened = AppTest.from_file(APP, default_timeout=60)
    opened.query_params["pk_prompt"] = "true"
    return opened.run().switch_page("viz/pages/passkey/page.py").run()


def maps_of(page) -> list[dict]:
    traces = json.loads(page.get("plotly_chart")[0].proto.spec)["data"]
    return [trace for trace in traces if trace["type"] == "heatmap"]


def test_the_page_runs_a_test_and_fills_the_map(page):
    page.select_slider(key="pk_longest").set_value(4)
    page.slider(key="pk_depths").set_value(3)
    page.number_input(key="pk_trials").set_value(2)
    page.selectbox(key="pk_language").set_value("ja")
    page.segmented_control(key="lang").set_value("ja")
    page.toggle(key="decay").set_value(True).run()
    assert all(text == "" for drawn in maps_of(page) for row in drawn["text"] for text in row)
    page.button(key="pk_run").click().run()
    for _ in range(200):
        if page.button(key="pk_run").label == message("passkey.run_done", "ja"):
            break
        time.sleep(0.1)
        page.run()
    assert not page.exception and not page.error
    plain, treated = maps_of(page)
    assert all(text == "0.00" for drawn in (plain, treated) for row in drawn["text"] for text in row)
    assert page.selectbox(key="pk_depth").options == ["0", "0.5", "1"]
    page.selectbox(key="pk_depth").set_value(0.5).run()
    assert "合言葉は" in page.code[1].value and not page.exception
