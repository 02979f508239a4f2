"""What can be added with one row: a mixer, a mitigation and an initial state, each in a real reading; and old keys."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from kernels.types import ScanInputs
from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import load_model, load_tokenizer_of, save_checkpoint
from model.config import ModelConfig
from model.experiment import Experiment
from model.interventions.initial_states import INITIAL_STATES, InitialState
from model.interventions.mitigations import MITIGATIONS, Mitigation
from model.mixers import MIXERS, Mixer
from model.reading.runner import run
from model.recording.reader import Recording
from model.state import LayerState, empty_layer
from model.studies.passkey import PasskeyResult
from model.tokenizer import train_tokenizer
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text
from viz.app.session import SHIPPED as RECORDINGS

TEXT = tiny_text(300, seed=3)


class Cumulative(nn.Module):
    """A mixer of a dozen lines: it remembers the mean direction of what it read, with one fixed decay."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.inner = nn.Linear(config.d_model, config.d_inner)
        self.keys = nn.Linear(config.d_model, config.d_state)
        self.outer = nn.Linear(config.d_inner, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        return empty_layer(self.config, self.keys.weight, batch, 0, self.config.d_model)

    def forward(self, u, state, scan):
        x = self.inner(u).unflatten(-1, (self.config.nheads, -1))
        keys = self.keys(u)[:, :, None]
        output = scan(ScanInputs(x, keys, keys, torch.full_like(x[..., :1], -0.1)), state.memory)
        return self.outer(output.y.flatten(2)), state._replace(memory=output.memory)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    yield tmp_path
    load_model.cache_clear()
    load_tokenizer_of.cache_clear()


def read(folder, model: str, **choices) -> Recording:
    return run(prepared(TEXT, model, control=False, **choices), folder / "recordings")


def test_a_mixer_is_one_row(home, monkeypatch):
    monkeypatch.setitem(MIXERS, "cumulative", Mixer(path=f"{__name__}:Cumulative", decay_per_head=True))
    config = ModelConfig(
        layers=("cumulative", "mamba2"), d_model=16, d_state=8, headdim=8, vocab_size=320, train_length=64
    )
    save_checkpoint(home / "checkpoints" / "new", LanguageModel(config), train_tokenizer([tiny_text(4000)], 320))
    plain, windowed = read(home, "new"), read(home, "new", mitigations={"window": 20.0})
    assert plain.complete and plain.meta.layers == ("cumulative", "mamba2")
    assert json.loads((plain.path / "recording.json").read_text("utf-8"))["experiment"]["initial_state"] == "zeros"
    np.testing.assert_allclose(np.nanmax(plain.array("decay")[:, 0]), np.exp(-0.1), rtol=1e-5)
    assert not np.allclose(plain.array("norm")[-1, 0], windowed.array("norm")[-1, 0])


def test_a_mitigation_and_an_initial_state_are_one_row(home, monkeypatch):
    model = make_tiny_checkpoint(home)

    def mute(inputs: ScanInputs, value: float) -> ScanInputs:
        return inputs._replace(x=inputs.x * (1 - value))

    row = Mitigation(transform=mute, neutral=0.0, suggested=1.0, low=0.0, high=1.0, step=0.1)
    monkeypatch.setitem(MITIGATIONS, "mute", row)

    def ones(empty, origin):
        return tuple(
            layer._replace(memory=layer.memory._replace(state=layer.memory.state + origin.seed)) for layer in empty
        )

    monkeypatch.setitem(INITIAL_STATES, "ones", InitialState(make=ones))
    assert not read(home, model, mitigations={"mute": 1.0}).array("norm").any()
    norm = read(home, model, mitigations={"mute": 1.0}, initial_state="ones", seed=1).array("norm")
    np.testing.assert_allclose(norm[0], 16.0)  # sixteen by sixteen ones
    assert (np.diff(norm, axis=0) <= 0).all() and norm.any()


def test_a_mitigation_is_one_of_two_things():
    values = {"neutral": 1.0, "suggested": 1.0, "low": 1.0, "high": 1.0, "step": 1.0}
    for both in ({}, {"transform": lambda inputs, value: inputs, "operator": lambda value, norms, inner: inner}):
        with pytest.raises(ValueError, match="one of the two"):
            Mitigation(**both, **values)


def test_stored_keys_and_json_stay():
    stored = sorted(RECORDINGS.glob("*/recording.json"))
    assert stored
    for file in stored:
        written = json.loads(file.read_text("utf-8"))["experiment"]
        experiment = Experiment.from_json(written)
        assert experiment.key == file.parent.name
        assert json.loads(json.dumps(experiment.to_json())) == written
    for file in (RECORDINGS.parent / "passkey").glob("*.json"):
        assert PasskeyResult.load(file).key == file.stem
