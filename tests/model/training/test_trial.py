"""Novel spans are ranked and divided as said; a training starts from the very states there, and is measured."""

import itertools
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from kernels.cpu.chunked import chunked_scan
from model.checkpoints.catalogue import load_model, load_tokenizer_of, model_card
from model.cli.main import app
from model.diagnostics.explored import Explored, edges, novelty
from model.diagnostics.out_of_distribution import LEVEL, grown_spans, layer_shares, out_of_distribution_spans
from model.errors import UserError
from model.reading.runner import run
from model.reading.stream import read
from model.tokenizer import encode
from model.training.post_training import post_train
from model.training.spans import Starts, figures_at, starts_of, states_at
from model.training.trial import Pick, Trial, TrialResult, watched_tokens
from model.training.watch import both_losses, run_trial
from tests.model.diagnostics.test_explored import explored_states
from tests.support.tiny import prepared, tiny_text
from tests.support.training import assert_same_weights, config

# -- ranking ---------------------------------------------------------------------------------------------------------


def constructed(tokens: int = 6400) -> tuple[Explored, SimpleNamespace]:
    """A document whose memory is explored but for two excursions: a large one in layer 1, a smaller one in layer 0."""
    explored = explored_states()
    position = np.arange(64, tokens + 1, 64)
    sketch = explored.sketch[: len(position)].copy()
    sketch[30:34, 1] += 6
    sketch[70:72, 0] += 4
    loss, control = np.full(tokens, 3.0, np.float32), np.full(tokens, 2.5, np.float32)
    loss[1900:2200] = 7.0
    norm = np.ones((len(position) + 1, 2, 4), np.float32)
    norm[31:35, 1, 2] = 9.0
    arrays = {
        "sketch": sketch,
        "snapshot_position": position,
        "loss": loss,
        "control_loss": control,
        "norm": norm,
        "position": np.arange(0, tokens + 1, 64),
    }
    recording = SimpleNamespace(array=arrays.__getitem__, has=arrays.__contains__, read_tokens=tokens, train_length=256)
    return explored, recording


def test_excursions_are_ranked_merged_and_blamed_on_their_layers() -> None:
    explored, recording = constructed()
    first, second = out_of_distribution_spans(explored, recording)
    assert first.first <= 31 * 64 and 34 * 64 <= first.last <= 36 * 64 and first.first >= 30 * 64
    assert first.at in range(31 * 64, 34 * 64 + 1, 64) and second.at in (71 * 64, 72 * 64)
    assert first.novelty > second.novelty > 1
    assert first.layers[1] > 0.9 and second.layers[0] > 0.8
    assert first.loss == pytest.approx(recording.array("loss")[first.first : first.last].mean())
    assert second.loss == pytest.approx(3.0) and second.control == pytest.approx(2.5)
    assert first.grown == (1, 2) and first.growth == pytest.approx(9.0)
    assert [one.at for one in out_of_distribution_spans(explored, recording, most=1)] == [first.at]


def test_layer_shares_are_the_exact_parts_of_the_squared_distance() -> None:
    explored, recording = constructed()
    state = recording.array("sketch")[31]
    every = np.square(explored.sketch.astype(float) - state).sum(-1)
    nearest = np.argsort(every.sum(1))[:5]
    np.testing.assert_allclose(layer_shares(explored, state), every[nearest].sum(0) / every[nearest].sum(), rtol=1e-5)
    assert layer_shares(explored, state).sum() == pytest.approx(1)
    assert np.isnan(layer_shares(explored, np.full_like(state, np.inf))).all()


def test_spans_are_apart_and_at_least_half_as_novel_as_their_peaks() -> None:
    random = np.random.default_rng(0)
    for _ in range(40):
        count = int(random.integers(1, 60))
        scores = random.gamma(2.0, 1.0, count)
        scores[random.random(count) < 0.05] = np.nan
        scores[random.random(count) < 0.05] = np.inf
        found = grown_spans(scores, 7)
        rows = [row for _, part in found for row in range(part.start, part.stop)]
        assert len(set(rows)) == len(rows)
        peaks = [scores[peak] for peak, _ in found]
        assert peaks == sorted(peaks, reverse=True)
        for peak, part in found:
            assert part.start <= peak < part.stop and (scores[part] > 1).all() and (scores[part] <= scores[peak]).all()
            assert (scores[part] >= LEVEL * scores[peak]).all()
        assert len(found) == 7 or not (np.delete(scores, rows) > 1).any()


