"""Laws of the explored states: what training never reached is separated from what it did, and any states give a map."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from model.diagnostics import state_map
from model.diagnostics.explored import Explored, novelty, span_lengths, threshold, unexplored_fraction
from model.diagnostics.neighbours import nearest
from model.errors import UserError

T = 256
SKETCH = 128


def states(count: int, windows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """States of texts: those of one text lie together, as those of a training window do."""
    rng = np.random.default_rng(seed)
    window = np.arange(count) * windows // count
    topics = 0.7 * rng.standard_normal((windows, 2, SKETCH))
    return (topics[window] + rng.standard_normal((count, 2, SKETCH))).astype(np.float32), window.astype(np.int32)


def explored_states(count: int = 1500, windows: int = 150) -> Explored:
    sketch, window = states(count, windows, 0)
    ones = np.ones((2, 4), np.float32)
    return Explored(
        sketch=sketch,
        position=np.zeros(count, np.int32),
        window=window,
        mean=0 * ones,
        std=ones,
        norm_at_train_length=ones,
        train_length=T,
    )


def test_nearest_is_the_brute_force_answer() -> None:
    rng = np.random.default_rng(0)
    points, queries = rng.standard_normal((300, 7)).astype("f") + 1000, rng.standard_normal((90, 7)).astype("f") + 1000
    groups = rng.integers(4, size=300), rng.integers(4, size=90)
    truth = np.linalg.norm(queries[:, None].astype(float) - points, axis=2)
    truth[groups[1][:, None] == groups[0]] = np.inf
    distances, indices = nearest(points, queries, 5, point_group=groups[0], query_group=groups[1])
    np.testing.assert_allclose(distances, np.sort(truth, axis=1)[:, :5], rtol=1e-4)
    assert (groups[0][indices] != groups[1][:, None]).all()


def test_novelty_finds_grown_and_foreign_states_and_leaves_new_texts_alone() -> None:
    explored = explored_states()
    held_out, _ = states(1500, 150, 1)
    assert (novelty(explored, held_out) > 1).mean() <= 0.03
    assert (novelty(explored, 3 * held_out) > 1).all()
    assert (novelty(explored, held_out + 5) > 1).all()
    one_layer_grown = held_out.copy()
    one_layer_grown[:, 1] *= 3
    assert (novelty(explored, one_layer_grown, layer=1) > 1).all()
    assert (novelty(explored, one_layer_grown, layer=0) > 1).mean() <= 0.05


def test_the_threshold_leaves_out_a_states_own_window() -> None:
    explored = explored_states()
    alone = replace(explored, window=np.arange(len(explored.window), dtype=np.int32))
    assert threshold(explored) > threshold(alone)
    assert math.isnan(threshold(replace(explored, window=0 * explored.window)))


def test_novelty_of_odd_states() -> None:
    explored = explored_states(200, 20)
    sketch = explored.sketch[:3].copy()
    sketch[0, 0, 0], sketch[1, 1, 1] = np.nan, np.inf
    scores = novelty(explored, sketch)
    assert np.isinf(scores[:2]).all() and scores[2] < 1
    assert novelty(explored, sketch[:0]).shape == (0,)
    with pytest.raises(ValueError, match="not of the explored model"):
        novelty(explored, sketch[:, :1])


def test_snapshots_count_for_the_tokens_they_stand_for() -> None:
    position = np.array([0, 10, 20, 1000])
    assert span_lengths(position, 1000).sum() == 1000
    scores = np.array([0.5, 0.5, 0.5, 2.0])
    assert unexplored_fraction(scores, position, 1000) == pytest.approx(0.49)
    assert unexplored_fraction(scores[:0], position[:0], 1000) is None


def test_explored_states_survive_the_disk(tmp_path: Path) -> None:
    explored = explored_states(50, 5)
    explored.save(tmp_path / "explored.safetensors")
    loaded = Explored.load(tmp_path / "explored.safetensors")
    assert loaded.train_length == T
    np.testing.assert_allclose(loaded.sketch, explored.sketch, rtol=5e-4, atol=1e-6)
    np.testing.assert_array_equal(loaded.window, explored.window)
    new, _ = states(20, 5, 9)
    np.testing.assert_allclose(novelty(loaded, new), novelty(explored, new), rtol=1e-3)
    loud = replace(explored, sketch=explored.sketch * 1e6)  # beyond the range of the shorter numbers
    loud.save(tmp_path / "loud.safetensors")
    np.testing.assert_array_equal(Explored.load(tmp_path / "loud.safetensors").sketch, loud.sketch)


def test_maps_are_finite_and_repeatable() -> None:
    explored, _ = states(150, 15, 0)
    document, _ = states(60, 1, 1)
    document[5] = np.nan
    document[6, 0, 0] = np.inf
    document[7] *= 1e30
    explored[:, 0, 3] = 4.2
    document[:, 0, 3] = 4.2
    seen: list[float] = []
    for method in (state_map.PCA, state_map.UMAP):
        first = state_map.project(explored, document, method, progress=seen.append, seed=3)
        again = state_map.project(explored, document, method, seed=3)
        assert first is not None and again is not None
        assert first.method == method and not first.reason and first.repaired == 2 * SKETCH
        assert first.explored_xy.shape == (150, 2) and first.document_xy.shape == (60, 2)
        assert np.isfinite(first.explored_xy).all() and np.isfinite(first.document_xy).all()
        np.testing.assert_array_equal(first.document_xy, again.document_xy)
        assert seen[-1] == 1
    assert state_map.project(explored, document, state_map.UMAP, stop=lambda: True) is None


@pytest.mark.parametrize("method", [state_map.PCA, state_map.UMAP])
@pytest.mark.parametrize("shape", [(0, 0), (0, 1), (1, 1), (3, 2), (30, 0), (30, 10)])
@pytest.mark.parametrize("kind", ["constant", "line", "nan"])
def test_odd_inputs_still_give_a_map(method: str, shape: tuple[int, int], kind: str) -> None:
    count = sum(shape)
    values = np.full((count, 1, 4), np.nan if kind == "nan" else 1.0, np.float32)
    if kind == "line":
        values[:, 0, 0] = np.arange(count)
    picture = state_map.project(values[: shape[0]], values[shape[0] :], method)
    assert picture is not None
    assert np.isfinite(picture.explored_xy).all() and np.isfinite(picture.document_xy).all()
    assert picture.explored_xy.shape == (shape[0], 2) and picture.document_xy.shape == (shape[1], 2)
    if method == state_map.UMAP:
        assert picture.reason == (state_map.TOO_FEW if count < 20 else "" if kind == "line" else state_map.NO_VARIATION)


def test_umap_keeps_neighbours_that_pca_cannot() -> None:
    rng = np.random.default_rng(0)
    topic = rng.integers(12, size=600)
    values = (0.8 * rng.standard_normal((12, 1, 64))[topic] + rng.standard_normal((600, 1, 64))).astype(np.float32)
    faithful = {}
    for method in (state_map.PCA, state_map.UMAP):
        picture = state_map.project(values[:400], values[400:], method)
        assert picture is not None
        coordinates = np.concatenate([picture.explored_xy, picture.document_xy])
        faithful[method] = trustworthiness(values[:, 0], coordinates, n_neighbors=10)
    assert faithful[state_map.UMAP] > 0.9 > faithful[state_map.PCA]


def test_a_map_can_be_stopped_while_it_is_laid_out() -> None:
    values, _ = states(100, 5, 0)
    seen: list[float] = []
    halfway = state_map.project(
        values[:50], values[50:], state_map.UMAP, progress=seen.append, stop=lambda: max(seen, default=0) > 0.6
    )
    assert halfway is None
    assert max(seen) < 0.7


@pytest.mark.parametrize("features", [12, state_map.MOST_EXACT + 100])
def test_pca_is_that_of_scikit_learn(features: int) -> None:
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((200, 3)) * [4, 2, 1] @ rng.standard_normal((3, features))
    values = hidden + 0.1 * rng.standard_normal(hidden.shape)
    picture = state_map.project(values[:100, None], values[100:, None])
    assert picture is not None and picture.explained is not None
    truth = PCA(2).fit((values - values.mean(axis=0)) / values.std(axis=0))
    assert picture.explained == pytest.approx(truth.explained_variance_ratio_, rel=1e-3)
    shown = np.concatenate([picture.explored_xy, picture.document_xy])
    theirs = truth.transform((values - values.mean(axis=0)) / values.std(axis=0))
    np.testing.assert_allclose(np.abs(shown), np.abs(theirs), atol=1e-2 * np.abs(theirs).max())


def test_coverage_counts_explored_states_near_the_document() -> None:
    explored = np.arange(10.0)[:, None, None]
    assert state_map.coverage(explored, np.array([[[0.2]], [[8.9]], [[np.nan]]]), 1.0) == pytest.approx(0.4)
    assert state_map.coverage(explored, explored[:0], 1.0) is None


def test_a_broken_sample_is_said_in_a_sentence(tmp_path) -> None:
    file = tmp_path / "explored.safetensors"
    for content in (b"", b"no such format", b"\x08\0\0\0\0\0\0\0{}      "):
        file.write_bytes(content)
        with pytest.raises(UserError, match=tmp_path.name):
            Explored.load(file)
