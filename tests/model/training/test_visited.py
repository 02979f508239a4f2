"""Explored states of post-trained models: those that such training visits, in chains that are kept apart."""

import itertools

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from model.checkpoints.catalogue import load_model, load_tokenizer_of
from model.diagnostics.explored import Explored
from model.reading.explore import ROWS, explore
from model.training.checkpoint import SAVE, post_train_checkpoint
from model.training.data import tokenize_groups
from model.training.post_training import FINAL, enough, post_train
from model.training.visited import visits_of
from tests.support.tiny import tiny_text
from tests.support.training import config


@pytest.fixture(scope="module")
def streams(tiny):
    return tokenize_groups(load_tokenizer_of("tiny"), {"a": [tiny_text(1500, 1), tiny_text(900, 2)]})


def test_the_run_goes_on_from_the_memories_that_it_left(streams, tmp_path) -> None:
    chosen, save = config(("carried", 1.0), steps=5), tmp_path / "save.safetensors"
    model = post_train(chosen, streams, save).requires_grad_(False)
    visits = list(visits_of(chosen, streams, save, model)(3))
    left = load_file(save)
    for layer in range(2):
        saved = left[f"course.{FINAL}{layer}.state"]
        entered = visits[0].outputs[layer].boundary_states[:, 0]
        order = [int((saved == row).flatten(1).all(1).nonzero()) for row in entered]
        assert sorted(order) == list(range(4)) and saved.any()
        assert len(visits[0].outputs) == 2
    assert [visit.before.tolist() for visit in visits] == [[0] * 4, [64] * 4, [128] * 4]
    for before, after in itertools.pairwise(visits):
        ends, starts = before.outputs[1].boundary_states[:, -1], after.outputs[1].boundary_states[:, 0]
        for row, chain in zip(starts, after.chain, strict=True):
            assert before.chain[int((ends == row).flatten(1).all(1).nonzero())] == chain


def test_sequences_that_start_anew_start_a_chain(streams, tmp_path) -> None:
    chosen, save = config(("tbtt", 1.0), segments=3, steps=6), tmp_path / "save.safetensors"
    model = post_train(chosen, streams, save).requires_grad_(False)
    visits = list(visits_of(chosen, streams, save, model)(6))
    assert [int(visit.before[0]) for visit in visits] == [0, 64, 128, 0, 64, 128]
    assert len({int(chain) for visit in visits for chain in visit.chain}) == 2 * 4
    assert (visits[0].chain == visits[2].chain).all() and not set(visits[2].chain) & set(visits[3].chain)
    noise = config(("fitted", 1.0), steps=6)
    model = post_train(noise, streams, tmp_path / "noise.safetensors").requires_grad_(False)
    visits = list(visits_of(noise, streams, tmp_path / "noise.safetensors", model)(4))
    assert len({int(chain) for visit in visits for chain in visit.chain}) == 4 * 4
    assert all(visit.outputs[0].boundary_states[:, 0].any() and not visit.before.any() for visit in visits)


def test_what_starts_empty_is_explored_as_before(streams, tmp_path) -> None:
    assert visits_of(config(("zeros", 0.5), ("longer", 0.5)), streams, tmp_path / SAVE, load_model("tiny")) is None


def test_half_of_the_sample_are_visited_states_and_units_are_those_of_a_training_length(streams, tmp_path) -> None:
    chosen, save = config(("carried", 0.9), steps=9, rows=16, length=256), tmp_path / "save.safetensors"
    model = post_train(chosen, streams, save).requires_grad_(False)
    texts = [np.asarray(stream) for stream in enough(chosen, streams, model)["a"]]
    plain = explore(model, texts, 256, windows=16)
    both = explore(model, texts, 256, windows=32, visits=visits_of(chosen, streams, save, model))
    assert len(both.sketch) == len(plain.sketch) + 4 * ROWS
    own = slice(0, len(plain.sketch))
    for name in ("sketch", "position", "window"):
        np.testing.assert_array_equal(getattr(both, name)[own], getattr(plain, name))
    for name in ("mean", "std", "norm_at_train_length"):
        np.testing.assert_array_equal(getattr(both, name), getattr(plain, name))
    assert plain.position.max() == 256 < both.position.max()
    assert not set(both.window[len(plain.sketch) :]) & set(plain.window)
    apart = {sketch.tobytes() for sketch in both.sketch[len(plain.sketch) :]}
    assert len(apart) == 4 * ROWS, "no state should be counted twice"


def test_one_seed_gives_one_file_however_often_the_run_was_broken(streams, tmp_path) -> None:
    chosen = config(("carried", 0.5), ("tbtt", 0.2), ("fitted", 0.2), steps=12)
    steps: list[int] = []
    for name, stop in (("a", lambda: False), ("b", lambda: bool(steps))):
        steps.clear()
        arguments = {"command": "x", "report": lambda step: steps.append(step.step)}
        if not post_train_checkpoint(chosen, streams, tmp_path / name, **arguments, stop=stop):
            assert post_train_checkpoint(chosen, streams, tmp_path / name, **arguments)
    ours, theirs = ((tmp_path / name / "explored.safetensors").read_bytes() for name in ("a", "b"))
    assert ours == theirs
    found = Explored.load(tmp_path / "a" / "explored.safetensors")
    assert np.isfinite(found.sketch).all() and torch.isfinite(torch.from_numpy(found.std)).all()
