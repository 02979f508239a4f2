"""UMAP in two dimensions by umap-learn, with what makes it quick for some thousand points.

McInnes, Healy & Melville 2018 (arXiv 1802.03426). Its own search for neighbours compiles for longer than all the rest
takes, so exact neighbours are handed in; the layout starts from the principal components, which saves the spectral
start and half of the epochs. One thread and a seed make it repeatable.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from model.diagnostics.neighbours import nearest

NEIGHBOURS = 15
EPOCHS = 100
START = 10.0
"""Half the width of the start, in the layout's own units."""


def layout(
    points: np.ndarray,
    seed: int,
    progress: Callable[[float], None] = lambda part: None,
    stop: Callable[[], bool] = lambda: False,
) -> np.ndarray | None:
    """Coordinates (n, 2) float32 of principal components ``points`` (n, d); None if ``stop`` said so.

    umap-learn cannot be interrupted, so ``stop`` is asked before it starts and when it is done.
    """
    import umap  # imports and compiles for seconds

    progress(0.2)
    count = min(NEIGHBOURS, len(points) - 1)
    distances, indices = nearest(points, points, count)
    progress(0.4)
    if stop():
        return None
    start = points[:, :2] * (START / max(float(np.abs(points[:, :2]).max()), 1e-12))
    start += np.random.default_rng(seed).normal(scale=1e-4, size=start.shape)  # umap-learn divides by each axis's span
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed means one thread, and neighbours without an index no transform
        mapped = umap.UMAP(
            n_neighbors=count,
            n_epochs=EPOCHS,
            init=np.ascontiguousarray(start, dtype=np.float32),
            precomputed_knn=(indices, distances),
            random_state=seed,
            n_jobs=1,
        ).fit_transform(points)
    return None if stop() else np.ascontiguousarray(mapped, dtype=np.float32)
