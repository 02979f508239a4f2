"""What can be added with one row or one file, each in a real reading; and keys of what was stored stay."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from kernels.types import ScanInputs
from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import save_checkpoint
from model.config import ModelConfig
from model.experiment import Experiment
from model.interventions.initial_states import INITIAL_STATES, InitialState
from model.interventions.mitigations import MITIGATIONS, Mitigation
from model.mixers import MIXERS, Mixer
from model.mixers.cell import CellMixer
from model.reading.runner import run
from model.recording.reader import Recording
from model.state import LayerState, empty_layer
from model.studies.passkey import PasskeyResult
from model.tokenizer import train_tokenizer
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text
from viz.app.session import SHIPPED as RECORDINGS

ROOT = Path(__file__).parents[2]
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


class Leaky(CellMixer):
    """A cell of a few lines: rectified units that keep nine tenths of what they were."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.inner = nn.Linear(config.d_model, config.d_inner)
        self.recurrent = nn.Parameter(torch.eye(config.d_inner).flip(0) / 10)

    def project(self, x):
        return self.inner(x)

    def stepping(self, retention):
        kept = retention(self.recurrent.new_full((self.config.d_inner,), 0.9))

        def step(given, vectors):
            return (kept * vectors[0] + torch.relu(given + vectors[0] @ self.recurrent),), kept.expand_as(given)

        return step


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


def test_a_cell_is_one_row(home, monkeypatch):
    monkeypatch.setitem(MIXERS, "leaky", Mixer(path=f"{__name__}:Leaky", decay_per_head=False, cell=True))
    config = ModelConfig(layers=("leaky",) * 2, d_model=16, d_state=1, headdim=8, vocab_size=320, train_length=64)
    save_checkpoint(home / "checkpoints" / "leaky", LanguageModel(config), train_tokenizer([tiny_text(4000)], 320))
    plain, faster = read(home, "leaky"), read(home, "leaky", mitigations={"decay": 2.0}, token_norms=True)
    np.testing.assert_allclose(plain.array("decay")[1:], 0.9, rtol=1e-5)
    np.testing.assert_allclose(faster.array("decay")[1:], 0.81, rtol=1e-5)
    assert (faster.array("norm")[-1, 0] < plain.array("norm")[-1, 0]).all() and faster.has("token_norm")


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


def test_a_diagnostic_is_one_function_of_a_recording(home):
    make_tiny_checkpoint(home)

    def steadiest_head(recording: Recording) -> tuple[int, int]:
        """Layer and head whose norm varies least, relative to its mean."""
        norm = recording.array("norm")[1:]
        return np.unravel_index(np.argmin(norm.std(0) / norm.mean(0)), norm.shape[1:])

    recording = read(home, "tiny")
    layer, head = steadiest_head(Recording(recording.path))
    varied = recording.to_xarray()["norm"][1:]
    spread = (varied.std("boundary") / varied.mean("boundary")).values
    assert spread[layer, head] == pytest.approx(spread.min(), rel=1e-5)


PAGE = """
import streamlit as st

from viz.app.language import t
from viz.app.session import current_recording

st.header(t("longest.page.title"))
st.write(t("longest.says", tokens=current_recording().read_tokens))
"""
MESSAGES = """
[page.title]
en = "Longest"
ja = "最長"

[page.help]
en = "How long it is."
ja = "文書の長さです。"

[says]
en = "{tokens} tokens were read."
ja = "{tokens} トークンを読みました。"
"""
VISIT = """
from streamlit.testing.v1 import AppTest
from viz.app.navigation import PAGES

assert "longest" in PAGES and "compare" not in PAGES
for language in ("en-GB", "ja-JP"):
    app = AppTest.from_file("app.py", default_timeout=60)
    app.context = {"locale": language, "theme": "light"}
    app.run()
    for page in PAGES:
        app.switch_page(f"viz/pages/{page}/page.py").run()
        assert not app.exception and not app.error, page
    app.switch_page("viz/pages/longest/page.py").run()
    print(app.header[0].value, app.main.markdown[-1].value)
"""


def test_a_page_is_one_folder_and_one_row_and_another_can_be_deleted(tmp_path):
    """The app with a page more and a page less: only a folder and a row each came and went."""
    shutil.copy(ROOT / "app.py", tmp_path)
    shutil.copytree(ROOT / "viz", tmp_path / "viz")
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    shutil.rmtree(tmp_path / "viz" / "pages" / "compare")
    new = tmp_path / "viz" / "pages" / "longest"
    new.mkdir()
    for name, content in (("__init__.py", ""), ("page.py", PAGE), ("messages.toml", MESSAGES)):
        (new / name).write_text(content, "utf-8")
    table = tmp_path / "viz" / "app" / "navigation.py"
    rows = table.read_text("utf-8").splitlines(keepends=True)
    row = next(line for line in rows if '"compare"' in line)
    rows[rows.index(row)] = '    "longest": Page(group="diagnose", icon=":material/straighten:", recording=True),\n'
    table.write_text("".join(rows), "utf-8")
    paths = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "MEMORY_EXPLORER_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run([sys.executable, "-c", VISIT], cwd=tmp_path, env=paths, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    shown = done.stdout.splitlines()[-2:]
    assert shown[0].startswith("Longest ") and shown[0].endswith(" tokens were read.")
    assert shown[1].startswith("最長 ") and shown[1].endswith(" トークンを読みました。")


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
