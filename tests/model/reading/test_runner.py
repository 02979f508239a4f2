"""A document in one piece is the same in any pieces; a killed run ends like an unbroken one; memory stays bounded."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import model.reading.runner
import model.recording
from kernels.cpu.chunked import chunked_scan
from kernels.types import CHUNK
from model.checkpoints.catalogue import load_model, load_tokenizer_of
from model.errors import UserError
from model.reading.runner import run
from model.reading.stream import CONTROL_BATCH, control_border, control_losses, losses_of, read
from model.reading.telemetry import snapshot_positions
from model.recording.reader import Recording
from model.tokenizer import encode
from tests.support.homes import forget_models
from tests.support.tiny import make_tiny_checkpoint, tiny_text
from tests.support.tiny import prepared as prepare_tiny


@pytest.fixture(scope="module", autouse=True)
def tiny(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("home")
    patch.setenv("MEMORY_EXPLORER_HOME", str(home))
    torch.set_num_threads(1)
    yield make_tiny_checkpoint(home)
    patch.undo()
    forget_models()


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    """Segments of 512 tokens, so that a short text has several."""
    monkeypatch.setattr("model.reading.stream.CHANNELS", 0)


TEXT = tiny_text(1500, seed=3)


def prepared(**choices):
    return prepare_tiny(choices.pop("text", TEXT), **choices)


def arrays(recording: Recording) -> dict[str, np.ndarray]:
    return {name: recording.array(name) for name in sorted(recording.stored.names)}


def assert_same(ours: dict, theirs: dict, **tolerance) -> None:
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], err_msg=name, **tolerance)


def test_chunk_is_the_same_in_kernels_and_recordings() -> None:
    assert model.recording.schema.CHUNK == CHUNK


def test_losses_are_those_of_one_forward_pass() -> None:
    document = prepared(control=False)
    lm = load_model("tiny")
    tokens = document.tokens[:600]
    ids = torch.from_numpy(tokens.astype(np.int64))[None]
    whole = torch.nn.functional.cross_entropy(lm(ids)[0][0, :-1], ids[0, 1:], reduction="none")
    segments = list(read(lm, tokens, lm.zero_state(), [chunked_scan] * 2))
    np.testing.assert_allclose(np.concatenate([part.losses for part in segments]), whole.numpy(), atol=1e-4)
    assert segments[-1].stop == 600


@given(first=st.integers(0, 300), length=st.integers(1, 200), train_length=st.integers(16, 90))
@settings(max_examples=15, deadline=None)
def test_control_reads_between_half_and_a_whole_training_length(first, length, train_length) -> None:
    lm = load_model("tiny")
    tokens = prepared(control=False).tokens[:500]
    found = control_losses(lm, tokens, first, first + length, train_length)
    step = train_length // 2
    for token in {max(first, 1), first + length // 2, first + length - 1} - {0, first + length}:
        start = max(0, -(-(token - train_length) // step)) * step
        assert token <= train_length or step <= token - start <= train_length
        ids = torch.from_numpy(tokens[start : token + 1].astype(np.int64))[None]
        hidden, _ = lm.hidden(ids[:, :-1])
        expected = losses_of(lm, hidden[:, -1:], ids[:, -1:]).item()
        assert found[token - first] == pytest.approx(expected, abs=1e-4)
    assert first > 0 or np.isnan(found[0])


@pytest.mark.parametrize("train_length", [16, 64, 100, 256, 4096, 6000])
def test_control_is_cut_into_whole_batches_of_windows(train_length) -> None:
    borders = [0]
    while borders[-1] < 30_000:
        borders.append(control_border(borders[-1], train_length))
    step = train_length // 2
    for first, border in itertools.pairwise(borders):
        windows = {max(0, -(-(token - train_length) // step)) for token in range(first, border)}
        assert len(windows) == max(1, CONTROL_BATCH // train_length)


def test_recording_has_every_array_to_its_end(tmp_path) -> None:
    document = prepared(token_norms=True)
    recording = run(document, tmp_path)
    found = arrays(recording)
    tokens = len(document.tokens)
    assert recording.complete and recording.read_tokens == tokens
    assert found["loss"].shape == found["control_loss"].shape == (tokens,)
    assert np.isnan(found["loss"][0]) and np.isfinite(found["loss"][1:]).all()
    assert np.isfinite(found["control_loss"][1:]).all()
    assert found["norm"].shape == (-(-tokens // 64) + 1, 2, 4)
    assert all(np.isfinite(found[name]).all() for name in ("norm", "mean", "std", "max_abs", "sketch"))
    assert np.isnan(found["decay"][0]).all() and np.isfinite(found["decay"][1:]).all()
    assert found["position"].tolist() == [*range(0, tokens, 64), tokens]
    assert found["character"][0] == 0 and found["character"][-1] == len(TEXT)
    at = found["position"][1:] - 1
    np.testing.assert_allclose(found["token_norm"][at], found["norm"][1:], rtol=2e-4, atol=1e-5)
    assert (found["effective_rank"] >= 1).all() and (found["effective_rank"] <= 16 + 1e-3).all()
    for key, value in recording.summary.items():
        assert value is None or isinstance(value, bool | str) or np.isfinite(value), key


def test_early_losses_equal_the_control_where_memory_is_the_same(tmp_path) -> None:
    found = arrays(run(prepared(), tmp_path))
    np.testing.assert_allclose(found["loss"][1:64], found["control_loss"][1:64], atol=1e-4)


@pytest.mark.parametrize("choices", [{}, {"mitigations": {"window": 100, "decay": 2.0}, "token_norms": True}])
def test_a_killed_run_ends_like_an_unbroken_one(tmp_path, monkeypatch, choices) -> None:
    monkeypatch.setattr(model.reading.runner, "BLOCK", 1024)
    whole = run(prepared(**choices), tmp_path / "whole")

    class Killed(BaseException):
        pass

    def kill(progress) -> None:
        if progress.tokens >= 1500:
            raise Killed

    with pytest.raises(Killed):
        run(prepared(**choices), tmp_path / "broken", on_progress=kill)
    left = Recording(tmp_path / "broken" / whole.key)
    assert not left.complete and left.read_tokens == 1024
    resumed = run(prepared(**choices), tmp_path / "broken")
    assert resumed.complete
    assert_same(arrays(resumed), arrays(whole), rtol=0, atol=0)


def test_a_cancelled_run_keeps_what_it_read_and_goes_on(tmp_path) -> None:
    seen = []
    cancelled = run(prepared(), tmp_path, on_progress=seen.append, stop=lambda: len(seen) >= 2)
    assert cancelled.meta.status == "cancelled" and cancelled.read_tokens == 1024
    assert np.isfinite(cancelled.array("loss")[1:]).all() and len(cancelled.array("norm")) == 17
    resumed = run(prepared(), tmp_path)
    assert resumed.complete and resumed.meta.created == cancelled.meta.created
    whole = run(prepared(), tmp_path / "other")
    assert_same(arrays(resumed), arrays(whole), rtol=0, atol=0)


def test_small_models_read_longer_segments(monkeypatch) -> None:
    tokens, net = prepared(control=False).tokens, load_model("tiny")
    channels = len(net.config.layers) * net.config.d_inner
    losses = []
    for segments in (1, 2.5, 4, 100):
        monkeypatch.setattr("model.reading.stream.CHANNELS", int(segments * 512 * channels))
        pieces = list(read(net, tokens, net.zero_state(), [chunked_scan] * len(net.blocks)))
        assert pieces[0].stop == 512 * min(4, int(segments))
        losses.append(np.concatenate([piece.losses for piece in pieces]))
        np.testing.assert_allclose(losses[-1], losses[0], atol=1e-4)


def test_the_same_experiment_is_not_run_twice(tmp_path) -> None:
    first = run(prepared(), tmp_path)
    again = run(prepared(), tmp_path, on_progress=lambda progress: pytest.fail("it ran again"))
    assert again.path == first.path
    assert prepared(seed=1).experiment.key != first.key


def test_recording_opens_in_xarray_and_holds_no_text(tmp_path) -> None:
    import xarray

    recording = run(prepared(), tmp_path)
    with xarray.open_zarr(recording.path / "data.zarr", consolidated=False) as data:
        assert data["norm"].dims == ("boundary", "layer", "head")
        assert data["loss"].dims == ("token",)
    stored = json.loads((recording.path / "recording.json").read_text("utf-8"))
    assert stored["experiment"]["document"] and "torch" in stored["versions"]
    for file in recording.path.rglob("*"):
        assert not file.is_file() or "交換".encode() not in file.read_bytes()
    kept = run(prepared(seed=2), tmp_path, keep_text=True)
    assert kept.text == TEXT


def test_initial_states_differ_and_are_reproducible(tmp_path) -> None:
    first = run(prepared(text=tiny_text(300, seed=9)), tmp_path)
    norms = {}
    for name, source in (("zeros", None), ("gaussian", None), ("fitted", None), ("carried", first.path)):
        document = prepared(initial_state=name, source=source, control=False)
        recording = run(document, tmp_path)
        norms[name] = recording.array("norm")[0]
    explored = prepared().explored
    assert not norms["zeros"].any()
    size = 16 * 16
    np.testing.assert_allclose(norms["fitted"], np.sqrt(size * (explored.std**2 + explored.mean**2)), rtol=0.25)
    assert np.ptp(norms["gaussian"]) < 0.3 * norms["gaussian"].mean()
    np.testing.assert_allclose(norms["carried"], first.array("norm")[-1], rtol=1e-5)


def test_choices_that_cannot_work_are_said_before_work_starts(tmp_path) -> None:
    for wrong in (
        {"mitigations": {"magic": 1.0}},
        {"mitigations": {"decay": 1e9}},
        {"mitigations": {"window": 2.5}},
        {"initial_state": "nothing"},
        {"initial_state": "carried"},
        {"precision": "float8"},
        {"train_length": 3},
        {"text": ""},
    ):
        with pytest.raises(UserError) as error:
            prepared(**wrong)
        assert error.value.sentence("ja") != error.value.sentence("en")


def test_carried_state_of_another_shape_is_refused(tmp_path) -> None:
    first = run(prepared(), tmp_path)
    document = prepared(initial_state="carried", source=first.path)
    narrow = {name: array[:, :1] for name, array in document.source.items()}
    with pytest.raises(UserError, match="another shape"):
        run(replace(document, source=narrow), tmp_path / "other")


@given(tokens=st.integers(2, 2_000_000), count=st.integers(4, 1024))
@settings(max_examples=60, deadline=None)
def test_snapshots_are_bounded_sorted_and_keep_both_ends(tokens, count) -> None:
    positions = snapshot_positions(tokens, count)
    assert 1 <= len(positions) <= count
    assert (np.diff(positions) > 0).all()
    assert positions[0] == min(64, tokens) and positions[-1] == tokens
    assert ((positions % 64 == 0) | (positions == tokens)).all()


@given(text=st.text(max_size=3000))
@settings(max_examples=40, deadline=None)
def test_any_unicode_text_is_tokenised_with_true_offsets(text) -> None:
    tokenizer = load_tokenizer_of("tiny")
    tokens, offsets = encode(tokenizer, text)
    assert tokenizer.decode(tokens.tolist()) == text
    assert (np.diff(offsets) >= 0).all() and (offsets < max(1, len(text))).all()
    for digit in "0123456789":
        assert (tokens == tokenizer.token_to_id(digit)).sum() == text.count(digit)


def test_a_gpu_without_memory_leaves_the_rest_to_the_cpu(tmp_path, monkeypatch):
    """The GPU is the CPU here, and runs out of memory after the first block that is stored."""
    whole = run(prepared(control=False), tmp_path / "whole")
    run_on, given = model.reading.runner.run_on, []

    def counted(ready, path, **choices):
        given.append(choices["device"])
        if choices["device"] == "cuda":
            assert not run_on(ready, path, **{**choices, "device": "cpu", "stop": lambda: True}).complete
            raise torch.OutOfMemoryError("no room")
        return run_on(ready, path, **choices)

    monkeypatch.setattr(model.reading.runner, "run_on", counted)
    monkeypatch.setattr(model.reading.runner, "chosen_device", lambda choice: "cuda")
    found = run(prepared(control=False), tmp_path / "fallen back")
    assert given == ["cuda", "cpu"] and found.complete
    assert_same(arrays(found), arrays(whole))


def test_a_recording_says_what_it_ran_on(tmp_path):
    summary = run(prepared(control=False), tmp_path).summary
    assert summary["device"].startswith("CPU, ") and summary["kernels"] == "pytorch"
    with pytest.raises(UserError, match="not a device"):
        prepared(device="tpu")
