"""How long a head remembers, and how much its state has grown, from what was recorded at the chunk boundaries.

What is written at token s and not read over fades as exp(sum of log a_t for t = s+1 ... now). With a constant decay

    half-life = ln 2 / -mean(log a_t)                                       tokens

Stuffed Mamba (arXiv 2410.07145, section 3.3) finds heads that still keep 99.7% of the first token at the training
length, and those are the heads whose states explode. Families with one decay per channel are recorded as the mean
over their channels, so their half-life is that of the geometric mean.

``position`` (boundary,) counts the tokens read; ``log_decay`` and ``norm`` (boundary, layer, head). The first row is
the state before the first token: no chunk ends there, and its decay is ignored.
"""

from __future__ import annotations

import math

import numpy as np

from model.diagnostics.collapse import BEYOND


def half_lives(log_decay: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Half-life in tokens per head, (layer, head); infinite where nothing fades, NaN where nothing was recorded."""
    values = log_decay[1:].astype(np.float64)
    present = np.isfinite(values)
    weights = np.where(present, np.diff(position)[:, None, None], 0)  # the last chunk may be shorter
    total = np.where(present, values * weights, 0.0).sum(axis=0)
    tokens = weights.sum(axis=0)
    faded = total < 0
    lives = np.where(tokens > 0, np.inf, np.nan)
    lives[faded] = math.log(2) * tokens[faded] / -total[faded]
    return lives


def norm_growth(norm: np.ndarray, position: np.ndarray, train_length: int, multiple: int = BEYOND) -> np.ndarray:
    """Mean state norm from ``multiple`` training lengths on, over that at the training length, (layer, head).

    "At the training length" is the mean of the boundaries in its last quarter, since one boundary is one sentence.
    If nothing was read that far, the later half of whatever is beyond the training length stands for it; if nothing
    does, the growth is NaN.
    """
    at = (position > 0.75 * train_length) & (position <= train_length)
    if not at.any() and position[-1] >= train_length:
        at = position == position[np.searchsorted(position, train_length)]
    beyond = position >= multiple * train_length
    if not beyond.any():
        beyond = position > max(train_length, (train_length + position[-1]) / 2)
    if not at.any() or not beyond.any():
        return np.full(norm.shape[1:], np.nan)
    before = norm[at].mean(axis=0, dtype=np.float64)
    after = norm[beyond].mean(axis=0, dtype=np.float64)
    return np.divide(after, before, out=np.full(before.shape, np.nan), where=before > 0)


def mean_norm_growth(norm: np.ndarray, position: np.ndarray, train_length: int, multiple: int = BEYOND) -> float:
    """:func:`norm_growth` of the mean norm of all heads: one number for the whole memory."""
    return float(norm_growth(norm.mean(axis=(1, 2), keepdims=True), position, train_length, multiple)[0, 0])
