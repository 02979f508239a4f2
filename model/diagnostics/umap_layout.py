"""UMAP in two dimensions, for maps of some thousand points that must be there in seconds.

McInnes, Healy & Melville 2018 (arXiv 1802.03426). Every point is joined to its k nearest with the membership

    w_ij = exp(-max(0, d_ij - rho_i) / sigma_i)        rho_i: distance of the nearest other point
    sum over j of w_ij = log2 k                        which fixes sigma_i (their algorithm 3)

and the two directions are united: w_ij + w_ji - w_ij w_ji. The layout (their section 4, algorithm 5) then draws joined
points together and pushes random pairs apart, so that 1 / (1 + a |y_i - y_j|^2b) comes near w_ij.

This is what umap-learn computes, which on its first use compiles for 20 seconds more than these 30 lines do. Neighbours
are exact, the layout starts from the principal components, and one thread and a seed make it repeatable.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit
from scipy.sparse import coo_matrix

from model.diagnostics.neighbours import nearest

NEIGHBOURS = 15
EPOCHS = 100
REPULSIONS = 5
"""Random points that a point is pushed away from each time it is drawn to a neighbour."""
A, B = 1.5769, 0.8951
"""The curve of distances that the paper's min_dist = 0.1 and spread = 1 come to."""
BISECTIONS = 64


def neighbour_graph(points: np.ndarray) -> coo_matrix:
    """The symmetric memberships of ``points`` (n, d), of their 15 nearest (themselves counted), sparse (n, n)."""
    everyone = np.arange(len(points), dtype=np.int32)
    count = min(NEIGHBOURS, len(points)) - 1
    distances, indices = nearest(points, points, count, point_group=everyone, query_group=everyone)
    weights = memberships(distances.astype(np.float64)).ravel()
    shape = (len(points), len(points))
    directed = coo_matrix((weights, (np.repeat(everyone, count), indices.ravel())), shape=shape).tocsr()
    return (directed + directed.T - directed.multiply(directed.T)).tocoo()


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
    return np.exp(-beyond / np.where(sigma > 0, sigma, 1.0))  # zero only if all points are one


def layout(
    points: np.ndarray,
    seed: int,
    *,
    epochs: int = EPOCHS,
    progress: Callable[[float], None] = lambda fraction: None,
    stop: Callable[[], bool] = lambda: False,
) -> np.ndarray | None:
    """Coordinates (n, 2) float32 of ``points`` (n, components), principal components in their order.

    The same for the same ``seed``. ``stop`` is asked before every epoch; if it says yes the result is None.
    """
    graph = neighbour_graph(points)
    rate = (graph.data / graph.data.max()).astype(np.float32)
    kept = rate * epochs >= 1  # a weaker edge would not be drawn once
    head, tail, rate = graph.row[kept].astype(np.int32), graph.col[kept].astype(np.int32), rate[kept]
    start = points[:, :2] * (10 / max(float(np.abs(points[:, :2]).max()), 1e-12))
    noise = np.random.default_rng(seed).normal(scale=1e-3, size=start.shape)  # points that coincide could never part
    coordinates = np.ascontiguousarray(start + noise, dtype=np.float32)
    for epoch in range(epochs):
        if stop():
            return None
        _epoch(coordinates, head, tail, rate, epoch, 1 - epoch / epochs, seed)
        progress((epoch + 1) / epochs)
    return coordinates


@njit(nogil=True, fastmath=True)
def _epoch(
    y: np.ndarray, head: np.ndarray, tail: np.ndarray, rate: np.ndarray, epoch: int, step: float, seed: int
) -> None:
    """One pass over the edges whose turn it is, in place: each is drawn in a share of the epochs equal to its rate."""
    np.random.seed(seed + epoch)  # of this thread's generator in compiled code: numpy's own is untouched
    for edge in range(len(head)):
        if int((epoch + 1) * rate[edge]) == int(epoch * rate[edge]):
            continue
        i, j = head[edge], tail[edge]
        square = (y[i, 0] - y[j, 0]) ** 2 + (y[i, 1] - y[j, 1]) ** 2
        if square > 0:
            pull = -2 * A * B * square ** (B - 1) / (A * square**B + 1)
            for axis in range(2):
                move = step * min(4.0, max(-4.0, pull * (y[i, axis] - y[j, axis])))
                y[i, axis] += move
                y[j, axis] -= move
        for _ in range(REPULSIONS):
            j = np.random.randint(len(y))
            if j != i:
                square = (y[i, 0] - y[j, 0]) ** 2 + (y[i, 1] - y[j, 1]) ** 2
                push = 2 * B / ((0.001 + square) * (A * square**B + 1))
                for axis in range(2):
                    y[i, axis] += step * min(4.0, max(-4.0, push * (y[i, axis] - y[j, axis])))
