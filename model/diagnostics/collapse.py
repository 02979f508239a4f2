"""Does a long memory still help? Token by token, against a memory that is never longer than a training sequence.

Text differs in difficulty from place to place, so loss by position alone proves nothing. The control reads the same
tokens with a fresh memory of at most one training length; the difference

    excess_t = loss_t - control_loss_t                                     nats

is what the long memory costs at token t: below zero it helps, above zero forgetting everything would be better.
Beside it stands the published criterion of Stuffed Mamba (arXiv 2410.07145, section 4.2): loss at any position above
twice the largest loss within the training length.

Letters: T is the training length in tokens; t counts tokens from 0. A loss that is not finite counts as missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

BEYOND = 8
"""Training lengths after which a position is called far beyond the training length."""
MATERIAL = 0.05
"""Excess that matters, as a share of the control's loss; below it is noise or taste."""
BATCH = 64
"""Tokens of the shortest batch whose mean counts as one observation."""
MOST_BATCHES = 32
STUDENT_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042, 2.040,
)  # fmt: skip
"""97.5% quantiles for 1 to 31 degrees of freedom, so that the first chart does not wait for scipy."""
LEAST_BALANCE = 4
"""Training lengths that must cost, less those that do not, before there is an onset."""
STRETCH = 5
"""Training lengths over which a steep onset shows."""
PUBLISHED_LIMIT = 2.0


@dataclass(frozen=True)
class Interval:
    """A mean with its 95% interval, in nats, and how many tokens it is of."""

    mean: float
    low: float
    high: float
    tokens: int


@dataclass(frozen=True, eq=False)
class ExcessCurve:
    """Binned means, each array (bins,); ``position`` is a bin's centre in tokens, the others are nats.

    ``low`` and ``high`` bound ``excess`` with 95%. Without a control only ``loss`` has numbers. ``width`` is the
    number of tokens of every bin but the last, which holds what is left.
    """

    position: np.ndarray
    loss: np.ndarray
    control: np.ndarray
    excess: np.ndarray
    low: np.ndarray
    high: np.ndarray
    width: int


@dataclass(frozen=True)
class Published:
    """The published criterion: whether and from which token on it is met, and the largest loss beyond T over within."""

    collapsed: bool
    onset: int | None
    ratio: float


def tokens_needed(train_length: int, multiple: int = BEYOND) -> int:
    """Tokens from which on "far beyond the training length" can be judged: one training length of them."""
    return (multiple + 1) * train_length


def half_width(values: np.ndarray) -> np.ndarray:
    """Half of Student's 95% interval of the mean of ``values`` (two or more, ...), over the first axis."""
    count = len(values)
    return np.asarray(student_t(count - 1) * values.std(axis=0, ddof=1) / math.sqrt(count))


def student_t(degrees: int) -> float:
    """The 97.5% quantile of Student's t: from the table where it reaches, else from scipy."""
    if degrees <= len(STUDENT_T):
        return STUDENT_T[degrees - 1]
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def batch_interval(values: np.ndarray) -> Interval:
    """Mean of a span of autocorrelated ``values`` (tokens,) with its 95% interval; missing values are skipped.

    Neighbouring tokens share a topic, so treating them as independent would make the interval several times too
    narrow. The method of batch means (Schmeiser 1982, Operations Research 30:556) averages consecutive batches, which
    are nearly independent once they are longer than the correlation, and applies Student's t to them. A batch has at
    least 64 tokens, and there are at most 32, so in a long span a whole chapter is one observation. It was
    preferred to a block bootstrap, which needs a seed and is too narrow with the four batches of a single bin. In
    spans below 256 tokens the batches are shorter than 64, and the interval is a little too narrow.
    """
    values = values[np.isfinite(values)].astype(np.float64)
    if len(values) < 2:
        return Interval(float(values.mean()) if len(values) else math.nan, math.nan, math.nan, len(values))
    means = batch_means(values)
    mean = float(values.mean())
    half = float(half_width(means))
    return Interval(mean, mean - half, mean + half, len(values))


