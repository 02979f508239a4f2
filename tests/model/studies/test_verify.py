"""Verification: equal models are called equal, a changed one is located, and the library's own faults are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from model.cli.main import app
from model.errors import UserError
from model.published.load import load_published
from model.studies import verify as subject
from model.studies.module_outputs import first_difference
from model.studies.verify import Verification, verify
from tests.support import plain
from tests.support.published import random_model, save
from tests.support.tiny import make_tiny_checkpoint


def rows(found: Verification) -> dict[str, subject.Check]:
    return {check.way: check for check in found.library}


def test_a_second_piece_from_the_cache_of_the_library(tmp_path: Path) -> None:
    """Falcon-Mamba of transformers 5.24 forgets its state there; a release that mends it makes the row equal."""
    found = verify(str(save(random_model("falcon_mamba"), tmp_path)))
    assert found.right and [check.way for check in found.ours] == ["one_piece", "uneven_pieces", "bfloat16"]
    assert all(check.difference < 1e-5 for check in found.ours[:2])
    wrong = rows(found)["two_pieces"]
    if wrong.parts:
        assert wrong.position == found.tokens // 2 and wrong.module == "backbone.layers.0.mixer.out_proj"
    assert not rows(found)["one_by_one"].parts


def test_padding_of_a_hybrid(tmp_path: Path) -> None:
    found = rows(verify(str(save(random_model("bamba"), tmp_path))))
    assert not found["padded_left"].parts and found["padded_right"].error is None
    assert found["padded_right"].position in (None, 128)


@pytest.mark.parametrize("kind", ["mamba2", "qwen3_next"])
def test_where_a_changed_model_parts(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(*choices: Any) -> Any:
        model = load_published(*choices)
        with torch.no_grad():
            for parameter in model.mixers[1].parameters():
                parameter.mul_(1.05)
        return model

    monkeypatch.setattr(subject, "load_published", changed)
    found = verify(str(save(random_model(kind), tmp_path)))
    assert not found.right
    for check in found.ours[:2]:
        assert check.parts and check.position == 0 and not check.tie
        assert check.module.split(".")[2:] == {"mamba2": ["1", "mixer"], "qwen3_next": ["2", "linear_attn"]}[kind]


def test_a_selection_that_rounding_decides_is_a_tie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library moves by itself, a difference is no fault of ours; where it stays, it is one."""
    folder = save(random_model("mamba2"), tmp_path)

    def disturbed(*choices: Any) -> Any:
        model = load_published(*choices)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1 + 3e-4 * torch.randn_like(parameter))
        return model

    monkeypatch.setattr(subject, "load_published", disturbed)
    found = verify(str(folder))
    assert not found.right and found.ours[0].parts and not found.ours[0].tie
    monkeypatch.setattr(subject, "MOVED", 1e-2)
    found = verify(str(folder))
    assert found.right and found.ours[0].parts and found.ours[0].tie


def test_a_family_without_a_library_is_held_against_the_loop(tmp_path: Path) -> None:
    found = verify(str(plain.save("gla", tmp_path)))
    assert found.right and found.reference == "loop" and not found.library
    assert all(check.difference < 1e-4 for check in found.ours[:2])


def test_what_cannot_be_verified(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="trained with this program"):
        verify(make_tiny_checkpoint(home))
    folder = save(random_model("mamba2"), tmp_path)
    with pytest.raises(UserError, match="10 tokens cannot be compared"):
        verify(str(folder), tokens=10)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(save(random_model("mamba2"), tmp_path))
    printed = CliRunner().invoke(app, ["verify", folder])
    assert printed.exit_code == 0 and printed.output.rstrip().endswith("equals the reference.")
    found = json.loads(CliRunner().invoke(app, ["verify", folder, "--json", "--seed", "1"]).output)
    assert found["right"] and found["library"][0]["way"] == "two_pieces"
    monkeypatch.setattr(subject, "one_piece", lambda ours, ids: 2 * ours(ids)[0])
    monkeypatch.setitem(subject.OUR_WAYS, "one_piece", subject.one_piece)
    printed = CliRunner().invoke(app, ["verify", folder])
    assert printed.exit_code == 1 and "DIFFERS" in printed.output


def test_padding_is_not_compared() -> None:
    expected = {"a": torch.ones(1, 5, 2), "b": torch.ones(1, 5, 2)}
    found = {"a": torch.ones(1, 7, 2), "b": torch.ones(1, 7, 2)}
    found["a"][:, 2:4] = 9
    assert first_difference(found, expected, 1e-6, slice(2, 4)) is None
    found["b"][:, 4] = 2
    assert first_difference(found, expected, 1e-6, slice(2, 4)) == "b"
