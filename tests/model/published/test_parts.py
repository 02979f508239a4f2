"""Parts that are off: by definition, in our own stacks and in the library's bodies, and what that costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from kernels.dispatch import scan
from model.checkpoints.catalogue import load_model
from model.cli.main import app
from model.errors import UserError
from model.experiment import Experiment
from model.interventions.parts import Off
from model.published import registry
from model.published.attention import Attending
from model.published.body import LibraryModel
from model.published.config import read_published
from model.published.load import load_published
from model.reading.runner import run
from model.studies.parts import PartsResult, measure_parts, measure_recall, parts_of, table
from model.studies.passkey import PasskeyResult, reader_of
from tests.support.published import VOCAB, random_model, save
from tests.support.tiny import make_tiny_checkpoint, prepared, tiny_text

TOKENS = torch.randint(0, VOCAB, (2, 90), generator=torch.Generator().manual_seed(1))
TEXT = tiny_text(700, seed=3)
HYBRIDS = [
    *("bamba", "falcon_h1", "granitemoehybrid", "nemotron_h", "zamba2", "jamba", "zamba", "minimax", "recurrent_gemma"),
    *("qwen3_next", "qwen3_5_text", "olmo_hybrid", "lara_mini", "kimi_linear", "bailing_hybrid", "qwen4_exp_text"),
]


def hidden(model: Any, *words: str) -> torch.Tensor:
    off = Off.of(words)
    off.check(model.config)
    reader, scans = off.applied(model, [scan] * len(model.config.layers))
    with torch.inference_mode():
        return reader.hidden(TOKENS, None, scans)[0]


def zero_output(module: nn.Module) -> None:
    """What a projection at the end of ``module`` gives is zero: the definition, by changing the weights."""
    last = next(
        getattr(module, name) for name in ("out_proj", "o_proj", "dense", "linear_out") if hasattr(module, name)
    )
    nn.init.zeros_(last.weight)
    if last.bias is not None:
        nn.init.zeros_(last.bias)


@pytest.mark.parametrize("kind", HYBRIDS)
def test_off_is_an_output_projection_of_zeros(kind: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    folder = save(random_model(kind), tmp_path)
    config = read_published(folder, "tiny")

    def load() -> LibraryModel:
        found = load_published(folder, "tiny", config)
        assert isinstance(found, LibraryModel)
        return found

    model, other = load(), load()
    whole = hidden(model)
    for module in other.wrapped.modules():
        if isinstance(module, Attending):
            zero_output(module.attention)
    torch.testing.assert_close(hidden(model, "attention"), hidden(other), atol=1e-5, rtol=0)
    assert (hidden(model, "attention") - whole).abs().max() > 1e-4
    other = load()
    zero_output(other.mixers[1])
    torch.testing.assert_close(hidden(model, "layer:1"), hidden(other), atol=1e-5, rtol=0)
    every = [f"layer:{layer}" for layer in range(len(config.layers))]
    assert torch.equal(hidden(model, "recurrence"), hidden(model, *every))
    assert torch.equal(hidden(model), whole)


@pytest.fixture
def tiny(home: Path) -> str:
    torch.set_num_threads(1)
    return make_tiny_checkpoint(home)


def test_of_our_own_stack(tiny: str) -> None:
    model = load_model(tiny)
    whole = hidden(model)
    with torch.inference_mode():
        embedded = model.norm(model.embedding(TOKENS))
    assert torch.equal(hidden(model, "recurrence"), embedded)
    assert (hidden(model, "layer:1") - whole).abs().max() > 1e-4
    assert (hidden(model, "head:1.0") - whole).abs().max() > 1e-5
    assert torch.equal(hidden(model), whole)


def test_a_head_is_what_its_scan_reads(tiny: str) -> None:
    """All heads off leave the skip connection beside the scan, which the layer off does not."""
    model = load_model(tiny)
    heads = [f"head:0.{head}" for head in range(model.config.recorded_heads)]
    seen: list[torch.Tensor] = []

    def silent(inputs, memory, token_norms=False):
        output = scan(inputs, memory, token_norms)
        seen.append(output.y)
        return output._replace(y=torch.zeros_like(output.y))

    with torch.inference_mode():
        expected = model.hidden(TOKENS, None, [silent, scan])[0]
    assert seen[0].any() and torch.equal(hidden(model, *heads), expected)
    assert (expected - hidden(model, "layer:0")).abs().max() > 1e-5


def test_words_are_read_in_any_order_and_checked(tiny: str) -> None:
    config = load_model(tiny).config
    words = ["head:1.2", "layer:1", "recurrence", "layer:0", "layer:1"]
    assert Off.of(words).words == ("recurrence", "layer:0", "layer:1", "head:1.2")
    for wrong in ("layer", "layer:-1", "head:1", "layer:x", "", "mamba", "layer:١"):
        with pytest.raises(UserError, match="not a part of the model"):
            Off.of([wrong])
    for wrong in ("attention", "layer:2", "head:0.99", "head:9.0"):
        with pytest.raises(UserError) as error:
            Off.of([wrong]).check(config)
        assert error.value.sentence("ja") != error.value.sentence("en")


def test_a_reading_without_a_part(tiny: str, tmp_path: Path) -> None:
    whole, without = run(prepared(TEXT, tiny), tmp_path), run(prepared(TEXT, tiny, off=("layer:1",)), tmp_path)
    assert without.key != whole.key and without.experiment.off == ("layer:1",) and not without.experiment.plain
    assert without.experiment.baseline() == whole.experiment
    assert Experiment.from_json(json.loads(json.dumps(without.experiment.to_json()))) == without.experiment
    np.testing.assert_array_equal(without.array("control_loss"), whole.array("control_loss"))
    np.testing.assert_array_equal(without.array("norm"), whole.array("norm"))  # it reads and remembers as ever
    assert np.abs(without.array("loss") - whole.array("loss"))[1:].max() > 1e-4


def test_what_every_part_costs(tiny: str, tmp_path: Path) -> None:
    ready = prepared(TEXT, tiny, control=False)
    config = ready.card.config
    parts = parts_of(config, heads=True)
    assert len(parts) == 1 + len(config.layers) * (1 + config.recorded_heads)
    seen: list[tuple[int, ...]] = []

    class Cut(BaseException):
        pass

    def cut(*progress: int) -> None:
        if progress[0] == 2:
            raise Cut

    with pytest.raises(Cut):
        measure_parts(ready, parts, tmp_path, report=cut)
    result = measure_parts(ready, parts, tmp_path, report=lambda *progress: seen.append(progress))
    assert list(result.changes) == parts and min(done for done, *_ in seen) == 2
    whole, without = (run(prepared(TEXT, tiny, control=False, **off), tmp_path) for off in ({}, {"off": ("layer:1",)}))
    beyond = slice(1 + ready.experiment.train_length, None)
    expected = float(np.mean(without.array("loss")[beyond].astype(float) - whole.array("loss")[beyond]))
    assert result.changes["layer:1"].mean == pytest.approx(expected, abs=1e-5)
    change = result.changes["recurrence"]
    assert change.low <= change.mean <= change.high
    again = measure_parts(ready, parts, tmp_path, report=lambda *_: pytest.fail("it ran again"))
    assert again == result
    lines = "\n".join(table(result, config))
    assert "recurrence off" in lines and f"head {config.recorded_heads - 1}" in lines and "nan" not in lines
    with pytest.raises(UserError, match="longer document"):
        measure_parts(ready, parts, tmp_path, tokens=64)


def test_the_command_prints_a_matrix(home: Path, tmp_path: Path) -> None:
    name = str(save(random_model("bamba"), home / "model"))
    registry.note(name, train_length=64)
    file = tmp_path / "notes.txt"
    file.write_text(TEXT, "utf-8")
    words = ["parts", str(file), "--model", name, "--out", str(tmp_path / "out"), "--tokens", "300"]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0 and "attention off" in said.output and "Mamba-2" in said.output
    values = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)
    assert set(values["changes"]) == {"recurrence", "attention", "layer:0", "layer:1", "layer:2"}
    assert values["experiment"]["attention_window"] == 64 and values["experiment"]["tokens"] == 300
    assert values["recall"] == {}


def test_the_matrix_of_passkeys_is_that_of_the_passkey_test(tiny: str, tmp_path: Path) -> None:
    ready = prepared(TEXT, tiny, control=False)
    parts = ["recurrence", "layer:0", "head:1.0"]
    result = measure_parts(ready, parts, tmp_path)
    tested = measure_recall(result, parts, tmp_path / "passkey", trials=2, depths=2)
    assert list(tested.recall) == ["", *parts] and tested.changes == result.changes
    reader = reader_of(tiny, off=("layer:0",))
    test = next(
        PasskeyResult.load(file)
        for file in (tmp_path / "passkey").glob("*.json")
        if reader.off == PasskeyResult.load(file).reader.off
    )
    assert test.reader == reader and [tested.recall["layer:0"]] == [cell.accuracy for cell in test.by_length().values()]
    assert measure_recall(result, parts, tmp_path / "passkey", trials=2, depths=2) == tested
    lines = "\n".join(table(tested, ready.card.config))
    assert "passkeys recalled" in lines and "recalls" in lines


@pytest.mark.parametrize("window", [0, 48])
def test_passkeys_are_read_with_the_window_of_the_reading(window: int, home: Path, tmp_path: Path) -> None:
    name = str(save(random_model("bamba"), home / "model"))
    registry.note(name, train_length=64)
    ready = prepared(TEXT, name, control=False, attention_window=window)
    measure_recall(PartsResult(experiment=ready.experiment, loss=1.0, changes={}), [], tmp_path, trials=1, depths=2)
    stored = PasskeyResult.load(next(tmp_path.glob("*.json")))
    assert stored.reader.attention_window == window
