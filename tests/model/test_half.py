"""Weights that are halved on disk: the same model, but for the rounding of its matrices."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from model.checkpoints.catalogue import load_model, model_card
from model.checkpoints.half import halve, halved
from model.errors import UserError
from tests.support.tiny import make_tiny_checkpoint


def test_a_halved_checkpoint_reads_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    folder = tmp_path / "checkpoints" / make_tiny_checkpoint(tmp_path)
    tokens = torch.from_numpy(np.arange(60)[None])
    before = load_model("tiny")(tokens)[0]
    weights = model_card("tiny").weights
    large, small = halve(folder)
    assert small < 0.6 * large
    after = load_model("tiny")(tokens)[0]
    assert after.dtype == torch.float32 and 0 < (after - before).abs().max() < 0.01 * before.abs().max()
    kept = load_file(folder / "model.safetensors")
    assert kept["blocks.0.mixer.A_log"].dtype == torch.float32 and kept["embedding.weight"].dtype == torch.float16
    assert model_card("tiny").weights != weights
    assert halve(folder) == (small, small)


def test_what_float16_does_not_hold_is_kept() -> None:
    wide = torch.tensor([[1.0, 1e6]])
    assert halved("a.weight", wide) is wide and halved("frequency", torch.ones(2, 2)).dtype == torch.float32


def test_only_a_checkpoint_of_ours_is_halved(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="trained here"):
        halve(tmp_path)
