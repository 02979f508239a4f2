"""A reading stops at the first number that is not finite, keeps all before it, and names token, place and cause."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import model.reading.runner
from kernels.dispatch import scan
from kernels.types import Memory, ScanInputs, ScanOutput
from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import load_model
from model.errors import UserError
from model.reading.finite import Overflow, Passage, overflow_in
from model.reading.runner import Block, run
from model.reading.telemetry import effective_rank
from model.recording.reader import CANCELLED, Recording, read_state
from tests.support.homes import forget_models
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text


def text_of(words: int) -> str:
    """A text with a letter after so many words that comes nowhere else."""
    return tiny_text(words, seed=3) + "Ω" + tiny_text(900 - words, seed=4)


ROOT = Path(__file__).parents[3]


@pytest.fixture
def tiny(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint whose head has a matrix of its own; readings have segments of 512 tokens and blocks of 1024."""
    torch.set_num_threads(1)
    monkeypatch.setattr("model.reading.stream.CHANNELS", 0)
    monkeypatch.setattr(model.reading.runner, "BLOCK", 1024)
    forget_models()
    make_tiny_checkpoint(home)
    folder = home / "checkpoints" / "tiny"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tied": False}))
    change(folder, lambda weights: weights.update(lm_head=weights["embedding.weight"].clone()))
    return folder


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors")
    forget_models()


def rare_token(text: str) -> tuple[int, int]:
    """The token of that letter, and how many come before it."""
    document = prepared(text)
    place = int(np.searchsorted(document.characters, text.index("Ω")))
    token = int(document.tokens[place])
    assert token not in document.tokens[:place]
    return token, place


def refused(folder: Path, text: str, **choices: object) -> tuple[UserError, Path]:
    """The sentence with which a reading ends, and where what it kept is."""
    document = prepared(text, **choices)
    with pytest.raises(UserError) as error:
        run(document, folder)
    assert error.value.key == "reading.not_finite"
    assert "{" not in error.value.sentence("en") + error.value.sentence("ja")
    return error.value, folder / document.experiment.key


def nan_row(token: int) -> Callable[[dict[str, torch.Tensor]], object]:
    return lambda weights: weights["embedding.weight"][token].fill_(torch.nan)


def overflowing_row(token: int) -> Callable[[dict[str, torch.Tensor]], object]:
    """Make the first layer's product too large for a float32 where, and only where, ``token`` is read."""

    def edit(weights: dict[str, torch.Tensor]) -> None:
        weights["embedding.weight"][:, 0] = 0
        weights["embedding.weight"][token] = 0
        weights["embedding.weight"][token, 0] = 1
        weights["blocks.0.mixer.in_proj.weight"][:, 0] = 3e38

    return edit


