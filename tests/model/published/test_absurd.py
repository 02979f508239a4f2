"""Absurd and damaged checkpoints are refused in a sentence, before anything of their size is made."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from model.checkpoints.catalogue import available, load_model, model_card
from model.errors import UserError
from model.published.files import tensors_in
from model.studies.facts import find_facts
from tests.support import plain
from tests.support.homes import forget_models
from tests.support.published import change_config, random_model, save
from tests.support.tiny import make_tiny_checkpoint

ROOT = Path(__file__).parents[3]
HUGE = 10**9
DAMAGE = ("header cut", "weights cut", "empty", "header of a billion", "more numbers than bytes")


def refused(look: Any) -> UserError:
    """The sentence of ``look``, which comes at once."""
    started = time.monotonic()
    with pytest.raises(UserError) as error:
        look()
    assert time.monotonic() - started < 60  # a machine may be busy
    assert "{" not in error.value.sentence("en") + error.value.sentence("ja")
    return error.value


# This project's own.


@pytest.fixture
def tiny(home: Path) -> Path:
    forget_models()
    make_tiny_checkpoint(home)
    return home / "checkpoints" / "tiny"


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"d_model": HUGE}, {"checkpoints.absurd_config"}),
        ({"d_model": 1 << 23}, {"published.wrong_shape", "checkpoints.bad_config"}),
        ({"vocab_size": 1 << 23}, {"published.wrong_shape"}),
        ({"d_state": 1 << 23}, {"published.wrong_shape"}),
        ({"d_state": 17}, {"published.wrong_shape"}),
        ({"headdim": 0}, {"checkpoints.bad_config"}),
        ({"headdim": 7}, {"checkpoints.bad_config"}),
        ({"ngroups": 3}, {"checkpoints.bad_config"}),
        ({"d_model": -32}, {"checkpoints.bad_config"}),
        ({"d_model": 32.5}, {"checkpoints.bad_config"}),
        ({"d_model": "wide"}, {"checkpoints.bad_config"}),
        ({"expand": 1 << 20}, {"published.wrong_shape", "checkpoints.bad_config"}),
        ({"layers": ["mamba2"] * 5000}, {"checkpoints.bad_weights"}),
        ({"layers": ["mamba2"] * 3}, {"published.missing_tensor"}),
        ({"layers": []}, {"checkpoints.bad_weights", "checkpoints.bad_config"}),
        ({"tied": False}, {"published.missing_tensor"}),
    ],
)
def test_a_config_that_the_weights_are_not_of(tiny: Path, changes: dict[str, Any], keys: set[str]) -> None:
    values = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps(values | changes))
    assert refused(lambda: load_model("tiny")).key in keys
    assert "mamba2-base" in available()  # one that is damaged does not hide the others


@pytest.mark.parametrize(
    "damage", ["header cut", "weights cut", "empty", "header of a billion", "more numbers than bytes"]
)
def test_damaged_weights_of_ours(tiny: Path, damage: str) -> None:
    file = tiny / "model.safetensors"
    damaged(file, damage)
    assert refused(lambda: load_model("tiny")).key == "checkpoints.bad_weights"
    assert refused(lambda: tensors_in(tiny, "tiny")).key == "checkpoints.bad_weights"


def damaged(file: Path, damage: str) -> None:
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    if damage == "more numbers than bytes":
        entry = next(name for name in header if name != "__metadata__")
        header[entry]["shape"] = [HUGE, HUGE]
        changed = json.dumps(header).encode()
        file.write_bytes(len(changed).to_bytes(8, "little") + changed + data[8 + length :])
        return
    file.write_bytes(
        {
            "header cut": data[: 8 + length // 2],
            "weights cut": data[:-1000],
            "empty": b"",
            "header of a billion": HUGE.to_bytes(8, "little") + data[8:],
        }[damage]
    )


def test_the_command_line_says_it(tiny: Path) -> None:
    values = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps(values | {"d_model": HUGE}))
    (tiny / "notes.txt").write_text("one two three " * 20)
    command = [sys.executable, "-c", "from model.cli.main import main; main()"]
    options = ["read", str(tiny / "notes.txt"), "--model", "tiny", "--out", str(tiny / "out")]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and f"d_model = {HUGE}" in done.stderr and "Traceback" not in done.stderr


# What others published.

SIZES = [
    {"hidden_size": HUGE},
    {"num_hidden_layers": HUGE},
    {"vocab_size": HUGE},
    {"hidden_size": 1 << 23},
    {"vocab_size": 1 << 24},
    {"num_hidden_layers": 2000},
    {"num_hidden_layers": -1},
    {"hidden_size": 0},
]


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize("changes", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["mamba2", "rwkv7"])
def test_a_published_config_of_absurd_sizes(kind: str, changes: dict[str, int], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    if kind in plain.CONFIGS:
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(plain.config(kind)))
        save_file(plain.weights(kind), folder / "model.safetensors")
    else:
        save(random_model(kind), folder)
    change_config(folder, **changes)
    error = refused(lambda: load_model(str(folder)))
    assert error.key.startswith(("checkpoints.", "published."))
    (folder / "model.safetensors").unlink()  # the configuration alone says how many parameters there would be
    started = time.monotonic()
    try:
        assert find_facts(str(folder)).parameters >= 0
    except UserError as error:
        assert error.key.startswith(("checkpoints.", "published."))
    assert time.monotonic() - started < 60  # a machine may be busy


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(
    "damage", ["header cut", "weights cut", "empty", "header of a billion", "more numbers than bytes"]
)
def test_damaged_weights_of_others(damage: str, tmp_path: Path) -> None:
    folder = save(random_model("mamba2"), tmp_path / "model")
    assert model_card(str(folder)).published
    damaged(folder / "model.safetensors", damage)
    assert refused(lambda: load_model(str(folder))).key == "checkpoints.bad_weights"


def test_a_tensor_may_be_empty(tmp_path: Path) -> None:
    import torch

    save_file({"none": torch.zeros(0, 4), "one": torch.ones(2)}, tmp_path / "model.safetensors")
    assert tensors_in(tmp_path, "x")["none"].size == 0 and len(load_file(tmp_path / "model.safetensors")) == 2
