"""The study of architectures on a tiny model: its parts, a run that stops and resumes, files, matrix and command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import model_card, save_checkpoint
from model.cli.main import app
from model.config import ModelConfig
from model.errors import UserError
from model.messages import LANGUAGES
from model.studies.architectures import PARTS, Architecture, Speed, Timing, begin, measure_architecture, stored_in
from model.studies.architectures import measure as parts
from model.studies.architectures.report import COLUMNS, conclusion, crossing_words, crossings, row, unequal, written
from model.studies.architectures.run import SHIPPED, taken_over
from model.tokenizer import train_tokenizer
from tests.cards import cards
from tests.support.tiny import make_tiny_checkpoint, tiny_text

TEXTS = {"ab" * 32: ("notes.txt", tiny_text(5000, seed=2)), "cd" * 32: ("log.txt", tiny_text(5000, seed=3))}
T, TOKENS = 16, 320
QUICK = ("reading", "context", "gradients")


@pytest.fixture(autouse=True)
def few_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less of everything that takes long."""
    monkeypatch.setattr(parts, "TRIALS", 1)
    monkeypatch.setattr(parts, "LONGEST", 8)
    monkeypatch.setattr(parts, "DEPTHS", (0.5,))
    monkeypatch.setattr(parts, "LAST", 2048)
    monkeypatch.setattr(parts, "LEAST", 0.0)


def begun(name: str = "tiny") -> Architecture:
    return begin(name, TEXTS, tokens=TOKENS)


def make_transformer(home: Path) -> str:
    """Write the checkpoint ``attention``, two layers of attention with random weights."""
    torch.manual_seed(0)
    layers = ("attention_rope", "attention_rope")
    config = ModelConfig(layers=layers, d_model=32, d_state=2, headdim=16, expand=1, vocab_size=320, train_length=T)
    model = LanguageModel(config)
    save_checkpoint(home / "checkpoints" / "attention", model, train_tokenizer([tiny_text(4000)], config.vocab_size))
    return "attention"


def test_every_part_is_measured_and_kept(home: Path) -> None:
    make_tiny_checkpoint(home)  # its norms are known every 64 tokens, its training length
    shares: list[tuple[str, float]] = []
    kept: list[Architecture] = []
    result = measure_architecture(
        begun(), "tiny", TEXTS, report=lambda part, share: shares.append((part, share)), keep=kept.append
    )
    assert not result.lacking and begun().lacking == PARTS
    assert [share for _, share in shares] == sorted(share for _, share in shares) and shares[-1][1] == 1.0
    assert {part for part, _ in shares} == set(PARTS) and len(kept) == len(PARTS) + 1  # two documents
    assert set(result.readings) == set(TEXTS)
    assert not result.grows and result.state[0] == (64, result.state[1][1]) and result.state[1][0] == 16 * 64
    assert result.growth > 0 and result.gradients.verdict and result.speed.points[0].length == 256
    assert all(0 <= right <= of for right, of in result.passkeys.values())
    result.save(home / "tiny.json")
    assert Architecture.load(home / "tiny.json") == result
    assert "notes.txt" in (home / "tiny.json").read_text("utf-8") and "pump" not in (home / "tiny.json").read_text()


def test_a_stopped_run_resumes_and_ends_like_one_that_did_not_stop(home: Path) -> None:
    make_tiny_checkpoint(home, train_length=T)
    whole = measure_architecture(begun(), "tiny", TEXTS, parts=QUICK)
    file, calls = home / "results" / "tiny.json", [0]

    def stop() -> bool:
        calls[0] += file.exists()
        return calls[0] > 1  # one segment into the second document

    first = measure_architecture(begun(), "tiny", TEXTS, parts=QUICK, keep=lambda kept: kept.save(file), stop=stop)
    assert set(first.readings) == {next(iter(TEXTS))} and first.context is None
    resumed = taken_over(begun(), stored_in([home / "results"]))
    assert resumed == first
    assert measure_architecture(resumed, "tiny", TEXTS, parts=QUICK) == whole
    assert taken_over(replace(begun(), tokens=TOKENS + 1), [first]).readings is None  # other settings


