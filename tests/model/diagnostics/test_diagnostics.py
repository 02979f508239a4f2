"""Laws of the diagnostics: what is planted in synthetic recordings is found, and nothing else is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

from model.diagnostics import collapse, memory
from model.diagnostics.explored import Explored
from model.diagnostics.summary import summarise, verdict
from model.experiment import Experiment
from model.messages import LANGUAGES, catalogue, message
from model.recording.reader import CANCELLED, COMPLETE, Meta, Recording
from model.recording.schema import CHUNK, SKETCH
from model.recording.writer import RecordingWriter

T = 256
FIGURES = (
    "tokens", "tokens_per_second", "peak_rss_mb", "train_length", "loss_within", "loss_beyond", "control_loss_beyond",
    "excess_loss", "excess_low", "excess_high", "excess_ratio", "collapse_onset", "published_collapsed",
    "published_onset", "published_ratio", "unexplored_fraction", "norm_growth", "longest_half_life",
)  # fmt: skip


def noise(tokens: int, seed: int, correlation: float = 0.9) -> np.ndarray:
    """Stationary autocorrelated noise with deviation 1."""
    shocks = np.random.default_rng(seed).standard_normal(tokens + 2000)
    return lfilter([math.sqrt(1 - correlation**2)], [1, -correlation], shocks)[2000:]


def text(tokens: int, seed: int = 0) -> np.ndarray:
    """Control loss of a document whose difficulty wanders."""
    return (3 + 0.5 * noise(tokens, seed, 0.99) + 0.5 * noise(tokens, seed + 7)).astype(np.float32)


def reading(tokens: int, excess: np.ndarray | float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Loss and control loss of a document with a given excess and noise of its own."""
    control = text(tokens, seed)
    return (control + excess + 0.5 * noise(tokens, seed + 3)).astype(np.float32), control


