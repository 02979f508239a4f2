"""A picture of where a document's states lie among the explored ones: PCA, or UMAP after it.

UMAP (McInnes, Healy & Melville 2018, arXiv 1802.03426) is fitted to both kinds of states together. Placing new points
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

from model.diagnostics.neighbours import as_points, nearest
from model.diagnostics.umap_layout import layout

COMPONENTS = 50
FEWEST_FOR_UMAP = 20
MOST_EXACT, SUBSPACE_ITERATIONS = 1024, 6

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

    ``progress`` gets fractions from 0 to 1. ``stop`` is asked between steps; if it says yes the result is
    None. The same ``seed`` and states give the same map on the same machine.
    """
    explored, document = as_points(explored_sketch), as_points(document_sketch)
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
    coordinates: np.ndarray | None = components[:, :2]
    if used == UMAP:
        coordinates = layout(components, seed, progress=lambda part: progress(0.4 + 0.6 * part), stop=stop)
    if coordinates is None:
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
    explored, document = as_points(explored_sketch), as_points(document_sketch)
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
    """Principal components (n, 2 to 50) of standardised ``values`` (n, d), and the share of the variance along each.

    Exact up to 1,024 features; above, by subspace iteration from a random start (Halko, Martinsson & Tropp 2011,
    SIAM Review 53:217), which takes a fraction of the time.
    """
    features = values.shape[1]
    count = min(COMPONENTS, *values.shape)
    padded, shares = np.zeros((len(values), max(2, count)), np.float32), np.zeros(max(2, count))
    if not values.any():
        return padded, shares
    if features <= MOST_EXACT:
        axes = np.linalg.eigh(values.T @ values)[1][:, ::-1]
    else:
        basis = np.random.default_rng(seed).standard_normal((features, count + 10)).astype(np.float32)
        for _ in range(SUBSPACE_ITERATIONS):
            basis = np.linalg.qr(values.T @ (values @ basis))[0]
        axes = basis @ np.linalg.svd(values @ basis, full_matrices=False)[2].T
    axes = axes[:, :count]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(count)])  # an axis has no sign: fix one
    padded[:, :count] = values @ axes
    shares[:count] = (padded[:, :count].astype(np.float64) ** 2).sum(axis=0) / (values.astype(np.float64) ** 2).sum()
    return padded, shares
