"""What a delta rule overwrites: by definition, in any segments, present only where a transition erases."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch

from kernels.dispatch import scan
from kernels.types import CHUNK, LowRank, Memory, ScanInputs
from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import save_checkpoint
from model.config import ModelConfig
from model.diagnostics.summary import verdict
from model.reading.overwriting import overwriting
from model.reading.runner import run
from model.recording.archive import pack, unpack
from model.recording.reader import Recording
from model.tokenizer import train_tokenizer
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text

HEADS, HEADDIM, D_STATE = 4, 3, 5
TEXT = tiny_text(900, seed=3)


@pytest.mark.parametrize("seqlen", [1, CHUNK, CHUNK + 1, 2 * CHUNK, 150])
def test_it_is_what_its_definition_says(seqlen: int) -> None:
    rng = torch.Generator().manual_seed(seqlen)
    states = torch.randn(-(-seqlen // CHUNK) + 1, HEADS, HEADDIM, D_STATE, generator=rng, dtype=torch.float64)
    pair = LowRank(*(torch.randn(seqlen, groups, D_STATE, generator=rng, dtype=torch.float64) for groups in (4, 2)))
    found = overwriting(states, pair)
    assert found.shape == (2, len(states) - 1, HEADS)
    for chunk in range(len(states) - 1):
        for head in range(HEADS):
            h, shares = states[chunk, head], []
            for t in range(chunk * CHUNK, min(seqlen, (chunk + 1) * CHUNK)):
                a, b = pair.a[t, head], pair.b[t, head // 2]
                shares.append([(h @ a).norm() * b.norm() / h.norm(), (h @ b).norm() / h.norm() / b.norm()])
            torch.testing.assert_close(found[:, chunk, head], torch.tensor(shares, dtype=torch.float64).mean(0))


def test_an_empty_state_has_nothing_to_overwrite() -> None:
    pair = LowRank(torch.ones(10, 1, D_STATE), torch.ones(10, 1, D_STATE))
    assert overwriting(torch.zeros(2, HEADS, HEADDIM, D_STATE), pair).isnan().all()


def test_a_token_that_erases_everything_and_one_that_erases_nothing() -> None:
    """A state that holds one key: another token at this key with full strength overwrites all, at another key none."""
    keys = torch.eye(D_STATE, dtype=torch.float64)
    states = (torch.ones(HEADDIM, 1, dtype=torch.float64) * keys[0])[None, None].repeat(2, 1, 1, 1)
    for key, expected in ((0, 1.0), (1, 0.0)):
        k = keys[key][None, None]
        torch.testing.assert_close(
            overwriting(states, LowRank(-k, k)), torch.full((2, 1, 1), expected, dtype=torch.float64)
        )


def test_the_scan_says_which_pair_was_applied() -> None:
    k = torch.nn.functional.normalize(torch.randn(1, 70, 2, D_STATE), dim=-1)
    inputs = ScanInputs(torch.randn(1, 70, 2, HEADDIM), k, k, torch.zeros(1, 70, 2, 1), LowRank(-k, k))
    assert scan(inputs, Memory(torch.zeros(1, 2, HEADDIM, D_STATE))).low_rank is inputs.low_rank
    assert scan(inputs._replace(low_rank=None), Memory(torch.zeros(1, 2, HEADDIM, D_STATE))).low_rank is None


@pytest.fixture
def mixed(home: Path) -> str:
    """A model with a layer of Mamba-2 and one of a delta rule."""
    torch.manual_seed(0)
    layers = ("mamba2", "gated_deltanet")
    config = ModelConfig(layers=layers, d_model=32, d_state=16, headdim=16, vocab_size=320, train_length=64)
    save_checkpoint(home / "checkpoints" / "mixed", LanguageModel(config), train_tokenizer([tiny_text(4000)], 320))
    return "mixed"


def test_a_recording_has_it_where_a_transition_erases(mixed: str, tmp_path: Path, monkeypatch) -> None:
    recording = run(prepared(TEXT, mixed), tmp_path)
    for name in ("overwritten", "alignment"):
        values = recording.array(name)
        assert values.shape == recording.array("norm").shape
        assert np.isnan(values[:2]).all() and np.isnan(values[:, 0]).all()  # the first chunk found an empty state
        assert (values[2:, 1] > 0).all() and (values[2:, 1] <= 1 + 1e-5).all()
    assert (recording.array("overwritten")[2:, 1] < recording.array("alignment")[2:, 1]).all()  # beta is below one
    monkeypatch.setattr("model.reading.stream.CHANNELS", 0)
    short = run(prepared(TEXT, mixed), tmp_path / "short")
    np.testing.assert_allclose(short.array("alignment"), recording.array("alignment"), rtol=1e-4, atol=1e-5)
    assert verdict(recording.summary)[0].startswith("verdict.")


def test_a_recording_without_a_delta_rule_has_none(home: Path, tmp_path: Path) -> None:
    recording = run(prepared(TEXT, make_tiny_checkpoint(home)), tmp_path)
    assert not recording.has("overwritten") and not recording.has("alignment")


def test_it_goes_through_an_archive(mixed: str, tmp_path: Path) -> None:
    recording = run(prepared(TEXT, mixed), tmp_path)
    packed = BytesIO()
    pack(recording, packed)
    packed.seek(0)
    again = unpack(packed, "packed.zip", tmp_path / "unpacked")
    np.testing.assert_array_equal(again.array("alignment"), recording.array("alignment"))


def test_a_reading_that_an_earlier_version_began_goes_on(mixed: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("model.reading.stream.CHANNELS", 0)
    seen: list[object] = []
    cut = run(prepared(TEXT, mixed), tmp_path, on_progress=seen.append, stop=lambda: len(seen) >= 1)
    assert not cut.complete
    for name in ("overwritten", "alignment"):
        shutil.rmtree(cut.path / "data.zarr" / name)
    kept = {name: digest for name, digest in cut.meta.arrays.items() if name not in ("overwritten", "alignment")}
    replace(cut.meta, arrays=kept).write(cut.path)
    again = run(prepared(TEXT, mixed), tmp_path)
    assert again.complete and not again.has("alignment") and np.isfinite(again.array("norm")).all()
    assert json.loads((again.path / "recording.json").read_text("utf-8"))["status"] == "complete"
    assert Recording(again.path).complete
