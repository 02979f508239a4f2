"""Transformers, hybrids and states that turn through everything that reads: recordings, resuming, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kernels.dispatch import scan
from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import load_model, model_card, save_checkpoint
from model.config import PRESETS, ModelConfig
from model.errors import UserError
from model.interventions.initial_states import INITIAL_STATES
from model.interventions.mitigations import MITIGATIONS, check_fits
from model.mixers import MIXERS, recurrent
from model.reading import runner
from model.reading.again import first_state
from model.reading.explore import explore
from model.reading.runner import run
from model.studies.ask.states import compared, measured, state_at
from model.studies.diagnose.strategies import candidates
from model.studies.parts import parts_of
from model.studies.passkey import PasskeyTask, reader_of
from model.studies.passkey.explain import explain
from model.studies.shares.run import remembered
from model.studies.whole import read_whole
from model.tokenizer import encode, train_tokenizer
from model.training.interventions import INTERVENTIONS
from model.training.loop import DECAY_RATES
from model.training.post_config import PostTrainConfig
from model.training.post_training import post_train
from tests.support.tiny import prepared, tiny_text

TEXT = tiny_text(300, seed=3)
SIZES = {"d_model": 32, "vocab_size": 320, "train_length": 64}
MODELS = {
    "rope": ModelConfig(layers=("attention_rope",) * 2, d_state=2, headdim=16, expand=1, **SIZES),
    "alibi": ModelConfig(layers=("attention_alibi",) * 2, d_state=2, headdim=16, expand=1, **SIZES),
    "hybrid": ModelConfig(layers=("mamba2", "attention_window"), d_state=16, headdim=16, **SIZES),
    "lru": ModelConfig(layers=("lru",) * 2, d_state=1, headdim=1, **SIZES),
    "mamba3": ModelConfig(layers=("mamba3",) * 2, d_state=16, headdim=16, **SIZES),
}


def make_model(home: Path, name: str) -> str:
    torch.manual_seed(0)
    model = LanguageModel(MODELS[name]).requires_grad_(False)
    tokenizer = train_tokenizer([tiny_text(4000)], 320)
    save_checkpoint(home / "checkpoints" / name, model, tokenizer)
    tokens, _ = encode(tokenizer, tiny_text(600, seed=1))
    if recurrent(MODELS[name].layers):
        explore(model, [tokens], 64, windows=8).save(home / "checkpoints" / name / "explored.safetensors")
    return name


@pytest.mark.parametrize("name", MODELS)
def test_it_is_read_like_any_model(home: Path, name: str) -> None:
    make_model(home, name)
    found = run(prepared(TEXT, name, token_norms=True), home / "recordings")
    assert found.complete and np.isfinite(found.array("loss")[1:]).all()
    assert (found.array("norm")[1:] > 0).all() and np.isfinite(found.array("token_norm")).all()


def test_a_cache_grows_with_the_document_and_a_window_ends_it(home: Path) -> None:
    make_model(home, "rope")
    full = run(prepared(TEXT, "rope", control=False), home / "recordings")
    windowed = run(prepared(TEXT, "rope", control=False, mitigations={"window": 64}), home / "recordings")
    tokens = full.read_tokens
    assert tokens > 4 * 64
    assert full.state()["0.past.0"].shape == (1, tokens, 2, 16)
    assert windowed.state()["0.past.0"].shape[1] <= 64
    norm = full.array("norm")[:, 0].mean(-1)
    assert norm[-1] / norm[1] == pytest.approx((tokens / 64) ** 0.5, rel=0.1)
    np.testing.assert_allclose(windowed.array("norm")[1], full.array("norm")[1], rtol=1e-5)
    assert windowed.array("norm")[-1].max() < 1.3 * windowed.array("norm")[1].max()


@pytest.mark.parametrize("name", ["alibi", "hybrid", "lru", "mamba3"])
def test_a_reading_that_was_stopped_resumes_with_its_cache(
    home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(home, name)
    monkeypatch.setattr("model.reading.stream.segment_of", lambda *_: 128)
    whole = run(prepared(TEXT, name), home / "whole")
    stops = iter([False, True])
    stopped = run(prepared(TEXT, name), home / "parts", stop=lambda: next(stops))
    assert not stopped.complete and 0 < stopped.read_tokens < whole.read_tokens
    resumed = run(prepared(TEXT, name), home / "parts")
    assert resumed.complete
    for array in ("loss", "norm", "mean"):
        np.testing.assert_allclose(resumed.array(array)[1:], whole.array(array)[1:], rtol=2e-5, atol=1e-6)


def test_what_needs_a_state_of_fixed_size_says_why(home: Path) -> None:
    make_model(home, "rope")
    config = MODELS["rope"]
    for name, row in MITIGATIONS.items():
        assert row.obstacle(config) == (None if name == "window" else "cache")
    with pytest.raises(UserError, match="cache"):
        check_fits({"decay": 4.0}, MODELS["hybrid"])
    assert MITIGATIONS["window"].fits(MODELS["hybrid"]) and INITIAL_STATES["carried"].fits(MODELS["hybrid"])
    with pytest.raises(UserError, match="starts empty"):
        prepared(TEXT, "rope", initial_state="fitted")
    with pytest.raises(UserError, match="every token apart"):
        remembered(prepared(TEXT, "rope"), 20)
    found = {one.strategy for one in candidates("rope")}
    assert {strategy.initial_state for strategy in found} == {"zeros"}


def test_the_parts_of_a_hybrid_are_switched_off_one_by_one(home: Path) -> None:
    make_model(home, "hybrid")
    losses = {
        off: run(prepared(TEXT, "hybrid", control=False, off=off), home / "recordings").array("loss")[1:].copy()
        for off in ((), ("attention",), ("recurrence",), ("attention", "recurrence"))
    }
    assert all(np.isfinite(loss).all() for loss in losses.values())
    assert len({round(float(loss.sum()), 3) for loss in losses.values()}) == 4


def test_a_cache_has_no_explored_states_no_rank_and_no_decay(home: Path) -> None:
    make_model(home, "hybrid")
    found = run(prepared(TEXT, "hybrid", control=False), home / "recordings")
    for name in ("effective_rank", "decay", "log_decay"):
        values = found.array(name)[-1]
        assert np.isfinite(values[0]).all() and np.isnan(values[1]).all()
    sketch = found.array("sketch")
    assert sketch[:, 0].any() and not sketch[:, 1].any()
    assert found.summary["unexplored_fraction"] is not None
    rope = make_model(home, "rope")
    with pytest.raises(UserError, match="no recurrent state"):
        explore(load_model(rope), [np.arange(128)], 64)
    (home / "checkpoints" / "rope" / "explored.safetensors").touch()  # written before caches were left out
    assert model_card(rope).explored is None
    assert run(prepared(TEXT, rope, control=False), home / "recordings").summary["unexplored_fraction"] is None


def test_a_model_without_recurrence_has_none_to_switch_off(home: Path) -> None:
    make_model(home, "rope")
    assert parts_of(MODELS["rope"], heads=False) == ["attention", "layer:0", "layer:1"]
    assert parts_of(MODELS["hybrid"], heads=False)[:2] == ["recurrence", "attention"]
    with pytest.raises(UserError, match="no recurrence"):
        prepared(TEXT, "rope", off=("recurrence",))
    with pytest.raises(UserError, match="window=32"):
        prepared(TEXT, "rope", attention_window=32)


def test_states_of_caches_are_described_and_not_compared(home: Path) -> None:
    make_model(home, "rope")
    made = prepared(TEXT, "rope", control=False)
    found, tokens = run(made, home / "recordings"), len(made.tokens)
    first, second = (state_at(made, moment) for moment in (tokens // 2, tokens))
    assert first is not None and second is not None
    numbers = measured(second)
    np.testing.assert_allclose(numbers.norm, found.array("norm")[-1], rtol=1e-4)  # of the whole cache, not of its mean
    assert np.isnan(numbers.rank).all() and numbers.novelty is None
    with pytest.raises(UserError, match="caches of attention"):
        compared(first, second)


def test_every_study_takes_the_norm_of_the_whole_cache(home: Path) -> None:
    name = make_model(home, "rope")
    task = PasskeyTask(language="en", lengths=(200,), depths=(0.5,), trials=2)
    explained = explain(task, reader_of(name), (200, 0.5))
    assert explained is not None
    inside = explained.position <= 128  # tokens of a random model: all are about as large
    growth = explained.norms[:, inside][:, -1] / explained.norms[:, inside][:, 1]
    np.testing.assert_allclose(growth, (explained.position[inside][-1] / explained.position[1]) ** 0.5, rtol=0.15)
    made, model = prepared(TEXT, name, control=False), load_model(name)
    found = run(made, home / "recordings")
    whole = read_whole(model, made.tokens, 64, model.zero_state(), [scan] * 2, lambda tokens: False)
    assert whole is not None and whole.statistics is not None
    norms, _ = whole.statistics.by_spot(64)
    assert norms[1] == pytest.approx(found.array("norm")[1].mean(), rel=1e-4)  # the boundary after 64 tokens


@pytest.mark.parametrize("name", ["rope", "hybrid"])
def test_post_training_starts_from_states_alone(home: Path, name: str) -> None:
    fits = {row: INTERVENTIONS[row].obstacle(MODELS[name]) for row in INTERVENTIONS}
    if name == "rope":
        assert {row for row, why in fits.items() if why is None} == {"zeros", "longer"}
    else:
        assert {row for row, why in fits.items() if why is not None} == {"stretches"}
    make_model(home, name)
    refused = next(row for row, why in reversed(fits.items()) if why is not None)
    config = PostTrainConfig(base=name, interventions=((refused, 0.9),), length=64, rows=2, steps=1)
    with pytest.raises(UserError, match=r"cannot be used here.*cache"):
        post_train(config, {"a": [np.arange(300, dtype=np.int32)]}, home / "save.safetensors")


def test_an_initial_state_fills_the_recurrent_layers_of_a_hybrid_alone(home: Path) -> None:
    make_model(home, "hybrid")
    noise = run(prepared(TEXT, "hybrid", control=False, initial_state="gaussian"), home / "recordings")
    first = noise.array("norm")[0]
    assert (first[0] > 0).all() and not first[1].any()


def test_a_carried_complex_state_turns_on_from_where_it_was(home: Path) -> None:
    make_model(home, "lru")
    source = run(prepared(TEXT, "lru", control=False), home / "recordings")
    there = run(prepared(TEXT, "lru", control=False, initial_state="carried", source=source.path), home / "r")
    read = there.state()["0.rest.0"].item()
    assert read == 2 * source.read_tokens


def test_a_carried_state_keeps_the_angles_of_its_frame(home: Path) -> None:
    make_model(home, "mamba3")
    source = run(prepared(TEXT, "mamba3", control=False), home / "recordings")
    there = prepared(TEXT, "mamba3", control=False, initial_state="carried", source=source.path)
    first = first_state(there, LanguageModel(MODELS["mamba3"]))
    for index, layer in enumerate(first):
        assert not layer.window.any() and layer.memory.state.any() and layer.rest[0].dtype == torch.float64
        np.testing.assert_array_equal(layer.rest[0].numpy(), source.state()[f"{index}.rest.0"])


def test_presets_of_transformers_have_no_other_state_size() -> None:
    assert replace(PRESETS["transformer-rope-base"], train_length=512).state_size == 2 * 128 * 2
    assert runner.layer_scans(LanguageModel(MODELS["hybrid"]), {}, None)


def test_rows_say_what_mixers_are() -> None:
    """Which caches are bounded, and which mixers have decay rates to teach, as the rows declare it without torch."""
    for config in PRESETS.values():
        row = MIXERS[config.layers[-1]]
        mixer = row.make(config)
        assert row.rates == any(part.endswith(DECAY_RATES) for part, _ in mixer.named_parameters())
        assert not row.cache or row.bounded == (mixer.window is not None)
