"""Each intervention changes the memory that it says, and no more; a run is its seed's, however often it is broken."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from model.checkpoints.catalogue import available, load_model, load_tokenizer_of, model_card
from model.cli.main import app
from model.config import ModelConfig
from model.diagnostics.explored import Explored
from model.errors import UserError
from model.reading.runner import run
from model.state import map_state
from model.training import loop, post_training
from model.training.checkpoint import post_train_checkpoint
from model.training.data import Sampler
from model.training.interventions import INTERVENTIONS
from model.training.post_training import KEPT, PostCourse, Starts, post_train
from model.training.running_text import RunningText
from model.training.train import TrainConfig, train
from tests.support.tiny import prepared, tiny_text
from tests.support.training import EVERYTHING, RECALL, assert_same_weights, config, weights

# -- what enters the scan --------------------------------------------------------------------------------------------


def test_plain_fine_tuning_starts_every_sequence_empty(watched) -> None:
    for step in watched(config(("zeros", 1.0))):
        assert not any(tensor.any() for tensor in (*step.memories, *step.windows))
        assert step.tokens.shape == (4, 64)


def test_longer_sequences_start_empty_and_hold_as_many_tokens(watched) -> None:
    for step in watched(config(("longer", 1.0), longer=4, steps=3)):
        assert not any(tensor.any() for tensor in (*step.memories, *step.windows))
        assert step.tokens.shape == (1, 256)


def test_noise_has_one_size_everywhere_that_of_the_base_and_is_new_at_every_step(watched) -> None:
    explored = Explored.load(model_card("tiny").explored)
    size = np.sqrt((explored.std**2 + explored.mean**2).mean())
    steps = watched(config(("gaussian", 1.0), rows=8, steps=3))
    for step in steps:
        assert not any(window.any() for window in step.windows)
        for memory in step.memories:
            assert memory.mean((0, 2, 3)).abs().max() < 0.15 * size
            np.testing.assert_allclose(memory.std((0, 2, 3)), size, rtol=0.1)
    assert not torch.equal(steps[0].memories[0], steps[1].memories[0])
    assert not torch.equal(steps[0].memories[0], steps[0].memories[1])


def test_fitted_noise_has_the_running_mean_and_spread_of_each_head(watched) -> None:
    explored = Explored.load(model_card("tiny").explored)
    mean, square = explored.mean.astype(float), explored.std.astype(float) ** 2 + explored.mean.astype(float) ** 2
    spreads = []
    for step in watched(config(("fitted", 1.0), rows=16, steps=5)):
        spread = np.sqrt(square - mean**2)
        found = torch.stack(step.memories).numpy()
        np.testing.assert_allclose(found.std((1, 3, 4)), spread, rtol=0.06)
        assert (np.abs(found.mean((1, 3, 4)) - mean) < 0.08 * spread).all()
        assert not any(window.any() for window in step.windows)
        spreads.append(spread)
        left = torch.stack([layer.memory.state.detach() for layer in step.left]).double()
        mean = KEPT * mean + (1 - KEPT) * left.mean((1, 3, 4)).numpy()
        square = KEPT * square + (1 - KEPT) * left.square().mean((1, 3, 4)).numpy()
    assert np.ptp(spreads[0]) > 0.2 * spreads[0].mean(), "heads that are alike would hide a mistake"
    assert np.abs(spreads[-1] / spreads[0] - 1).max() > 0.03, "the statistics should have moved on"


def test_state_passing_starts_from_the_shuffled_rows_of_the_previous_step_windows_and_all(watched) -> None:
    steps = watched(config(("carried", 1.0), rows=6))
    assert not any(tensor.any() for tensor in (*steps[0].memories, *steps[0].windows))
    orders = []
    for before, step in itertools.pairwise(steps):
        left = before.left[0].memory.state
        order = [int((left == row).flatten(1).all(1).nonzero()) for row in step.memories[0]]
        assert sorted(order) == list(range(6))
        for layer in range(2):
            assert torch.equal(step.memories[layer], before.left[layer].memory.state[order])
            assert torch.equal(step.windows[layer], before.left[layer].window[order])
        orders.append(order)
    assert len({tuple(order) for order in orders}) > 1


@pytest.mark.parametrize("name", ["carried", "tbtt"])
def test_empty_rows_start_empty_beside_rows_that_hand_on_their_own_memory(watched, name) -> None:
    steps = watched(config((name, 1.0), rows=4, empty_rows=0.5, segments=8, steps=6))
    for before, step in itertools.pairwise(steps):
        for layer in range(2):
            left = before.left[layer]
            for entered, states in ((step.memories[layer], left.memory.state), (step.windows[layer], left.window)):
                assert not entered[:2].any()
                handed = [int((states == row).flatten(1).all(1).nonzero()) for row in entered[2:]]
                assert handed == [2, 3] if name == "tbtt" else sorted(handed) == [2, 3]


def test_one_row_of_a_step_is_never_among_the_empty_ones() -> None:
    counts = [config(("carried", 1.0), empty_rows=share).starting_empty(4) for share in (0.0, 0.25, 0.5, 0.95)]
    assert counts == [0, 1, 2, 3] and config(("carried", 1.0), empty_rows=0.9).starting_empty(1) == 0


def test_truncated_backpropagation_goes_on_with_each_rows_own_text_and_memory(watched) -> None:
    steps = watched(config(("tbtt", 1.0), segments=3, steps=7))
    for index, step in enumerate(steps):
        entered = (*step.memories, *step.windows)
        if index % 3 == 0:  # a new span
            assert not any(tensor.any() for tensor in entered)
            continue
        left = steps[index - 1].left
        expected = (*(layer.memory.state for layer in left), *(layer.window for layer in left))
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(entered, expected, strict=True))


def test_states_of_fewer_rows_are_carried_to_more(watched) -> None:
    steps = watched(config(("longer", 0.5), ("carried", 0.5), steps=12))
    fewer = [pair for pair in itertools.pairwise(steps) if len(pair[0].tokens) < len(pair[1].tokens)]
    assert fewer
    for before, step in fewer:
        assert torch.equal(step.memories[1], before.left[1].memory.state.expand(4, -1, -1, -1))


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_no_gradient_enters_with_the_initial_state(watched, name) -> None:
    starts = Starts("somewhere", map_state(load_model("tiny").zero_state(2), torch.ones_like))
    for step in watched(config((name, 1.0), steps=3), starts):
        assert all(layer.memory.state.requires_grad and layer.window.requires_grad for layer in step.left)
        assert not any(tensor.requires_grad or tensor.grad_fn for tensor in (*step.memories, *step.windows))


def test_decay_rates_learn_at_their_multiple_of_the_learning_rate(streams, tmp_path) -> None:
    before = weights(load_model("tiny"))
    moved = {}
    for multiple in (1.0, 30.0):
        chosen = config(("carried", 1.0), steps=1, warmup=1, learning_rate=1e-4, decay_rates=multiple, weight_decay=0.0)
        after = weights(post_train(chosen, streams, tmp_path / f"{multiple}.safetensors"))
        moved[multiple] = {name: (after[name] - before[name]).abs().max().item() for name in after}
    rates = [name for name in before if name.endswith("A_log")]
    assert len(rates) == 2
    for name in before:  # Adam's first step is as long as the learning rate
        assert moved[30.0][name] == pytest.approx(moved[1.0][name] * (30 if name in rates else 1), rel=1e-2), name


# -- texts -----------------------------------------------------------------------------------------------------------


def test_parts_of_a_span_follow_each_other_and_hold_their_own_facts(streams) -> None:
    tokenizer = load_tokenizer_of("tiny")
    reports = RunningText(streams, tokenizer, replace(RECALL, share=1.0), rows=3, length=64, segments=5)
    plain = RunningText(streams, tokenizer, replace(RECALL, share=0.0), rows=3, length=64, segments=5)
    parts = [reports.part(index, (0, 7)) for index in range(5)]
    for (tokens, weight), (following, _) in itertools.pairwise(parts):
        assert tokens.shape == (3, 65) and weight.shape == (3, 64)
        assert (tokens[:, -1] == following[:, 0]).all()
        # Two keys of three digits are asked for in every sequence, and only digits are answers.
        assert ((weight > 1).sum(1) == 6).all()
        assert np.isin(tokens[:, 1:][weight > 1], reports.facts.digits).all()
    text = [plain.part(index, (0, 7))[0] for index in range(5)]
    whole = np.concatenate([text[0], *(part[:, 1:] for part in text[1:])], axis=1)
    source = [stream.tobytes() for group in streams.values() for stream in group]
    assert all(any(row.astype(np.int16).tobytes() in stream for stream in source) for row in whole)
    again = reports.part(2, (0, 7))
    np.testing.assert_array_equal(again[0], parts[2][0])
    assert (reports.part(2, (1, 7))[0] != parts[2][0]).any()


# -- mixtures --------------------------------------------------------------------------------------------------------


def test_interventions_take_their_shares_of_the_steps(monkeypatch, streams) -> None:
    counts = dict.fromkeys(INTERVENTIONS, 0)

    def counting(name):
        def start(empty, past):
            counts[name] += 1
            return empty

        return start

    for name, row in INTERVENTIONS.items():
        monkeypatch.setitem(INTERVENTIONS, name, replace(row, start=counting(name)))
    model = load_model("tiny")
    explored = Explored.load(model_card("tiny").explored)
    mixture = (("carried", 0.5), ("fitted", 0.3), ("gaussian", 0.05))
    course = PostCourse(config(*mixture, rows=1), streams, load_tokenizer_of("tiny"), model.zero_state, explored)
    steps = 1000
    for step in range(steps):
        course.draw(step)
    for name, share in (*mixture, ("zeros", 0.15), ("tbtt", 0.0)):
        assert abs(counts[name] - steps * share) <= 4 * np.sqrt(steps * share * (1 - share)), (name, counts)


# -- runs ------------------------------------------------------------------------------------------------------------


def test_two_runs_of_one_seed_are_identical_and_the_base_stays_as_it_is(streams, tmp_path) -> None:
    base = load_model("tiny")
    before = weights(base)
    runs = [
        post_train(config(*EVERYTHING, steps=8, seed=seed), streams, tmp_path / f"{index}.safetensors")
        for index, seed in enumerate((0, 0, 1))
    ]
    assert_same_weights(runs[0], runs[1])
    assert not torch.equal(runs[0].embedding.weight, runs[2].embedding.weight)
    assert not torch.equal(runs[0].embedding.weight, base.embedding.weight)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(base).items())
    assert not any(parameter.requires_grad for parameter in base.parameters())


@pytest.mark.parametrize(
    ("mixture", "empty_rows"), [(EVERYTHING, 0.0), ((("tbtt", 1.0),), 0.0), ((("carried", 0.5), ("fitted", 0.5)), 0.5)]
)
def test_a_run_that_was_cancelled_and_killed_ends_like_an_unbroken_one(
    monkeypatch, streams, tmp_path, mixture, empty_rows
) -> None:
    monkeypatch.setattr(post_training, "REPORT_EVERY", 1)
    monkeypatch.setattr(post_training, "SAVE_EVERY", 4)
    chosen = config(*mixture, steps=16, empty_rows=empty_rows)
    whole = post_train(chosen, streams, tmp_path / "whole.safetensors")
    save = tmp_path / "broken.safetensors"
    seen: list[int] = []

    class Killed(BaseException):
        pass

    def kill(step) -> None:
        if step.step == 11:
            raise Killed

    post_train(chosen, streams, save, lambda step: seen.append(step.step), stop=lambda: len(seen) == 6)
    assert seen == [1, 2, 3, 4, 5, 6]
    with pytest.raises(Killed):
        post_train(chosen, streams, save, kill)
    resumed = post_train(chosen, streams, save, lambda step: seen.append(step.step))
    assert seen[6:] == list(range(9, 17)), "it should resume from the save of step 8"
    assert_same_weights(resumed, whole)


def test_a_base_training_that_was_cancelled_ends_like_an_unbroken_one(streams, tmp_path) -> None:
    shape = ModelConfig(layers=("mamba2",), d_model=32, d_state=16, headdim=16, vocab_size=320, train_length=64)
    chosen = TrainConfig(model=shape, steps=10, batch_tokens=256, phases=((1.0, 1.0),), recall=RECALL)
    sampler = Sampler(streams, load_tokenizer_of("tiny"), RECALL)
    whole = train(chosen, sampler, tmp_path / "whole.safetensors", lambda step: None)
    asked = iter([False] * 4 + [True])
    train(chosen, sampler, tmp_path / "broken.safetensors", lambda step: None, lambda: next(asked))
    assert_same_weights(train(chosen, sampler, tmp_path / "broken.safetensors", lambda step: None), whole)


def test_progress_is_told_every_ten_steps_with_the_model_as_it_is(streams, tmp_path) -> None:
    reports, models = [], []
    chosen = config(("carried", 0.9), steps=25, rows=1)
    model = post_train(
        chosen, streams, tmp_path / "save.safetensors", reports.append, watch=lambda lm, step: models.append(lm)
    )
    assert [step.step for step in reports] == [10, 20, 25]
    assert all(np.isfinite(step.loss) and step.seconds > 0 for step in reports)
    assert reports[0].seconds_left > reports[1].seconds_left > reports[2].seconds_left == 0
    assert all(lm is model for lm in models) and len(models) == 3


def test_choices_that_cannot_work_are_said_in_a_sentence(monkeypatch, streams, tmp_path) -> None:
    save = tmp_path / "run" / "training.safetensors"
    short = {"a": [stream[:80] for stream in streams["a"]]}
    for wrong, texts in (
        (config(("zeros", 1.0), steps=0), streams),
        (config(("zeros", 1.0), length=8), streams),
        (config(("zeros", 1.0), learning_rate=5.0), streams),
        (config(("carried", 1.0), empty_rows=1.0), streams),
        (config(("zeros", 1.0), base="nothing"), streams),
        (config(("magic", 1.0)), streams),
        (config(("carried", 0.9), ("tbtt", 0.9)), streams),
        (config(("tbtt", 0.9)), short),
        (config(("longer", 0.9)), short),
        (config(("zeros", 1.0)), {}),
    ):
        with pytest.raises(UserError) as error:
            post_train(wrong, texts, save)
        assert error.value.sentence("ja") != error.value.sentence("en")
    assert not save.parent.exists()

    post_train(config(("zeros", 1.0), steps=1, rows=1), short, save)
    for other, texts in (
        (config(("zeros", 1.0), steps=1, rows=2), short),
        (config(("zeros", 1.0), steps=1, rows=1), streams),
    ):
        with pytest.raises(UserError, match="unfinished run"):
            post_train(other, texts, save)

    monkeypatch.setattr(loop, "token_losses", lambda logits, targets: logits.sum(-1) * torch.nan)
    diverged = tmp_path / "diverged.safetensors"
    with pytest.raises(UserError, match="step 1;"):
        post_train(config(("zeros", 1.0), steps=1), streams, diverged)
    assert not diverged.exists()


def test_fitted_noise_needs_a_base_that_has_recorded_its_states(tiny, streams, tmp_path) -> None:
    explored = tiny / "checkpoints" / "tiny" / "explored.safetensors"
    hidden = explored.rename(tmp_path / "hidden")
    try:
        with pytest.raises(UserError, match="memory-explorer explore"):
            post_train(config(("fitted", 0.9)), streams, tmp_path / "save.safetensors")
        post_train(config(("carried", 0.9), steps=2), streams, tmp_path / "save.safetensors")
    finally:
        hidden.rename(explored)


# -- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_finished_run_is_a_model_and_a_cancelled_one_is_not_yet(tiny, streams, tmp_path) -> None:
    out = tiny / "checkpoints" / "tiny-tuned"
    chosen = config(("carried", 0.9), ("longer", 0.1), longer=2, steps=12)
    reports: list[int] = []
    arguments = {"command": "memory-explorer post-train tiny", "report": lambda step: reports.append(step.step)}
    assert not post_train_checkpoint(chosen, streams, out, **arguments, stop=lambda: bool(reports))
    assert reports == [10] and "tiny-tuned" not in available()
    assert post_train_checkpoint(chosen, streams, out, **arguments)
    assert sorted(file.name for file in out.iterdir()) == [
        *("config.json", "explored.safetensors", "model.safetensors", "tokenizer.json", "training.json")
    ]
    assert_same_weights(load_model("tiny-tuned"), post_train(chosen, streams, tmp_path / "whole.safetensors"))
    card = model_card("tiny-tuned")
    assert card.train_length == 128 and Explored.load(card.explored).train_length == 128
    made = json.loads((out / "training.json").read_text("utf-8"))
    assert made["command"] == "memory-explorer post-train tiny" and made["base_weights"] == model_card("tiny").weights
    assert made["config"]["interventions"] == [["carried", 0.9], ["longer", 0.1]] and "torch" in made["versions"]
    assert [step["step"] for step in made["curve"]] == [10, 12]
    recording = run(prepared(tiny_text(400, seed=8), "tiny-tuned"), tmp_path / "recordings")
    assert recording.complete and np.isfinite(recording.array("loss")[1:]).all()
    with pytest.raises(UserError, match="already holds a checkpoint"):
        post_train_checkpoint(chosen, streams, out, **arguments)


def test_the_command_makes_a_checkpoint(tiny, tmp_path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text(tiny_text(3000, seed=5), "utf-8")
    out = tiny / "checkpoints" / "tiny-short"
    words = ["post-train", "tiny", "--intervention", "carried=0.5", "--text", f"en={text}", "--out", str(out)]
    done = CliRunner().invoke(app, [*words, "--steps", "3", "--rows", "2", "--length", "64"])
    assert done.exit_code == 0, done.output
    assert "50% State passing" in done.output and "step      3 of 3" in done.output
    assert "tiny-short" in available()
    assert str(tmp_path) not in (out / "training.json").read_text("utf-8")
    failed = CliRunner().invoke(app, [*words[:-1], str(tmp_path / "other"), "--learning-rate", "7"])
    assert isinstance(failed.exception, UserError) and not (tmp_path / "other").exists()
