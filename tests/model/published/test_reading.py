"""A published model reads a document, end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from model.checkpoints.catalogue import load_tokenizer_of, model_card
from model.cli.main import app
from model.errors import UserError
from model.interventions.mitigations import MITIGATIONS
from model.published import registry
from model.published.tokens import beginning
from model.reading.reference import record_explored, reference_of
from model.reading.runner import run
from model.tokenizer import PIECE
from tests.support.published import in_cache, random_model, save
from tests.support.tiny import prepared, tiny_text

TEXT = tiny_text(900, seed=3)
pytestmark = pytest.mark.usefixtures("places")


@pytest.mark.parametrize("kind", ["mamba2", "mamba", "recurrent_gemma", "bamba"])
def test_a_published_model_reads_a_document(kind: str, tmp_path: Path) -> None:
    name = str(save(random_model(kind), tmp_path / "model"))
    registry.note(name, train_length=64)
    card = model_card(name)
    assert record_explored(card, [("notes.txt", tiny_text(2000, 5)), ("short.txt", "oil")], windows=8)
    reference = reference_of(card)
    assert reference is not None and reference.names == ("notes.txt",) and reference.windows == 8
    choices: dict[str, Any] = {"mitigations": {"decay": 2.0}, "initial_state": "fitted", "token_norms": True}
    recording = run(prepared(TEXT, name, **choices), tmp_path / "out")
    config = card.config
    assert recording.meta.layers == config.layers
    heads = recording.array("norm").shape[2]
    assert heads == config.recorded_heads and config.nheads % heads == 0
    at = recording.array("position")[1:] - 1
    np.testing.assert_allclose(recording.array("token_norm")[at], recording.array("norm")[1:], rtol=2e-4, atol=1e-5)
    assert np.isfinite(recording.array("loss")[1:]).all() and recording.summary["unexplored_fraction"] is not None
    mixed = explored_norms(card)
    np.testing.assert_allclose(recording.array("norm")[0], mixed, rtol=0.35)


def explored_norms(card: Any) -> np.ndarray:
    """What the norms of fitted noise should be."""
    from model.diagnostics.explored import Explored

    explored = Explored.load(card.explored)
    elements = card.config.recorded_headdim * card.config.d_state
    return np.sqrt(elements * (explored.std**2 + explored.mean**2))


def test_a_cut_run_of_a_hybrid_goes_on_with_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.reading.runner.BLOCK", 1024)
    monkeypatch.setattr("model.reading.stream.CHANNELS", 0)  # segments of 512 tokens
    name = str(save(random_model("bamba"), tmp_path / "model"))
    seen: list[Any] = []
    document = prepared(TEXT, name, train_length=64)
    cut = run(document, tmp_path / "cut", on_progress=seen.append, stop=lambda: len(seen) >= 3)
    assert not cut.complete
    whole, resumed = run(document, tmp_path / "whole"), run(document, tmp_path / "cut")
    np.testing.assert_array_equal(resumed.array("loss"), whole.array("loss"))
    np.testing.assert_array_equal(resumed.array("norm"), whole.array("norm"))


@pytest.mark.parametrize("name", [name for name, row in MITIGATIONS.items() if row.per_head])
def test_mitigations_that_need_one_rate_per_head_are_refused(name: str, tmp_path: Path) -> None:
    folder = str(save(random_model("mamba"), tmp_path / "model"))
    assert not MITIGATIONS[name].fits(model_card(folder).config)
    assert MITIGATIONS[name].fits(model_card("mamba2-base").config)
    with pytest.raises(UserError, match="one decay per head"):
        prepared(TEXT, folder, mitigations={name: MITIGATIONS[name].suggested})


def test_the_command_reads_with_a_folder_and_with_a_downloaded_name(checkpoint: Path, tmp_path: Path) -> None:
    in_cache(checkpoint, "someone/tiny-mamba2")
    document = tmp_path / "notes.txt"
    document.write_text(TEXT, "utf-8")
    figures = []
    for model in (str(checkpoint), "someone/tiny-mamba2"):
        arguments = ["read", str(document), "--model", model, "--train-length", "64", "--json"]
        result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
        assert result.exit_code == 0, result.output
        figures.append(json.loads(result.output)["loss_within"])
    assert figures[0] == figures[1]


def test_tokens_before_every_text_are_read_first(checkpoint: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = load_tokenizer_of(str(checkpoint))
    assert beginning(tokenizer) == []
    tokenizer.post_processor = TemplateProcessing(single="! $A", special_tokens=[("!", 7)])
    assert beginning(tokenizer) == [7]
    document = prepared(TEXT, str(checkpoint))
    assert document.tokens[0] == 7 and document.characters[:2].tolist() == [0, 0]


def test_tokens_are_those_of_the_library(checkpoint: Path) -> None:
    from transformers import AutoTokenizer

    text = tiny_text(9000, 3).replace(".", ".\n\n  \n   ")
    assert len(text) > 3 * PIECE
    theirs = AutoTokenizer.from_pretrained(checkpoint)(text)["input_ids"]
    document = prepared(text, str(checkpoint))
    assert document.tokens.tolist() == theirs