@pytest.mark.parametrize("edit", [nan_row, overflowing_row])
@pytest.mark.parametrize("words", [5, 40, 300, 500])
def test_all_before_the_first_bad_number_is_kept_and_the_cause_named(
    tiny: Path, tmp_path: Path, words: int, edit: Callable[[int], Callable[[dict[str, torch.Tensor]], object]]
) -> None:
    text = text_of(words)
    token, place = rare_token(text)
    change(tiny, overflowing_row(token))
    change(tiny, lambda weights: weights["blocks.0.mixer.in_proj.weight"][:, 0].fill_(0))
    whole = run(prepared(text, control=False), tmp_path / "whole")  # the same numbers, as long as no such token comes
    change(tiny, edit(token))
    error, path = refused(tmp_path / "bad", text, control=False)
    assert error.values["token"] == place + 1
    said = str(error)
    assert "layer 0, head" in said and ("embedding.weight" in said) == (edit is nan_row)
    assert ("overflowed" in said) == (edit is overflowing_row)
    kept = place // 64 * 64
    if not kept:
        assert "too early" in said and Recording(path).read_tokens == 0
        return
    left = Recording(path)
    assert left.meta.status == CANCELLED and left.read_tokens == kept and str(kept) in said
    for name in left.stored.names:
        np.testing.assert_allclose(left.array(name), whole.array(name)[: len(left.array(name))], rtol=1e-5, atol=1e-6)
        assert len(left.array(name)) == {"loss": kept, "norm": kept // 64 + 1}.get(name, len(left.array(name)))
    assert all(np.isfinite(array).all() for array in read_state(path).values())
    assert all(isinstance(value, str) or value is None or np.isfinite(value) for value in left.summary.values())
    again, _ = refused(tmp_path / "bad", text, control=False)  # it resumes, and stops where it did
    assert again.values["token"] == place + 1 and Recording(path).read_tokens == kept


def test_the_control_is_held_to_the_same(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of(300)
    token, place = rare_token(text)
    whole = run(prepared(text), tmp_path / "whole")
    plain = load_model("tiny")
    change(tiny, nan_row(token))
    broken = load_model("tiny")
    monkeypatch.setattr(model.reading.runner, "read_with", lambda *_choices, **_more: plain)
    monkeypatch.setattr(Block, "__init__", with_control(Block.__init__, broken))
    error, path = refused(tmp_path / "bad", text)
    assert "control" in str(error) and "embedding.weight" in str(error) and error.values["token"] == place + 1
    left = Recording(path)
    before = place // 64 * 64
    assert left.meta.status == CANCELLED and before <= left.read_tokens < whole.tokens
    for name in ("loss", "control_loss", "norm"):
        rows = slice(place - 64 if name == "control_loss" else None)
        found, expected = left.array(name), whole.array(name)[: len(left.array(name))]
        np.testing.assert_allclose(found[rows], expected[rows], rtol=1e-5, atol=1e-6)
    assert np.isnan(left.array("control_loss")[place + 1 :]).all()


def with_control(init: Callable[..., None], lm: LanguageModel) -> Callable[..., None]:
    """``init`` of a Block, whose control reads with ``lm``."""

    def changed(block: Block, *arguments: object) -> None:
        init(block, *arguments)
        block.model = lm

    return changed


def test_a_state_that_overflows_is_told_from_its_inputs(tiny: Path) -> None:
    lm = load_model("tiny")

    def growing(inputs: ScanInputs, memory: Memory, token_norms: bool = False) -> ScanOutput:
        output = scan(inputs, memory, token_norms)
        states = output.boundary_states.clone()
        states[:, -1, 2] = 1e30  # finite, but its norm is not
        return output._replace(boundary_states=states)

    tokens = prepared(text_of(300)).tokens[:64]
    passage = Passage(lm, 0, tokens, lm.zero_state(), [scan, growing])
    assert overflow_in(passage) == Overflow("state", 1, 2, read=1)
    assert overflow_in(passage._replace(scans=[scan, scan])) == Overflow("output")


def test_the_effective_rank_of_a_state_that_is_not_finite_is_nan() -> None:
    grams = torch.eye(4).repeat(3, 1, 1)
    grams[1, 0, 0] = torch.inf
    assert effective_rank(grams)[[0, 2]].tolist() == pytest.approx([4, 4]) and bool(effective_rank(grams)[1].isnan())


@pytest.mark.parametrize("edit", [nan_row, overflowing_row])
def test_the_command_line_ends_with_the_sentence(
    tiny: Path, tmp_path: Path, edit: Callable[[int], Callable[[dict[str, torch.Tensor]], object]]
) -> None:
    text = text_of(40)
    token, _ = rare_token(text)
    change(tiny, edit(token))
    (tmp_path / "notes.txt").write_text(text, "utf-8")
    command = [sys.executable, "-c", "from model.cli.main import main; main()"]
    options = ["read", str(tmp_path / "notes.txt"), "--model", "tiny", "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "is not a finite number" in done.stderr and "Traceback" not in done.stderr
