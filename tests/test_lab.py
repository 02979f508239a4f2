"""The lab: what is watched is what reading gives, a broken run equals an unbroken one, names, and the page."""

import itertools
import json
import time

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from model.checkpoint import available, load_model, load_tokenizer_of, model_card
from model.messages import LANGUAGES, message
from model.run import prepare, run
from model.tokenizer import encode
from model.training import watch
from model.training.data import tokenize_groups
from model.training.post_config import PostTrainConfig
from model.training.trial import Trial, TrialResult, borders
from model.training.watch import run_trial
from tests.test_post_training import RECALL
from tests.tiny import make_tiny_checkpoint, tiny_text
from viz import jobs


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A home with one tiny model, which is the only one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("model.checkpoint.SHIPPED", tmp_path / "none")
    load_model.cache_clear()
    load_tokenizer_of.cache_clear()
    make_tiny_checkpoint(tmp_path / "home")
    yield tmp_path
    torch.set_num_threads(threads)
    load_model.cache_clear()
    load_tokenizer_of.cache_clear()


@pytest.fixture
def streams(tiny):
    return tokenize_groups(load_tokenizer_of("tiny"), {"a": [tiny_text(1500, 1), tiny_text(900, 2)]})


@pytest.fixture
def tokens(tiny):
    return encode(load_tokenizer_of("tiny"), tiny_text(400, 5))[0]


def a_trial(**changes) -> Trial:
    settings = {"base": "tiny", "interventions": (("carried", 0.9),), "length": 64, "rows": 4, "steps": 30}
    config = PostTrainConfig(**{**settings, "recall": RECALL, "warmup": 2, **changes})
    return Trial(config=config, weights="w", train_length=64, document="d", text="t")


def begun(**changes) -> TrialResult:
    return TrialResult(trial=a_trial(**changes))


def test_the_watched_curve_is_the_means_of_what_reading_gives(tiny, streams, tokens, monkeypatch):
    monkeypatch.setattr(watch, "SHARE", 100.0)  # time enough to read at every report
    result = run_trial(begun(), streams, tokens, tiny / "run")
    assert result.complete and result.done == 30
    assert [step for step, _ in result.curves] == [0, 10, 20, 30]
    assert [step for step, _ in result.losses] == [10, 20, 30]
    prepared = prepare(tiny_text(400, 5), "d", "tiny")
    recording = run(prepared, tiny / "recordings")
    loss, control = recording.array("loss"), recording.array("control_loss")
    edges = borders(len(tokens))
    assert edges[0] == 0 and edges[-1] == len(tokens) and (np.diff(edges) > 0).all()
    for place, (low, high) in enumerate(itertools.pairwise(edges)):
        assert result.before.loss[place] == pytest.approx(np.nanmean(loss[low:high]), abs=1e-5)
        assert result.before.control[place] == pytest.approx(np.nanmean(control[low:high]), abs=1e-5)
    assert result.before.within == pytest.approx(np.nanmean(control), abs=1e-5)
    assert result.before.excess.mean == pytest.approx(recording.summary["excess_loss"], abs=1e-5)
    np.testing.assert_allclose(result.curves[-1][1], result.after.loss, atol=1e-6)  # the model that was kept
    assert not np.allclose(result.after.loss, result.before.loss)


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
    np.testing.assert_array_equal(part.after.loss, whole.after.loss)


# -- the page --------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(tiny):
    """The page in a fresh session, with a tiny model."""
    opened = AppTest.from_file("../app.py", default_timeout=60).run()
    yield opened.switch_page("viz/app_pages/lab.py").run()
    for job in jobs.office().jobs():
        job.cancel()
        job.wait(20)


def until(page, holds, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not holds(page.run()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)
    return page


def job_of(page) -> jobs.Job | None:
    return jobs.latest(page.session_state["_explorer_workspace"].id, "lab")


def short_run(page, steps: int = 12) -> None:
    page.number_input(key="lab_steps").set_value(steps)
    page.number_input(key="lab_length_tiny").set_value(512).run()  # the tiny tokenizer makes questions long
    page.button(key="lab_run").click().run()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_short_run_ends_with_a_model_that_the_sidebar_lists(page, tiny, language):
    page.segmented_control(key="lang").set_value(language).run()
    assert not page.exception and not page.get("plotly_chart")
    short_run(page)
    until(page, lambda page: job_of(page) is None)
    assert not page.exception and not page.error, page.error
    assert page.main.subheader[0].value and len(page.get("plotly_chart")) == 2
    name = next(entry for entry in page.text_input if entry.key.startswith("lab_name_"))
    assert name.value == "tiny-carried"
    name.set_value("tiny").run()
    page.button(key="lab_keep").click().run()
    assert message("lab.name_taken", language, name="tiny")[:5] in page.error[0].value and len(available()) == 1
    name.set_value("cured-1").run()
    page.button(key="lab_keep").click().run()
    assert not page.error and not page.exception and page.success
    assert page.selectbox(key="model").options == ["cured-1", "tiny"] and page.selectbox(key="model").value == "tiny"
    folder = model_card("cured-1").path
    assert {file.name for file in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "explored.safetensors",
        "training.json",
    }
    made = json.loads((folder / "training.json").read_text("utf-8"))
    assert made["config"]["interventions"] == [["carried", 0.9]] and made["base_weights"] == model_card("tiny").weights
    assert run(prepare(tiny_text(200), "d", "cured-1"), tiny / "read").complete
