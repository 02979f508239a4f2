"""Passkeys without a part, and with a window of attention: the forked run is the one prompt by prompt."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.checkpoints.catalogue import load_tokenizer_of
from model.cli.main import app
from model.errors import UserError
from model.experiment import Strategy
from model.published import registry
from model.studies.passkey import PasskeyResult, PasskeyTask, Reader, measure, reader_of
from model.studies.passkey.cell_by_cell import run_passkey
from model.studies.passkey.prompts import Prompts
from model.studies.passkey.run import open_reader
from tests.support.published import random_model, save
from tests.support.tiny import make_tiny_checkpoint

TASK = PasskeyTask(language="en", lengths=(160, 320), depths=(0.0, 0.5), trials=2)


def prompt_by_prompt(reader: Reader) -> PasskeyResult:
    model, scans_over, state = open_reader(reader, None)
    prompts = Prompts(TASK, load_tokenizer_of(reader.model))
    return run_passkey(model, prompts, PasskeyResult(task=TASK, reader=reader), scans=scans_over(), state=state)


def probabilities(result: PasskeyResult) -> list[float]:
    return [cell.probability for cell in result.cells.values()]


@pytest.mark.parametrize("off", [(), ("layer:1",), ("head:0.1",), ("recurrence",), ("layer:0", "head:1.0")])
def test_a_part_is_off_in_forked_runs_too(off: tuple[str, ...], home: Path) -> None:
    reader = reader_of(make_tiny_checkpoint(home), Strategy.of(mitigations={"decay": 2.0}), off=off)
    forked, plain = (measure(PasskeyResult(task=TASK, reader=reader)), prompt_by_prompt(reader))
    assert probabilities(forked) == pytest.approx(probabilities(plain), rel=1e-3)
    whole = measure(PasskeyResult(task=TASK, reader=reader_of(reader.model, reader.strategy)))
    assert (probabilities(whole) == pytest.approx(probabilities(forked), rel=1e-3)) is (not off)


def test_attention_of_a_hybrid_sees_its_window(home: Path) -> None:
    name = str(save(random_model("bamba"), home / "model"))
    registry.note(name, train_length=64)
    reader = reader_of(name)
    assert reader.attention_window == 64 and Reader.from_json(reader.to_json()) == reader
    forked, plain = (measure(PasskeyResult(task=TASK, reader=reader)), prompt_by_prompt(reader))
    assert probabilities(forked) == pytest.approx(probabilities(plain), rel=1e-3)
    full = measure(PasskeyResult(task=TASK, reader=reader_of(name, window=0)))
    assert probabilities(full) != pytest.approx(probabilities(forked), rel=1e-3)
    silent = measure(PasskeyResult(task=TASK, reader=reader_of(name, off=("attention",))))
    assert probabilities(silent) != pytest.approx(probabilities(forked), rel=1e-3)


def test_keys_of_stored_results_stay(home: Path) -> None:
    name = make_tiny_checkpoint(home)
    assert not {"off", "attention_window"} & reader_of(name).to_json().keys()
    with pytest.raises(UserError, match="layer"):
        reader_of(name, off=("layer:9",))
    with pytest.raises(UserError, match="no full attention"):
        reader_of(name, window=128)


def test_the_command(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.cli.passkey.open_executor", lambda cluster, workers: ThreadPoolExecutor(workers))
    name = make_tiny_checkpoint(home)
    words = ["passkey", "--model", name, "--off", "layer:1", "--longest", "2", "--depths", "2", "--trials", "1"]
    said = CliRunner().invoke(app, [*words, "--out", str(tmp_path), "--workers", "1"])
    assert said.exit_code == 0, said.output
    assert "layer:1 off" in said.output
