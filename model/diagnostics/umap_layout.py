"""UMAP in two dimensions: its graph of neighbours in numpy, its layout by umap-learn.

McInnes, Healy & Melville 2018 (arXiv 1802.03426). Every point is joined to its k nearest with the membership

    w_ij = exp(-max(0, d_ij - rho_i) / sigma_i)        rho_i: distance of the nearest other point
    sum over j of w_ij = log2 k                        which fixes sigma_i (their algorithm 3)

and the two directions are united: w_ij + w_ji - w_ij w_ji. umap-learn computes the same numbers, after 5 seconds of
compiling in every new process; here only the layout is left to compile, which takes one. Neighbours are exact, and the
layout starts from the principal components: the recipe for a first map in seconds.
"""

from __future__ import annotations

import threading

import numpy as np
from scipy.sparse import coo_matrix

from model.diagnostics.neighbours import nearest

NEIGHBOURS = 15
EPOCHS = 100
BISECTIONS = 64

_one_layout = threading.Lock()
"""One thread lays out, or compiles: the others would wait for the compiler anyway."""


def neighbour_graph(points: np.ndarray) -> coo_matrix:
    """The symmetric memberships of ``points`` (n, d), of their 15 nearest (themselves counted), sparse (n, n)."""
    everyone = np.arange(len(points), dtype=np.int32)
    count = min(NEIGHBOURS, len(points)) - 1
    distances, indices = nearest(points, points, count, point_group=everyone, query_group=everyone)
    weights = memberships(distances.astype(np.float64))
    shape = (len(points), len(points))
    directed = coo_matrix((weights.ravel(), (np.repeat(everyone, count), indices.ravel())), shape=shape).tocsr()
    both = directed.multiply(directed.T)
    united = (directed + directed.T - both).tocoo()
    united.data = united.data.astype(np.float32)
    return united


def memberships(distances: np.ndarray) -> np.ndarray:
    """Memberships of every point's neighbours from their ``distances`` (n, k - 1), the point itself left out."""
    target = np.log2(distances.shape[1] + 1)
    apart = np.where(distances > 0, distances, np.inf).min(axis=1, keepdims=True)
    beyond = np.maximum(distances - np.where(np.isfinite(apart), apart, 0.0), 0.0)
    low, high, sigma = np.zeros_like(apart), np.full_like(apart, np.inf), np.ones_like(apart)
    for _ in range(BISECTIONS):
        above = np.exp(-beyond / sigma).sum(axis=1, keepdims=True) > target
        low, high = np.where(above, low, sigma), np.where(above, sigma, high)
        sigma = np.where(np.isinf(high), 2 * sigma, (low + high) / 2)
    # Among many duplicates no sigma fits; the floor is umap-learn's, whose means count the point itself at zero.
    share = distances.shape[1] / (distances.shape[1] + 1)
    mean = np.where(np.isfinite(apart), distances.mean(axis=1, keepdims=True), distances.mean()) * share
    sigma = np.maximum(sigma, 1e-3 * mean)
    return np.exp(-beyond / np.where(sigma > 0, sigma, 1.0))


def layout(points: np.ndarray, graph: coo_matrix, seed: int, epochs: int = EPOCHS) -> np.ndarray:
    """Coordinates (n, 2) float32 of ``points`` (n, d >= 2), the same for the same ``seed``.

    ``graph`` is consumed: umap-learn drops its weakest edges in place.
    """
    with _one_layout:
        from umap.umap_ import find_ab_params, simplicial_set_embedding

        a, b = find_ab_params(spread=1.0, min_dist=0.1)
        coordinates, _ = simplicial_set_embedding(
            points,
            graph,
            n_components=2,
            initial_alpha=1.0,
            a=a,
            b=b,
            gamma=1.0,
            negative_sample_rate=5,
            n_epochs=epochs,
            init="pca",
            random_state=np.random.RandomState(seed),
            metric="euclidean",
            metric_kwds={},
            densmap=False,
            densmap_kwds={},
            output_dens=False,
        )
    return np.asarray(coordinates, np.float32)


def warm_up() -> threading.Thread:
    """Import and compile UMAP in a background thread, so that the first map need not wait for it.

    May be called any number of times, from any thread: a second one finds the work done. Returns the thread.
    """

    def compile_once() -> None:
        points = np.random.default_rng(0).standard_normal((64, 8)).astype(np.float32)
        layout(points, neighbour_graph(points), seed=0, epochs=2)

    thread = threading.Thread(target=compile_once, name="umap-warm-up", daemon=True)
    thread.start()
    return thread
