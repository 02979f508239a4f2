"""The lab: what is watched is what reading gives, a broken run equals an unbroken one, names, and the page."""

import itertools
import json
import time
from dataclasses import replace
from functools import partial

import numpy as np
import plotly.io
import pytest
import torch
from streamlit.testing.v1 import AppTest

from model.checkpoints.catalogue import available, load_model, load_tokenizer_of, model_card
from model.diagnostics.collapse import Interval
from model.errors import UserError
from model.messages import LANGUAGES, message
from model.reading.explore import explore
from model.reading.runner import run
from model.studies.gradients import reach_on
from model.tokenizer import encode
from model.training import trial as trials
from model.training import watch
from model.training.data import tokenize_groups
from model.training.keep import free_name, keep_checkpoint
from model.training.trial import Reading, TrialResult, borders, by_position, middles
from model.training.watch import run_trial
from tests.support.app import APP
from tests.support.lab import a_trial, ended, job_of, short_run, until
from tests.support.tiny import prepared, tiny_text
from viz.jobs import registry as jobs
from viz.pages.lab import job as labs


@pytest.fixture
def streams(tiny):
    return tokenize_groups(load_tokenizer_of("tiny"), {"a": [tiny_text(1500, 1), tiny_text(900, 2)]})


@pytest.fixture
def tokens(tiny):
    return encode(load_tokenizer_of("tiny"), tiny_text(400, 5))[0]


def begun(**changes) -> TrialResult:
    return TrialResult(trial=a_trial(**changes))


def test_the_watched_curve_is_the_means_of_what_reading_gives(tiny, streams, tokens, monkeypatch):
    monkeypatch.setattr(watch, "SHARE", 100.0)  # time enough to read at every report
    result = run_trial(begun(), streams, tokens, tiny / "run")
    assert result.complete and result.done == 30
    assert [step for step, _ in result.readings] == [0, 10, 20, 30]
    assert [step for step, _ in result.losses] == [step for step, _ in result.gradients] == [10, 20, 30]
    assert result.reach_before.lags == result.reach_after.lags == (1, 2, 4, 8, 16, 32, 64)
    assert result.reach_before == reach_on(load_model("tiny"), tokens, longest=64) != result.reach_after
    assert result.clipped == (sum(norm > 1 for _, norm in result.gradients), 3)
    document = prepared(tiny_text(400, 5), "tiny")
    recording = run(document, tiny / "recordings")
    loss, control = recording.array("loss"), recording.array("control_loss")
    edges = borders(len(tokens))
    assert edges[0] == 0 and edges[-1] == len(tokens) and (np.diff(edges) > 0).all()
    for place, (low, high) in enumerate(itertools.pairwise(edges)):
        assert result.before.loss[place] == pytest.approx(np.nanmean(loss[low:high]), abs=1e-5)
        assert result.before.control[place] == pytest.approx(np.nanmean(control[low:high]), abs=1e-5)
    assert result.before.within == pytest.approx(np.nanmean(control), abs=1e-5)
    assert result.before.excess.mean == pytest.approx(recording.summary["excess_loss"], abs=1e-5)
    assert not np.allclose(result.now.loss, result.before.loss)
    kept = watch.read_twice(load_model(str(tiny / "run")), tokens, 64, lambda: False)
    np.testing.assert_array_equal(result.now.loss, kept.loss)


