"""The nearest points in state space, exactly: blocked matrix products, no index, no compiler.

    |q - p|^2 = |q|^2 + |p|^2 - 2 q.p

finds the candidates in float32; their distances are then taken from the differences, because the formula cancels
when two points are close and far from the origin.
"""

from __future__ import annotations

import math

import numpy as np

_ENTRIES = 4_000_000
"""Distances held at once: 16 MB."""


def as_points(sketch: np.ndarray) -> np.ndarray:
    """``sketch`` (n, ...) as float32 points (n, d); also where n is 0."""
    return np.ascontiguousarray(sketch.reshape(len(sketch), math.prod(sketch.shape[1:])), dtype=np.float32)


def nearest(
    points: np.ndarray,
    queries: np.ndarray,
    count: int,
    *,
    point_group: np.ndarray | None = None,
    query_group: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices of the ``count`` nearest ``points`` (n, d) of each of ``queries`` (m, d), both (m, count).

    Nearest first. With groups, (n,) and (m,), points of the query's own group do not count; where fewer than
    ``count`` are left, distances are infinite. Fewer than ``count`` points give fewer columns.
    """
    count = min(count, len(points))
    distances = np.full((len(queries), count), np.inf, np.float32)
    indices = np.zeros((len(queries), count), np.int32)
    if not count:
        return distances, indices
    centre = points.mean(axis=0)
    points, queries = points - centre, queries - centre
    squares = np.einsum("nd,nd->n", points, points)
    rows = max(1, _ENTRIES // len(points))
    for start in range(0, len(queries), rows):
        block = queries[start : start + rows]
        coarse = squares - 2 * (block @ points.T)  # the query's own square is the same for all its candidates
        own = np.zeros(coarse.shape, bool)
        if point_group is not None and query_group is not None:
            own = query_group[start : start + rows, None] == point_group
            coarse[own] = np.inf
        found = np.argpartition(coarse, count - 1, axis=1)[:, :count]
        exact = np.stack([np.linalg.norm(block - points[column], axis=1) for column in found.T], axis=1)
        exact[np.take_along_axis(own, found, axis=1)] = np.inf
        order = np.argsort(exact, axis=1, kind="stable")
        distances[start : start + rows] = np.take_along_axis(exact, order, axis=1)
        indices[start : start + rows] = np.take_along_axis(found, order, axis=1)
    return distances, indices