def test_where_the_state_grows_without_end_the_spans_are_its_doublings() -> None:
    found = grown_spans(2.0 ** (np.arange(60) / 10), 4)
    assert found == [(59, slice(49, 60)), (48, slice(38, 49)), (37, slice(27, 38)), (26, slice(16, 27))]


def test_a_document_among_explored_states_has_no_novel_span() -> None:
    explored, recording = constructed()
    recording.array("sketch")[:] = explored.sketch[: len(recording.array("sketch"))]
    assert out_of_distribution_spans(explored, recording) == []


# -- what enters the scan --------------------------------------------------------------------------------------------


def document(words: int = 500) -> np.ndarray:
    return encode(load_tokenizer_of("tiny"), tiny_text(words, 8))[0]


def starts_at(positions) -> Starts:
    return Starts(f"at {positions}", states_at(load_model("tiny"), document(), positions))


def test_states_are_those_of_reading_to_that_token() -> None:
    model, tokens = load_model("tiny"), document()
    positions = [704, 64, 512, 100, 1024, len(tokens)]
    assert len(tokens) > 1024
    found = states_at(model, tokens, positions)
    for row, position in enumerate(positions):
        *_, last = read(model, tokens[:position], model.zero_state(), [chunked_scan] * 2)
        for layer in range(2):
            assert torch.equal(found[layer].memory.state[row], last.state[layer].memory.state[0])
            assert torch.equal(found[layer].window[row], last.state[layer].window[0])
    assert states_at(model, tokens, [704], stop=lambda: True) is None


def test_a_step_starts_from_the_states_of_the_picked_spans_each_as_often(watched) -> None:
    starts = starts_at([640, 128, 704])
    orders, empty = set(), 0
    for step in watched(config(("stretches", 0.6), rows=6, steps=16), starts):
        if not step.memories[0].any():
            empty += 1
            continue
        order = [int((starts.state[0].memory.state == row).flatten(1).all(1).nonzero()) for row in step.memories[0]]
        assert sorted(order) == [0, 0, 1, 1, 2, 2]
        for layer in range(2):
            assert torch.equal(step.memories[layer], starts.state[layer].memory.state[order])
            assert torch.equal(step.windows[layer], starts.state[layer].window[order])
        orders.add(tuple(order))
    assert len(orders) > 1 and 0 < empty < 12


def test_nothing_to_start_from_is_said_in_a_sentence(streams, tmp_path) -> None:
    with pytest.raises(UserError) as error:
        post_train(config(("stretches", 0.9)), streams, tmp_path / "save.safetensors")
    assert error.value.sentence("ja") != error.value.sentence("en")


def test_runs_are_their_seeds_and_a_broken_one_ends_like_an_unbroken_one(streams, tmp_path) -> None:
    chosen, starts = config(("stretches", 0.6), ("carried", 0.3), steps=14), starts_at([640, 128])
    whole, again = (
        post_train(chosen, streams, tmp_path / f"{name}.safetensors", starts=starts) for name in ("whole", "again")
    )
    assert_same_weights(whole, again)
    asked = iter([False] * 6 + [True])
    save = tmp_path / "broken.safetensors"
    post_train(chosen, streams, save, stop=lambda: next(asked), starts=starts)
    assert_same_weights(post_train(chosen, streams, save, starts=starts), whole)
    other = post_train(chosen, streams, tmp_path / "other.safetensors", starts=starts_at([192]))
    assert not torch.equal(other.embedding.weight, whole.embedding.weight)
    with pytest.raises(UserError, match="unfinished run"):
        post_train(chosen, streams, save, starts=starts_at([192]))


# -- before and after ------------------------------------------------------------------------------------------------