def test_cancelled_and_resumed_equals_unbroken(tiny, streams, tokens):
    whole = run_trial(begun(), streams, tokens, tiny / "whole")
    asked = 0

    def stop_after(calls: int):
        nonlocal asked
        asked = 0

        def stop() -> bool:
            nonlocal asked
            asked += 1
            return asked > calls

        return stop

    part, done = begun(), []
    for calls in (2, 12, 6, 22):  # in the first reading, twice while it trains, while states are recorded
        part = run_trial(part, streams, tokens, tiny / "part", stop=stop_after(calls))
        assert not part.complete
        done.append(part.done)
    assert done[0] == 0 < done[1] < done[2] < done[3] == 30, done
    part = run_trial(part, streams, tokens, tiny / "part")
    assert part.complete
    ours, theirs = (load_model(str(tiny / name)).state_dict() for name in ("whole", "part"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [step for step, _ in part.losses] == [step for step, _ in whole.losses]
    np.testing.assert_array_equal(part.now.loss, whole.now.loss)


# -- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(tiny, monkeypatch):
    """The page in a fresh session, with a tiny model that records the states of a few windows only."""
    monkeypatch.setattr("model.training.checkpoint.explore", partial(explore, windows=16))
    opened = AppTest.from_file(APP, default_timeout=60).run()
    yield opened.switch_page("viz/pages/lab/page.py").run()
    for job in jobs.registry().jobs():
        job.cancel()
        job.wait(20)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_short_run_ends_with_a_model_that_the_sidebar_lists(page, tiny, language):
    page.segmented_control(key="lang").set_value(language).run()
    assert not page.exception and not page.get("plotly_chart")
    short_run(page)
    until(page, lambda page: job_of(page) is None)
    assert not page.exception and not page.error, page.error
    assert page.main.header[0].value and len(page.get("plotly_chart")) == 3
    name = next(entry for entry in page.text_input if entry.key.startswith("lab_name_"))
    assert name.value == "tiny-carried"
    name.set_value("tiny").run()
    page.button(key="lab_keep").click().run()
    assert message("lab.name_taken", language, name="tiny")[:5] in page.error[0].value and len(available()) == 1
    name.set_value("carried-1").run()
    page.button(key="lab_keep").click().run()
    assert not page.error and not page.exception and page.success
    assert page.selectbox(key="model").options == ["carried-1", "tiny"] and page.selectbox(key="model").value == "tiny"
    folder = model_card("carried-1").path
    assert {file.name for file in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "explored.safetensors",
        "training.json",
    }
    made = json.loads((folder / "training.json").read_text("utf-8"))
    assert made["config"]["interventions"] == [["carried", 0.98]] and made["base_weights"] == model_card("tiny").weights
    assert run(prepared(tiny_text(200), "carried-1"), tiny / "read").complete


def test_the_gradient_is_clipped_and_truncated_as_chosen(page):
    page.selectbox(key="lab_clipping").set_value("value").run()
    assert page.number_input(key="lab_clip_value").value == 0.01
    assert any(note.value == message("training.clipping_value_help") for note in page.caption)
    page.number_input(key="lab_length_tiny").set_value(512).run()
    assert page.number_input(key="lab_truncation_tiny_512").value == 512  # the whole sequence: nothing is cut
    page.number_input(key="lab_truncation_tiny_512").set_value(128).run()
    page.number_input(key="lab_steps").set_value(4)
    page.button(key="lab_run").click().run()
    ended(page)
    assert not page.exception and not page.error
    (result,) = labs._results(page.session_state["_explorer_workspace"].id).values()
    config = result.trial.config
    assert (config.clipping, config.clip, config.truncation) == ("value", 0.01, 128) and result.reach_after is not None
    page.selectbox(key="lab_clipping").set_value("none").run()
    assert page.number_input(key="lab_clip_none").disabled and page.button(key="lab_run").label == "Start"


def upload(page, words: int):
    page.file_uploader[0].upload("mine.txt", tiny_text(words, 7).encode())
    return until(page, lambda page: page.selectbox(key="doc").value.startswith("upload:"))


def test_training_on_ones_own_document_warns_and_leaves_out_what_is_watched(page, monkeypatch):
    seen = []
    real = watch.post_train_checkpoint

    def spied(config, streams, *rest, **choices):
        seen.append(streams)
        return real(config, streams, *rest, **choices)

    monkeypatch.setattr(watch, "post_train_checkpoint", spied)
    monkeypatch.setattr(trials, "WATCHED", (512, 512))
    page.selectbox(key="lab_text").set_value("own").run()
    assert page.warning and page.button(key="lab_run").disabled and not page.exception
    upload(page, 1500)
    short_run(page)
    ended(page)
    assert not page.error and not page.exception
    tokens = encode(load_tokenizer_of("tiny"), tiny_text(1500, 7))[0]
    (stream,) = seen[0]["own"]
    assert len(stream) == len(tokens) - 512 and (stream[-400:] == tokens[-400:]).all()


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_cannot_be_trained_is_one_sentence(page, language, monkeypatch):
    page.segmented_control(key="lang").set_value(language)
    page.selectbox(key="lab_text").set_value("own").run()
    upload(page, 60)
    short_run(page)
    ended(page)
    assert page.error[0].value.count("\n") == 0 and not page.exception
    assert message("lab.all_watched", language)[:4] in page.error[0].value
    monkeypatch.setattr(trials, "WATCHED", (64, 64))  # a training length of 64 asks for no more
    monkeypatch.setattr(trials, "watched_tokens", lambda length: 64)
    monkeypatch.setattr("viz.pages.lab.texts.watched_tokens", lambda length, picks: 64)
    page.button(key="lab_run").click().run()
    ended(page)
    assert message("training.text_too_short", language)[:6] in page.error[0].value and not page.exception


def test_a_run_that_diverges_says_so_and_loses_nothing(page, monkeypatch):
    from model.training import loop

    short_run(page)
    ended(page)
    real = loop.token_losses
    monkeypatch.setattr(loop, "token_losses", lambda logits, targets: real(logits, targets) * float("nan"))
    page.selectbox(key="lab_how").set_value("zeros").run()
    page.button(key="lab_run").click().run()
    ended(page)
    assert "NaN or infinite at step 10" in page.error[0].value and not page.exception
    page.selectbox(key="lab_how").set_value("carried").run()
    assert page.main.header and page.button(key="lab_keep") and not page.exception


def test_a_run_is_timed_cancelled_and_resumed(page):
    page.number_input(key="lab_steps").set_value(3000)
    page.number_input(key="lab_length_tiny").set_value(512).run()
    assert any(note.value == message("lab.estimate_unknown") for note in page.caption)
    page.button(key="lab_time").click().run()
    ended(page)
    assert any(note.value.startswith("About ") and "s per step" in note.value for note in page.caption), page.caption
    assert page.button(key="lab_run").label == "Start"
    page.button(key="lab_run").click().run()
    until(page, lambda page: len(page.get("plotly_chart")) == 3)  # two reports of the training loss
    job = job_of(page)
    began = time.monotonic()
    job.cancel()
    assert job.wait(5) and time.monotonic() - began < 1
    page.run()
    assert page.button(key="lab_run").label == "Resume" and not page.exception and not page.error
    assert any("of 3,000 steps" in note.value for note in page.caption)
    page.selectbox(key="lab_how").set_value("zeros").run()
    assert any("another run" in note.value for note in page.caption) and not page.exception


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("", "name_empty"),
        ("  ", "name_empty"),
        ("tiny", "name_taken"),
        ("TINY", "name_taken"),
        *((name, "name_odd") for name in ("a b", "../up", "a/b", "実験", ".hidden", "end.", "x" * 65, "a:b")),
    ],
)
def test_a_name_that_does_not_do_is_one_sentence_in_every_language(tiny, name, key):
    with pytest.raises(UserError) as caught:
        keep_checkpoint(tiny / "home" / "checkpoints" / "tiny", name)
    assert caught.value.key == f"lab.{key}" and len(available()) == 1
    assert list((tiny / "home").iterdir()) == [tiny / "home" / "checkpoints"]
    for language in LANGUAGES:
        sentence = caught.value.sentence(language)
        assert sentence and "{" not in sentence and sentence.count("\n") == 0