def batch_means(values: np.ndarray) -> np.ndarray:
    """Means of the consecutive batches of ``values`` (tokens,), none missing, that :func:`batch_interval` rests on."""
    count = min(len(values), max(4, min(MOST_BATCHES, len(values) // BATCH)))
    return np.array([batch.mean(dtype=np.float64) for batch in np.array_split(values, count)])


def excess_curve(
    loss: np.ndarray, control_loss: np.ndarray | None, train_length: int, points: int = 200
) -> ExcessCurve:
    """Loss, control and excess by position, in at most ``points`` bins of whole training lengths.

    ``loss`` and ``control_loss`` (token,) in nats. With a control, tokens that lack either are left out of all three
    curves, so that ``excess`` is exactly the difference of the other two.
    """
    width = train_length * max(1, math.ceil(len(loss) / (train_length * points)))
    starts = np.arange(0, len(loss), width)
    loss = loss.astype(np.float64)
    control = np.full_like(loss, np.nan) if control_loss is None else control_loss.astype(np.float64)
    difference = loss - control
    if control_loss is not None:
        missing = ~np.isfinite(difference)
        loss, control = np.where(missing, np.nan, loss), np.where(missing, np.nan, control)
    intervals = [batch_interval(difference[start : start + width]) for start in starts]
    return ExcessCurve(
        position=np.minimum(starts + width / 2, (starts + len(loss)) / 2),
        loss=_bin_means(loss, width),
        control=_bin_means(control, width),
        excess=np.array([interval.mean for interval in intervals]),
        low=np.array([interval.low for interval in intervals]),
        high=np.array([interval.high for interval in intervals]),
        width=width,
    )


def excess_beyond(
    loss: np.ndarray, control_loss: np.ndarray | None, train_length: int, multiple: int = BEYOND
) -> Interval | None:
    """Mean excess over all tokens from ``multiple`` training lengths on.

    None without a control, or if less than one training length was read there: it would be about one paragraph.
    """
    if control_loss is None or len(loss) < tokens_needed(train_length, multiple):
        return None
    start = multiple * train_length
    interval = batch_interval(loss[start:].astype(np.float64) - control_loss[start:])
    return interval if interval.tokens else None


def collapse_onset(loss: np.ndarray, control_loss: np.ndarray | None, train_length: int) -> int | None:
    """The first token from which on the long memory costs; None if there is none, or no control.

    Every bin of one training length votes: +1 if its mean excess is above 5% of the control's loss there, else -1. The
    onset is the start of the bin from which the votes add up to more than zero however far one reads on, and before
    which they do not: the minimum of their running sum, a change point as in Page 1954 (Biometrika 41:100). There is
    none unless, from there to the end of the document,

    1. the votes add up to at least four training lengths,
    2. the mean excess is above 5% of the control's loss,
    3. it is above zero with 95% confidence (:func:`batch_interval`).

    Noise may put a bin or two before a steep onset, so the start then moves past bins that cost less than half of the
    mean of the five from them on. Bins vote and are not added up, so a paragraph counts only for the bins that it
    touches, however hard it is, and a chapter after which memory recovers is outvoted by what follows. The price: an
    onset in the last four training lengths is not seen yet.
    """
    if control_loss is None:
        return None
    excess = loss.astype(np.float64) - control_loss
    control = np.where(np.isfinite(excess), control_loss, np.nan)
    whole = len(loss) // train_length * train_length
    binned = _bin_means(excess[:whole], train_length)
    share = binned / _bin_means(control[:whole], train_length)
    votes = np.where(np.isnan(share), 0, np.where(share > MATERIAL, 1, -1))
    balance = np.concatenate([[0], np.cumsum(votes)])
    first = len(votes) - int(np.argmin(balance[::-1]))  # of equal minima the last, which claims least
    if balance[-1] - balance[first] < LEAST_BALANCE:
        return None
    while first + STRETCH <= len(binned) and binned[first] < np.mean(binned[first : first + STRETCH]) / 2:
        first += 1
    start = first * train_length
    rest = batch_interval(excess[start:])
    return start if rest.low > 0 and rest.mean > MATERIAL * np.nanmean(control[start:]) else None


def published_criterion(loss: np.ndarray, train_length: int) -> Published | None:
    """Whether loss beyond T exceeds twice the largest loss within T; None if nothing beyond T was read.

    The paper averages 128 prompts at every position. Here there is one document, so losses are averaged over 64
    consecutive tokens instead, which is a weaker remedy: a hard paragraph still counts, and the longer a document is,
    the larger its largest loss, collapse or not. So this says less than the excess and is shown beside it.
    """
    width = min(BATCH, train_length)
    within = _bin_means(loss[: train_length // width * width], width)
    beyond = _bin_means(loss[train_length : len(loss) - (len(loss) - train_length) % width], width)
    if not np.isfinite(within).any() or not np.isfinite(beyond).any():
        return None
    largest = float(np.nanmax(within))
    above = np.flatnonzero(beyond > PUBLISHED_LIMIT * largest)
    return Published(
        collapsed=len(above) > 0,
        onset=train_length + int(above[0]) * width if len(above) else None,
        ratio=float(np.nanmax(beyond)) / largest if largest > 0 else math.inf,
    )


def excess_removed(excess: float | None, base_excess: float | None, base_beyond: float | None) -> float | None:
    """Share of a plain reading's excess loss that a mitigated one lacks; None if the plain one's is negligible.

    ``base_beyond`` is the plain loss beyond 8 training lengths, all in nats per token.
    """
    if excess is None or base_excess is None or base_beyond is None:
        return None
    worth = base_excess > MATERIAL * (base_beyond - base_excess)
    return 1 - excess / base_excess if worth else None


def _bin_means(values: np.ndarray, width: int) -> np.ndarray:
    """Means of consecutive ``width`` values, the last of what is left; missing values skipped, NaN if all are."""
    if not len(values):
        return np.empty(0)
    present = np.isfinite(values)
    starts = np.arange(0, len(values), width)
    counts = np.add.reduceat(present.astype(np.int64), starts)
    sums = np.add.reduceat(np.where(present, values, 0).astype(np.float64), starts)
    return np.divide(sums, counts, out=np.full(len(starts), np.nan), where=counts > 0)
