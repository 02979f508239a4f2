"""Pickles to safetensors: the same numbers, ties and shards, and nothing that could run."""

from __future__ import annotations

import errno
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from typer.testing import CliRunner

from model.checkpoints.catalogue import model_card
from model.cli.main import app
from model.errors import UserError
from model.published.config import read_published
from model.published.convert import convert
from model.published.load import load_published
from tests.support.published import random_model, save

TOKENS = torch.arange(40)[None]


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    """A tiny checkpoint whose weights are pickled, with the tied head as a tensor of its own name."""
    folder = save(random_model("mamba2 with two groups"), tmp_path / "pickled")
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"] = weights["backbone.embeddings.weight"]
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    return folder


def logits(folder: Path) -> torch.Tensor:
    with torch.inference_mode():
        return load_published(folder, "tiny", read_published(folder, "tiny"))(TOKENS)[0]


def test_a_converted_model_is_the_same(pickled: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="memory-explorer convert"):
        model_card(str(pickled))
    done = CliRunner().invoke(app, ["convert", str(pickled), "--out", str(tmp_path / "safe")])
    assert done.exit_code == 0 and not list(pickled.glob("*.safetensors"))
    assert model_card(str(tmp_path / "safe")).config.family == "mamba2"
    expected = logits(save(random_model("mamba2 with two groups"), tmp_path / "truth"))
    assert torch.equal(logits(tmp_path / "safe"), expected)
    assert convert(pickled) == pickled and torch.equal(logits(pickled), expected)
    with pytest.raises(UserError, match="already holds"):
        convert(pickled)


@pytest.mark.parametrize("error", ["I/O error: No space left on device (os error 28)", ""])
def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    pickled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    """As the library says it, and as the system does."""

    def no_room(tensors: dict[str, torch.Tensor], file: Path, **_: object) -> None:
        file.write_bytes(b"half")
        raise SafetensorError(error) if error else OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("model.published.convert.save_file", no_room)
    with pytest.raises(UserError, match="The disk is full"):
        convert(pickled, tmp_path / "safe")
    assert not list((tmp_path / "safe").iterdir()) and list(pickled.glob("*.bin"))


def test_shards_and_what_training_leaves_beside(pickled: Path) -> None:
    weights = torch.load(pickled / "pytorch_model.bin", weights_only=True)
    (pickled / "pytorch_model.bin").unlink()
    names = sorted(weights)
    for number, some in enumerate((names[:5], names[5:]), 1):
        inside = {"epoch": 3, "state_dict": {name: weights[name].clone() for name in some}}
        torch.save(inside, pickled / f"pytorch_model-{number:05d}-of-00002.bin")
    torch.save({"state": {0: torch.ones(2)}}, pickled / "optimizer.pt")
    convert(pickled)
    assert (pickled / "model.safetensors.index.json").exists() and logits(pickled).isfinite().all()


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="holds no weights"):
        convert(tmp_path)
    file = tmp_path / "pytorch_model.bin"
    for content in (pickle.dumps({"a": Harmful()}), pickle.dumps(Harmful())):
        file.write_bytes(content)
        with pytest.raises(UserError, match="more than tensors"):
            convert(tmp_path)
    torch.save({"a": Harmful(), "b": torch.ones(2)}, file)
    with pytest.raises(UserError, match="more than tensors"):
        convert(tmp_path)
    assert not (tmp_path / "harm").exists()
    torch.save({"a": torch.ones(100)}, file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match="damaged"):
        convert(tmp_path)
    torch.save([1, 2], file)
    with pytest.raises(UserError, match="damaged or holds no tensors"):
        convert(tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
    with pytest.raises(UserError, match="no folder"):
        convert(tmp_path / "gone")