@pytest.mark.parametrize("onset", [0, 4 * T, 10 * T + 100, 33 * T, 60 * T])
@pytest.mark.parametrize("step", [1.0, 3.0])
def test_a_planted_onset_is_found_within_a_training_length(onset: int, step: float) -> None:
    excess = np.where(np.arange(64 * T) >= onset, step, 0.0)
    found = [collapse.collapse_onset(*reading(64 * T, excess, seed), T) for seed in range(0, 400, 20)]
    near = [place is not None and abs(place // T - onset // T) <= 1 for place in found]
    assert sum(near) >= 19  # a noisy bin or two before the onset may pass for it once in a while


def test_an_onset_creeps_in_where_it_starts_to_matter() -> None:
    excess = np.maximum(0, (np.arange(64 * T) - 8 * T) / (16 * T))  # 5% of the loss after 2.4 training lengths more
    found = collapse.collapse_onset(*reading(64 * T, excess), T)
    assert found is not None
    assert 8 * T < found < 14 * T


@pytest.mark.parametrize("where", [3 * T, 20 * T + 50, 62 * T, 64 * T - 300])
@pytest.mark.parametrize("both", [True, False])
def test_a_hard_paragraph_alone_is_no_onset(where: int, both: bool) -> None:
    loss, control = reading(64 * T, -0.1)
    loss[where : where + 300] += 5
    if both:
        control[where : where + 300] += 5
    assert collapse.collapse_onset(loss, control, T) is None


def test_a_hard_chapter_after_which_memory_recovers_is_no_onset() -> None:
    position = np.arange(64 * T)
    loss, control = reading(64 * T, np.where((position > 20 * T) & (position < 26 * T), 2.0, -0.1))
    assert collapse.collapse_onset(loss, control, T) is None


@pytest.mark.parametrize("seed", range(8))
def test_noise_alone_has_no_onset(seed: int) -> None:
    assert collapse.collapse_onset(*reading(100 * T, 0.0, seed), T) is None


def test_equal_losses_have_no_excess_and_no_onset() -> None:
    loss = text(40 * T)
    curve = collapse.excess_curve(loss, loss, T)
    assert not curve.excess.any() and not curve.low.any() and not curve.high.any()
    assert collapse.collapse_onset(loss, loss, T) is None
    beyond = collapse.excess_beyond(loss, loss, T)
    assert beyond == collapse.Interval(0.0, 0.0, 0.0, 32 * T)


@pytest.mark.parametrize("tokens", [4 * CHUNK, 40 * CHUNK, 5000])
def test_the_interval_covers_the_mean_of_autocorrelated_noise(tokens: int) -> None:
    intervals = [collapse.batch_interval(2 + noise(tokens, 10 * seed)) for seed in range(300)]
    covered = np.mean([interval.low <= 2 <= interval.high for interval in intervals])
    assert 0.90 <= covered <= 0.99


def test_student_t_is_students() -> None:
    for count, quantile in ((2, 12.706), (3, 4.303), (11, 2.228), (32, 2.040), (61, 2.000)):  # of any printed table
        values = np.linspace(-1, 1, count)
        assert collapse.half_width(values) == pytest.approx(quantile * values.std(ddof=1) / count**0.5, rel=3e-4)


@pytest.mark.parametrize("tokens", [1, 100, T, 3 * T + 1, 201 * T, 1000 * T + 77])
def test_bins_are_whole_training_lengths_and_few(tokens: int) -> None:
    loss, control = np.ones(tokens, np.float32), np.full(tokens, 0.5, np.float32)
    control[:1] = np.nan
    curve = collapse.excess_curve(loss, control, T)
    assert curve.width % T == 0
    assert len(curve.position) <= 200
    assert (np.diff(curve.position) > 0).all() and curve.position[-1] <= tokens
    known = np.isfinite(curve.excess)
    np.testing.assert_allclose(curve.excess[known], 0.5)
    assert known.all() or tokens == 1


def test_missing_control_is_skipped_and_a_missing_one_leaves_the_loss() -> None:
    loss, control = reading(20 * T, 1.0)
    control[: T // 2] = np.nan
    curve = collapse.excess_curve(loss, control, T)
    np.testing.assert_allclose(curve.loss - curve.control, curve.excess, atol=1e-6)
    assert abs(curve.excess[0] - 1) < 1
    alone = collapse.excess_curve(loss, None, T)
    assert np.isfinite(alone.loss).all() and np.isnan(alone.excess).all()
    assert collapse.excess_beyond(loss, None, T) is None
    assert collapse.collapse_onset(loss, None, T) is None


def test_too_short_is_none() -> None:
    assert collapse.excess_beyond(*reading(9 * T - 1, 1.0), T) is None
    assert collapse.excess_beyond(*reading(9 * T, 1.0), T) is not None
    assert collapse.published_criterion(text(T), T) is None


def test_the_published_criterion_is_a_factor_of_two() -> None:
    loss = np.full(20 * T, 2.0)
    loss[12 * T :] = 3.5
    assert collapse.published_criterion(loss, T) == collapse.Published(False, None, 1.75)
    loss[12 * T :] = 4.5
    assert collapse.published_criterion(loss, T) == collapse.Published(True, 12 * T, 2.25)


def test_half_lives_follow_the_decay() -> None:
    position = np.array([0, 64, 128, 138])  # the last chunk is short
    decay = np.broadcast_to(np.log([[0.5, 0.999], [1.0, 0.9]]), (4, 2, 2)).copy()
    decay[0] = np.nan
    np.testing.assert_allclose(
        memory.half_lives(decay, position), [[1, math.log(2) / -math.log(0.999)], [np.inf, 6.5788]], rtol=1e-4
    )
    decay[3, 0, 0] = math.log(0.25)
    assert memory.half_lives(decay, position)[0, 0] == pytest.approx(138 / (128 + 2 * 10))


def test_norm_growth_is_relative_to_the_training_length() -> None:
    position = np.arange(0, 20 * T + 1, CHUNK)
    norm = np.ones((len(position), 2, 3))
    norm[position > T, 1] = 3
    np.testing.assert_allclose(memory.norm_growth(norm, position, T), [[1] * 3, [3] * 3])
    assert memory.mean_norm_growth(norm, position, T) == 2
    for last, expected in ((3 * T, 3.0), (T, math.nan), (0, math.nan)):
        short = position <= last
        np.testing.assert_equal(memory.norm_growth(norm[short], position[short], T)[1, 0], expected)


def explored_states() -> Explored:
    """Standard normal states of thirty texts, two layers of four heads."""
    ones = np.ones((2, 4), np.float32)
    return Explored(
        sketch=np.random.default_rng(0).standard_normal((300, 2, SKETCH)).astype(np.float32),
        position=np.zeros(300, np.int32),
        window=(np.arange(300) // 10).astype(np.int32),
        mean=0 * ones,
        std=ones,
        norm_at_train_length=ones,
        train_length=T,
    )


def write(
    path: Path,
    loss: np.ndarray,
    control: np.ndarray | None,
    read: int | None = None,
    decay: float = -0.01,
    grown: float = 2.0,
) -> Recording:
    """A recording of two layers of four heads, read up to token ``read``, whose norms grow ``grown`` times."""
    tokens = len(loss)
    read = tokens if read is None else read
    experiment = Experiment(
        document="0" * 64, tokens=tokens, model="m", weights="w", train_length=T, control=control is not None
    )
    meta = Meta(
        title="t", experiment=experiment, document_name="d", characters=tokens, layers=("mamba2",) * 2, nheads=4,
        headdim=8, d_state=8,
    )  # fmt: skip
    snapshots = np.unique(np.linspace(0, tokens, 40).astype(np.int32))
    writer = RecordingWriter(path, meta, snapshots)
    boundaries = -(-read // CHUNK) + 1
    writer.put("loss", 0, loss[:read])
    if control is not None:
        writer.put("control_loss", 0, control[:read])
    writer.put("position", 0, np.minimum(np.arange(boundaries) * CHUNK, read))
    writer.put("norm", 0, np.linspace(1, grown, boundaries)[:, None, None] * np.ones((1, 2, 4)))
    writer.put("log_decay", 1, np.full((boundaries - 1, 2, 4), decay))
    known = snapshots[snapshots <= read]
    sketch = np.random.default_rng(5).standard_normal((len(known), 2, SKETCH))
    writer.put("sketch", 0, sketch * np.where(known > tokens / 2, 3, 0.8)[:, None, None])
    writer.commit({"tokens": read}, {"state": np.zeros(1, np.float32)})
    return writer.finish(COMPLETE if read == tokens else CANCELLED, {})


def sentence(summary: dict[str, object]) -> str:
    """The key of the verdict, after writing it out in every language."""
    assert set(summary) == set(FIGURES)
    json.dumps(summary, allow_nan=False)
    key, values = verdict(json.loads(json.dumps(summary)))
    for language in LANGUAGES:
        written = message(key, language, **values)
        assert "{" not in written and "nan" not in written and "inf" not in written
    return key.removeprefix("verdict.")


def figures(path: Path, loss: np.ndarray, control: np.ndarray | None, **options: float) -> dict[str, object]:
    recording = write(path, loss, control, **options)  # type: ignore[arg-type]
    return summarise(recording, explored_states(), tokens_per_second=1000.0, peak_rss_mb=500.0)


def test_summary_of_a_collapse(tmp_path: Path) -> None:
    tokens = 40 * T
    late = np.arange(tokens) >= 6 * T
    summary = figures(tmp_path / "costs", *reading(tokens, np.where(late, 1.5, 0)))
    assert sentence(summary) == "costs"
    assert summary["collapse_onset"] == 6 * T
    assert summary["excess_low"] < 1.5 < summary["excess_high"]  # type: ignore[operator]
    assert summary["excess_loss"] == pytest.approx(summary["loss_beyond"] - summary["control_loss_beyond"], abs=1e-4)  # type: ignore[operator]
    assert summary["excess_ratio"] == pytest.approx(1.5, abs=0.1)
    assert summary["unexplored_fraction"] == pytest.approx(0.5, abs=0.03)
    assert summary["longest_half_life"] == pytest.approx(69.3, abs=0.1)
    assert summary["norm_growth"] == pytest.approx(1.55, abs=0.1)
    assert sentence(figures(tmp_path / "collapses", *reading(tokens, np.where(late, 8.0, 0)))) == "collapses"


def test_a_flat_norm_is_no_sign_of_health(tmp_path: Path) -> None:
    """As with a delta rule, whose norm settles whatever happens: excess loss alone decides."""
    tokens = 40 * T
    late = np.arange(tokens) >= 6 * T
    for excess, expected in ((1.5, "costs"), (8.0, "collapses"), (0.0, "holds")):
        recording = write(tmp_path / expected, *reading(tokens, np.where(late, excess, 0)), grown=1.0)
        summary = summarise(recording, explored_states(), tokens_per_second=1000.0, peak_rss_mb=500.0)
        assert summary["norm_growth"] == pytest.approx(1.0)
        assert sentence(summary) == expected
    alone = write(tmp_path / "alone", reading(tokens, 1.5)[0], None, grown=1.0)
    said = sentence(summarise(alone, explored_states(), tokens_per_second=1000.0, peak_rss_mb=500.0))
    assert said.startswith("no_control")  # without a control nothing is called fine


def test_summaries_of_memory_that_holds_or_cannot_be_judged(tmp_path: Path) -> None:
    tokens = 40 * T
    loss, control = reading(tokens, -0.1)
    summary = figures(tmp_path / "holds", loss, control)
    assert sentence(summary) == "holds"
    assert summary["collapse_onset"] is None and summary["published_onset"] is None
    loss[5000:5200] += 9
    control[5000:5200] += 9
    assert sentence(figures(tmp_path / "hard", loss, control)) == "holds_hard_text"
    assert sentence(figures(tmp_path / "alone", loss, None)) == "no_control_reached"
    assert sentence(figures(tmp_path / "alone, easy", text(tokens), None)) == "no_control"
    loss, control = reading(tokens, 0.0)
    loss += 2 * noise(tokens, 4, 0.99).astype(np.float32)
    assert sentence(figures(tmp_path / "unclear", loss, control)) == "unclear"
    loss[1000:] = np.nan
    assert sentence(figures(tmp_path / "broken", loss, control)) == "broken"


@pytest.mark.parametrize("read", [0, 64, 100, T, 5 * T, 9 * T - 1])
def test_summary_of_a_cancelled_reading(tmp_path: Path, read: int) -> None:
    summary = figures(tmp_path / "short", *reading(20 * T, 1.0), read=read, decay=0.0)
    assert sentence(summary) == "too_short"
    assert summary["tokens"] == read
    for name in ("loss_beyond", "control_loss_beyond", "excess_loss", "excess_ratio", "norm_growth"):
        assert summary[name] is None
    assert (summary["loss_within"] is None) == (read == 0)
    assert summary["longest_half_life"] is None  # nothing fades


def test_without_explored_states_nothing_is_called_unexplored(tmp_path: Path) -> None:
    recording = write(tmp_path / "r", *reading(10 * T, 0.0))
    assert summarise(recording, None, tokens_per_second=1.0, peak_rss_mb=1.0)["unexplored_fraction"] is None


def test_every_verdict_is_one_sentence_and_can_be_reached() -> None:
    base: dict[str, object] = {
        "tokens": 10_000, "train_length": T, "published_ratio": 1.0, "published_collapsed": False, "loss_beyond": 3.0,
        "control_loss_beyond": 3.0, "excess_loss": 1.0, "excess_low": 0.9, "excess_high": 1.1, "collapse_onset": 512,
    }  # fmt: skip
    changes: list[dict[str, object]] = [
        {"tokens": 100}, {"loss_beyond": None}, {"control_loss_beyond": None}, {}, {"collapse_onset": None},
        {"excess_low": -0.3}, {"excess_low": -0.2, "excess_loss": 0.0, "excess_high": 0.1},
    ]  # fmt: skip
    reached = set()
    for change in changes:
        for published in (True, False):
            key, values = verdict({**base, "published_collapsed": published, **change})
            reached.add(key)
            for language in LANGUAGES:
                assert message(key, language, **values).count("。") == (language == "ja")
    assert reached == {key for key in catalogue() if key.startswith("verdict.")}
