"""Rows that another package adds: found by the tables, the command line and the app, and broken ones left out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from model import messages
from model.checkpoints.catalogue import model_card
from model.errors import UserError
from model.interventions.mitigations import Mitigation
from model.messages import catalogue
from model.plugins import rows_of
from tests.support.tiny import make_tiny_checkpoint, tiny_text

PLUGIN = """
from torch import nn

from model.interventions.mitigations import Mitigation

MUTE = Mitigation(
    transform=lambda inputs, value: inputs._replace(x=inputs.x * (1 - value)),
    neutral=0.0, suggested=1.0, low=0.0, high=1.0, step=0.1,
)
"""
MIXER = """
from torch import full_like, nn

from kernels.types import ScanInputs
from model.mixers import Mixer
from model.state import empty_layer

ROW = Mixer(path="extra_mixer:Mean", decay_per_head=True)


class Mean(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.inner = nn.Linear(config.d_model, config.d_inner)
        self.keys = nn.Linear(config.d_model, config.d_state)
        self.outer = nn.Linear(config.d_inner, config.d_model)

    def zero_state(self, batch):
        return empty_layer(self.config, self.keys.weight, batch, 0, self.config.d_model)

    def forward(self, u, state, scan):
        x = self.inner(u).unflatten(-1, (self.config.nheads, -1))
        keys = self.keys(u)[:, :, None]
        output = scan(ScanInputs(x, keys, keys, full_like(x[..., :1], -0.1)), state.memory)
        return self.outer(output.y.flatten(2)), state._replace(memory=output.memory)
"""
WORDS = """
[mute_title]
en = "Mute"
ja = "ミュート"

[mute_help]
en = "Nothing is written."
ja = "何も書き込みません。"
"""
POINTS = """
[memory_explorer.mitigations]
mute = extra:MUTE
decay = extra:MUTE
gone = missing_module:ROW
wrong = extra:nn

[memory_explorer.mixers]
mean = extra_mixer:ROW
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with a package that is installed: its modules, and what says so."""
    (tmp_path / "extra.py").write_text(PLUGIN)
    (tmp_path / "extra_mixer.py").write_text(MIXER)
    (tmp_path / "mitigations.toml").write_text(WORDS, "utf-8")
    about = tmp_path / "extra-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    return tmp_path


def test_rows_are_found_and_broken_ones_left_out(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setattr("model.messages._files", dict(messages._files))
    monkeypatch.setattr("model.messages._missing", {})
    with pytest.warns(UserWarning) as warned:
        found = rows_of("mitigations", Mitigation, {"decay"})
    assert list(found) == ["mute"] and found["mute"].suggested == 1.0
    said = "\n".join(str(warning.message) for warning in warned)
    assert "decay (extra:MUTE) is left out: the name is taken" in said
    assert "gone (missing_module:ROW) is left out: ModuleNotFoundError" in said
    assert "wrong (extra:nn) is left out: it is no Mitigation" in said
    assert catalogue()["mitigations.mute_title"]["ja"] == "ミュート"
    catalogue.cache_clear()


RUN = """
import sys
from pathlib import Path
from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import save_checkpoint
from model.cli.main import main
from model.config import ModelConfig
from model.tokenizer import train_tokenizer

home, text = Path(sys.argv[1]), Path(sys.argv[2])
config = ModelConfig(layers=("mean", "mamba2"), d_model=16, d_state=8, headdim=8, vocab_size=320, train_length=64)
save_checkpoint(home / "checkpoints" / "new", LanguageModel(config), train_tokenizer([text.read_text() * 4], 320))
sys.argv = ["memory-explorer", "read", str(text), "--model", "new", "--mitigate", "mute=1", "--no-control"]
sys.argv += ["--out", str(home / "out"), "--json"]
main()
"""


def test_the_command_line_reads_with_a_foreign_mixer_and_mitigation(installed: Path, home: Path) -> None:
    text = home / "text.txt"
    text.write_text(tiny_text(1500, seed=3), "utf-8")
    paths = os.pathsep.join([str(installed), str(Path(__file__).parents[2])])
    env = {**os.environ, "PYTHONPATH": paths, "MEMORY_EXPLORER_HOME": str(home), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", RUN, home, text], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '"loss_beyond"' in done.stdout


def test_a_mixer_that_is_not_installed_is_named(home: Path) -> None:
    name = make_tiny_checkpoint(home)
    file = home / "checkpoints" / name / "config.json"
    file.write_text(file.read_text().replace('"mamba2"', '"mean"'))
    with pytest.raises(UserError, match="layers of the kind “mean”, which is not installed here"):
        model_card(name)