def test_a_model_is_kept_whole_or_not_at_all(tiny):
    with pytest.raises(UserError, match="could not be written"):  # the tiny one has no training.json
        keep_checkpoint(tiny / "home" / "checkpoints" / "tiny", "half")
    assert list(available()) == ["tiny"] and not list((tiny / "home" / "checkpoints.partial").iterdir())
    assert free_name("tiny", "carried") == "tiny-carried"
    (tiny / "home" / "checkpoints" / "tiny").rename(tiny / "home" / "checkpoints" / "tiny-carried")
    assert free_name("tiny", "carried") == "tiny-carried-2"


def a_result(had: float, has: float) -> TrialResult:
    def reading(excess: float, within: float) -> Reading:
        curve = np.full(len(middles(8192)), within)
        return Reading(
            loss=curve + excess,
            control=curve,
            within=within,
            excess=Interval(excess, excess - 0.1, excess + 0.1, 6000),
        )

    return TrialResult(
        trial=a_trial(),
        tokens=8192,
        done=30,
        complete=True,
        losses=((10, 4.0), (20, 3.9)),
        readings=((0, reading(had, 4.0)), (10, reading(has, 3.5)), (30, reading(has, 3.8))),
    )


def test_the_sentence_on_top_follows_the_numbers(monkeypatch):
    from viz.pages.lab import view as lab

    monkeypatch.setattr(lab, "t", lambda key, **values: message(key, "en", **values))
    assert "from 1.40 to 0.07 nats" in lab.finding(a_result(1.4, 0.07)) and "95% of the collapse" in lab.finding(
        a_result(1.4, 0.07)
    )
    assert "100% of the collapse is gone" in lab.finding(a_result(1.4, -0.02))
    assert "only 4% of the collapse" in lab.finding(a_result(1.4, 1.35))
    assert "the collapse remains" in lab.finding(a_result(1.4, 1.5))
    assert "no collapse" in lab.finding(a_result(0.1, 0.0))
    short = a_result(1.0, 0.5)
    short = replace(short, readings=((0, replace(short.before, excess=None)), short.readings[-1]))
    assert "too few" in lab.finding(short)
    assert "4.00 to 3.80 (-0.20)" in lab.within(short)


def test_the_pictures_have_before_now_and_floor(monkeypatch):
    from viz.pages.lab.figures import figure, table, training_table

    result = a_result(1.4, 0.1)
    drawn = figure(result, dark=True)
    named = [trace for trace in drawn.data if trace.showlegend is not False]
    assert [trace.line.dash for trace in named] == ["dot", "dash", "dot", "solid"]
    assert len(plotly.io.to_json(drawn)) < 100_000
    rows = table(result)
    assert list(rows["to_token"])[-1] == 8192 and len(rows) == len(middles(8192)) and "step_10_fresh_state" in rows
    assert list(training_table(result)["loss"]) == [4.0, 3.9]


@pytest.mark.parametrize("tokens", [2, 31, 32, 33, 100, 1000, 8192, 16384])
def test_bins_cover_every_token_once(tokens):
    edges = borders(tokens)
    assert edges[0] == 0 and edges[-1] == tokens and (np.diff(edges) > 0).all()
    values = np.arange(tokens, dtype=np.float32)
    values[0] = np.nan
    means = by_position(values)
    assert len(means) == len(middles(tokens)) == len(edges) - 1
    counts = np.diff(edges) - (edges[:-1] == 0)
    assert (means * counts).sum() == pytest.approx(values[1:].astype(float).sum())
