"""A hybrid reads with a window of attention: by default its training length, in the key, resumable, its cost said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from model.checkpoints.catalogue import model_card
from model.cli.main import app
from model.errors import UserError
from model.experiment import parse_window
from model.published import registry
from model.published.config import PublishedConfig
from model.published.cost import cost_of, notes
from model.reading.runner import run
from model.recording.reader import Recording, read_state
from tests.support.published import random_model, save
from tests.support.tiny import prepared, tiny_text

TEXT = tiny_text(1200, seed=3)
LENGTH = 64
DEFAULTS: tuple[dict[str, int], ...] = ({}, {"attention_window": LENGTH}, {"attention_window": 0})


@pytest.fixture
def hybrid(home: Path) -> str:
    torch.set_num_threads(1)
    name = str(save(random_model("bamba"), home / "model"))
    registry.note(name, train_length=LENGTH)
    return name


def test_by_default_attention_sees_a_training_length(hybrid: str, tmp_path: Path) -> None:
    default, named, full = (prepared(TEXT, hybrid, control=False, **how) for how in DEFAULTS)
    assert default.experiment == named.experiment and default.experiment.attention_window == LENGTH
    assert "attention_window" not in full.experiment.to_json() and full.experiment.key != default.experiment.key
    assert prepared(TEXT, hybrid, train_length=100).experiment.attention_window == 100
    windowed, whole = run(default, tmp_path), run(full, tmp_path)
    loss, other = windowed.array("loss"), whole.array("loss")
    np.testing.assert_allclose(loss[1:LENGTH], other[1:LENGTH], atol=1e-5)
    assert np.abs(loss[LENGTH + 1 :] - other[LENGTH + 1 :]).max() > 1e-3
    kept = [array for name, array in read_state(windowed.path).items() if ".rest." in name and array.ndim == 4]
    assert kept and all(array.shape[2] == LENGTH - 1 for array in kept)


def test_a_killed_run_goes_on_with_the_same_numbers(
    hybrid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.reading.runner.BLOCK", 512)
    monkeypatch.setattr("model.reading.stream.CHANNELS", 0)
    whole = run(prepared(TEXT, hybrid), tmp_path / "whole")
    seen: list[object] = []
    cut = run(prepared(TEXT, hybrid), tmp_path / "cut", on_progress=seen.append, stop=lambda: len(seen) >= 1)
    assert not cut.complete
    resumed = run(prepared(TEXT, hybrid), tmp_path / "cut")
    for name in ("loss", "control_loss", "norm"):
        np.testing.assert_array_equal(resumed.array(name), whole.array(name), err_msg=name)


def test_within_a_training_length_the_control_is_the_reading(hybrid: str, tmp_path: Path) -> None:
    recording = run(prepared(TEXT, hybrid, attention_window=7), tmp_path)
    np.testing.assert_allclose(recording.array("loss")[1:LENGTH], recording.array("control_loss")[1:LENGTH], atol=1e-4)


def test_the_command_says_what_it_costs_before_it_starts(hybrid: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text(TEXT, "utf-8")
    said = CliRunner().invoke(app, ["read", str(file), "--model", hybrid, "--out", str(tmp_path / "out")])
    assert "last 64 tokens" in said.output and "keys and values" in said.output and "min" in said.output
    words = ["read", str(file), "--model", hybrid, "--out", str(tmp_path / "out"), "--attention-window", "full"]
    said = CliRunner().invoke(app, words)
    assert "whole document" in said.output
    found = {Recording(folder).experiment.attention_window for folder in (tmp_path / "out").iterdir()}
    assert found == {0, LENGTH}


@pytest.mark.parametrize("kind", ["mamba2", "recurrent_gemma"])
def test_other_models_have_no_such_window(kind: str, home: Path) -> None:
    name = str(save(random_model(kind), home / "model"))
    assert prepared(TEXT, name).experiment.attention_window == 0
    assert notes(model_card(name), 1000, 0, control=True) == []
    with pytest.raises(UserError, match="no attention"):
        prepared(TEXT, name, attention_window=64)


def test_windows_are_numbers_of_tokens(hybrid: str) -> None:
    assert [parse_window(text) for text in (None, "full", "0", "4096")] == [None, 0, 0, 4096]
    for wrong in ("-1", "many", "2.5", "", "٣"):
        with pytest.raises(UserError, match="window"):
            parse_window(wrong)
    with pytest.raises(UserError, match="window"):
        prepared(TEXT, hybrid, attention_window=10**9)


def test_cost_grows_with_the_window_and_with_the_document(hybrid: str) -> None:
    config = model_card(hybrid).config
    assert isinstance(config, PublishedConfig)
    narrow, wide, full = (cost_of(config, 10_000, 100_000, window, control=False) for window in (64, 4096, 0))
    assert narrow.kept < wide.kept < full.kept == 4 * config.kept_per_token * 100_000
    assert narrow.operations < wide.operations < full.operations
    longer = cost_of(config, 10_000, 200_000, 64, control=False)
    assert longer.kept == narrow.kept and longer.operations == pytest.approx(2 * narrow.operations, rel=0.01)
    assert cost_of(config, 10_000, 100_000, 64, control=True).operations > narrow.operations
