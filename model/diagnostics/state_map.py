"""A picture of where a document's states lie among the explored ones: PCA, or UMAP after it.

UMAP (McInnes, Healy & Melville 2018, arXiv 1802.03426) is fitted on both kinds of states together. Placing new points
on a finished map would hide what matters, since it puts them between their nearest known ones however far away they
are. Even so its distances and areas mean little: PCA is shown beside it, and colour comes from
:func:`model.diagnostics.explored.novelty`, which is taken in state space.

Every map is made from at most 50 principal components of the standardised states, so that no feature counts for more
than another and noise counts for less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.diagnostics.neighbours import nearest
from model.diagnostics.umap_layout import layout, neighbour_graph, warm_up

__all__ = ["PCA", "UMAP", "StateMap", "coverage", "project", "warm_up"]

COMPONENTS = 50
FEWEST_FOR_UMAP = 20

PCA, UMAP = "pca", "umap"
TOO_FEW, NO_VARIATION = "too_few", "no_variation"


@dataclass(frozen=True, eq=False)
class StateMap:
    """Coordinates of explored (n, 2) and document (m, 2) states, float32 and always finite.

    ``method`` is what was used, ``"pca"`` or ``"umap"``; if that is not what was asked for, ``reason`` says why
    (``"too_few"`` states, ``"no_variation"`` among them), else it is empty. ``explained``: share of the variance along
    the two axes, for PCA only. ``kept``: share of the variance in the components that the map was made from.
    ``repaired``: values that were not finite and were replaced by the mean.
    """

    explored_xy: np.ndarray
    document_xy: np.ndarray
    method: str
    reason: str
    explained: tuple[float, float] | None
    kept: float
    repaired: int


def project(
    explored_sketch: np.ndarray,
    document_sketch: np.ndarray,
    method: str = PCA,
    *,
    progress: Callable[[float], None] = lambda fraction: None,
    stop: Callable[[], bool] = lambda: False,
    seed: int = 0,
) -> StateMap | None:
    """The map of ``explored_sketch`` (n, ...) and ``document_sketch`` (m, ...); trailing dimensions are joined.

    ``progress`` gets fractions from 0 to 1. ``stop`` is asked between the steps; if it says yes the result is None.
    The same ``seed`` and states give the same map on the same machine.
    """
    explored, document = (sketch.reshape(len(sketch), -1) for sketch in (explored_sketch, document_sketch))
    values, repaired = _standardised(np.concatenate([explored, document]))
    progress(0.1)
    if stop():
        return None
    components, shares = _components(values, seed)
    progress(0.3)
    reason = ""
    if method == UMAP:
        reason = TOO_FEW if len(values) < FEWEST_FOR_UMAP else "" if shares.any() else NO_VARIATION
    used = PCA if reason else method
    coordinates = components[:, :2]
    if used == UMAP:
        if stop():
            return None
        graph = neighbour_graph(components)
        progress(0.5)
        if stop():
            return None
        coordinates = layout(components, graph, seed)
        if stop():
            return None
    progress(1.0)
    return StateMap(
        explored_xy=coordinates[: len(explored)],
        document_xy=coordinates[len(explored) :],
        method=used,
        reason=reason,
        explained=(float(shares[0]), float(shares[1])) if used == PCA else None,
        kept=float(shares[:2].sum() if used == PCA else shares.sum()),
        repaired=repaired,
    )


def coverage(explored_sketch: np.ndarray, document_sketch: np.ndarray, distance: float) -> float | None:
    """Share of explored states that have a state of the document within ``distance``; None if either is empty.

    Trailing dimensions are joined. :func:`model.diagnostics.explored.threshold` gives a distance that means something.
    """
    explored, document = (
        np.ascontiguousarray(sketch.reshape(len(sketch), -1), np.float32)
        for sketch in (explored_sketch, document_sketch)
    )
    document = document[np.isfinite(document).all(axis=1)]
    if not len(explored) or not len(document):
        return None
    distances, _ = nearest(document, explored, 1)
    return float((distances[:, 0] <= distance).mean())


def _standardised(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Columns with mean 0 and deviation 1 (0 if constant), missing values at the mean, and how many were missing."""
    missing = ~np.isfinite(values)
    values = np.where(missing, np.nan, values.astype(np.float64))
    counts = np.maximum((~missing).sum(axis=0), 1)
    mean = np.nansum(values, axis=0) / counts
    values = np.where(missing, 0.0, values - mean)
    spread = np.sqrt((values**2).sum(axis=0) / counts)
    varies = spread > 1e-6 * np.abs(mean)
    return np.where(varies, values / np.where(varies, spread, 1.0), 0.0).astype(np.float32), int(missing.sum())


def _components(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Principal components (n, 2 to 50) of ``values`` (n, d), and the share of the variance along each."""
    count = min(COMPONENTS, *values.shape)
    padded, shares = np.zeros((len(values), max(2, count)), np.float32), np.zeros(max(2, count))
    if values.any() and len(values) > 1:
        from sklearn import decomposition

        pca = decomposition.PCA(count, random_state=seed)
        padded[:, :count] = pca.fit_transform(values)
        shares[:count] = pca.explained_variance_ratio_
    return padded, shares