def test_figures_are_those_of_a_recording_of_the_same_tokens(tmp_path) -> None:
    model, tokens, explored = load_model("tiny"), document(), Explored.load(model_card("tiny").explored)
    recording = run(prepared(tiny_text(500, 8), "tiny"), tmp_path)
    position = recording.array("snapshot_position")
    picks = (Pick(first=0, last=256, at=int(position[2])), Pick(first=640, last=len(tokens), at=int(position[-1])))
    losses, control = both_losses(model, tokens, 64, lambda: False)
    found = figures_at(model, explored, tokens, picks, losses, control)
    scores = novelty(explored, recording.array("sketch"))
    borders = edges(position, len(tokens))
    masks = [(position >= pick.first) & (position <= pick.last) for pick in picks]
    for value, rows in zip(found.novelty, [*masks, ~(masks[0] | masks[1])], strict=True):
        assert value == pytest.approx(np.average(scores[rows], weights=np.diff(borders)[rows]), rel=1e-4)
    assert found.loss[0] == pytest.approx(np.nanmean(recording.array("loss")[:256]), rel=1e-4)
    assert found.control[2] == pytest.approx(np.nanmean(recording.array("control_loss")[256:640]), rel=1e-4)
    assert found.excess[1] == pytest.approx(found.loss[1] - found.control[1])


def test_a_trial_looks_at_its_picks_before_and_after_however_it_was_broken(streams, tmp_path) -> None:
    tokens = document(300)
    picks = (Pick(first=256, last=512, at=384), Pick(first=512, last=len(tokens), at=640))
    chosen = config(("stretches", 0.9), steps=12)
    begun = TrialResult(
        trial=Trial(config=chosen, weights="w", train_length=64, document="d" * 64, text="t", picks=picks)
    )
    whole = run_trial(begun, streams, tokens, tmp_path / "whole")
    assert whole.complete and len(whole.picked_before.novelty) == len(whole.picked_after.loss) == 3
    assert np.isfinite([*whole.picked_before.excess, *whole.picked_after.novelty]).all()
    assert whole.picked_before.loss != whole.picked_after.loss
    made = json.loads((tmp_path / "whole" / "training.json").read_text("utf-8"))
    assert made["stretches"] == "after 384, 640 tokens of document dddddddddddd"
    part = begun
    for calls in itertools.count(1, 9):
        left = iter(range(calls))
        part = run_trial(part, streams, tokens, tmp_path / "part", stop=lambda left=left: next(left, None) is None)
        if part.complete:
            break
    assert calls > 10
    assert part.picked_before == whole.picked_before and part.picked_after == whole.picked_after
    assert begun.trial.key != replace(begun.trial, picks=()).key
    assert watched_tokens(64, picks) == watched_tokens(64) == 8192
    assert watched_tokens(64, (Pick(first=0, last=9999, at=5),)) == 9999


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_starts_from_a_recordings_out_of_distribution_spans(tiny, tmp_path, monkeypatch) -> None:
    text = tmp_path / "notes.txt"
    text.write_text(tiny_text(3000, seed=5), "utf-8")
    recording = run(prepared(tiny_text(500, 8), "tiny"), tmp_path / "recordings", keep_text=True)
    explored = Explored.load(model_card("tiny").explored)
    found = out_of_distribution_spans(explored, recording, 5)
    words = ["post-train", "tiny", "--intervention", "stretches", "--text", f"en={text}", "--length", "64"]
    words += ["--steps", "3", "--rows", "2", "--out", str(tiny / "checkpoints" / "tiny-stretched")]
    refused = CliRunner().invoke(app, words)
    assert isinstance(refused.exception, UserError) and refused.exception.key == "interventions.needs_spans"
    if not found:
        with pytest.raises(UserError, match="no span"):
            starts_of(recording, "tiny")
        monkeypatch.setattr("model.diagnostics.explored.PERCENTILE", 5.0)
        found = out_of_distribution_spans(explored, recording, 5)
    done = CliRunner().invoke(app, [*words, "--stretches", str(recording.path)])
    assert done.exit_code == 0, done.output
    assert "Picked spans" in done.output and f"after {found[0].at}" in done.output
    (recording.path / "text.txt").unlink()
    mitigated = run(prepared(tiny_text(500, 8), "tiny", mitigations={"decay": 2.0}), tmp_path / "recordings")
    for path in (recording.path, mitigated.path):
        with pytest.raises(UserError) as error:
            starts_of(type(recording)(path), "tiny")
        assert error.value.sentence("ja") != error.value.sentence("en")