def test_a_cache_of_attention_grows_and_has_no_state_norm(home: Path) -> None:
    make_transformer(home)
    result = measure_architecture(begun("attention"), "attention", TEXTS, parts=QUICK)
    assert result.grows and result.growth is None and row(result)["grows"] > 0.9 * TOKENS / T
    assert all(norm > 0 for norm in result.gradients.norms)  # at the longest lag the cache is not empty either
    assert written(result, "norm", "en") == "—"


def test_bad_input_says_what_to_do(home: Path) -> None:
    make_tiny_checkpoint(home, train_length=T)
    with pytest.raises(UserError, match="reading, passkey"):
        measure_architecture(begun(), "tiny", TEXTS, parts=["speeed"])
    short = {"ef" * 32: ("short.txt", tiny_text(20))}
    with pytest.raises(UserError, match=r"short\.txt"):
        measure_architecture(begin("tiny", short, tokens=TOKENS), "tiny", short)
    (home / "broken.json").write_text("[1]", "utf-8")
    (home / "newer.json").write_text('{"format": 99}', "utf-8")
    for name in ("broken.json", "newer.json"):
        with pytest.raises(UserError, match=name):
            Architecture.load(home / name)
    assert stored_in([home]) == []


def timed(name: str, fixed: float, slope: float, square: float = 0.0) -> Architecture:
    """A made-up model that needs fixed + slope L + square L^2 seconds."""
    lengths = [2**power for power in range(8, 15)]
    points = tuple(Timing(length=at, seconds=fixed + slope * at + square * at**2) for at in lengths)
    speed = Speed(machine="CPU", points=points, step=1e-3)
    return Architecture(
        name=name, weights=name, layers=(name,), train_length=T, parameters=1, trained=len(name), tokens=TOKENS,
        documents=(), speed=speed,
    )  # fmt: skip


def test_curves_cross_where_their_equations_do() -> None:
    linear, quadratic = timed("linear", 0.0, 2e-5), timed("quadratic", 0.0, 1e-5, 1e-8)
    (found,) = crossings([quadratic, linear])  # 2e-5 = 1e-5 + 1e-8 L
    assert (found.first, found.second) == ("linear", "quadratic") and found.length == pytest.approx(1000, rel=1e-3)
    assert found.seconds == pytest.approx(0.02, rel=1e-3)
    assert "1,000" in crossing_words(found, "ja") and crossings([linear]) == []
    assert crossings([quadratic, replace(linear, layers=quadratic.layers)]) == []  # of one shape: by chance
    for language in LANGUAGES:
        assert unequal([linear, quadratic], language) and unequal([linear], language) is None


def test_the_command_prints_the_matrix_with_shipped_results(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tiny_checkpoint(home, train_length=T)
    monkeypatch.setattr("model.cli.architectures.sample_texts", lambda: TEXTS)
    monkeypatch.setattr("model.studies.architectures.run.TOKENS", TOKENS)
    done = CliRunner().invoke(app, ["architectures", "--model", "tiny", "--part", "gradients"], catch_exceptions=False)
    assert done.exit_code == 0 and "| tiny |" in done.stdout and "| mamba2-base |" in done.stdout
    assert conclusion(stored_in([home / "architectures"]), "en") not in done.stdout  # shipped ones have readings
    again = CliRunner().invoke(app, ["architectures", "--json"], catch_exceptions=False)
    rows = {one["name"]: one for one in json.loads(again.stdout)}
    assert set(rows["tiny"]) == {"name", *COLUMNS} and rows["tiny"]["gradient"] and rows["tiny"]["within"] is None
    page = home / "page.md"
    page.write_text(Path("docs/architectures.md").read_text("utf-8"), "utf-8")
    CliRunner().invoke(app, ["architectures", "--markdown", str(page)], catch_exceptions=False)
    assert "| tiny |" in page.read_text("utf-8")


def test_cards_show_what_is_stored() -> None:
    found = cards()
    assert found
    for card, wanted in found.items():
        assert card.read_text("utf-8") == wanted, "python -m tests.cards"
        result = Architecture.load(SHIPPED / f"{card.parent.name}.json")
        assert result.weights == model_card(card.parent.name).weights
