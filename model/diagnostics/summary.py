"""The key figures of a recording, and the one sentence that they come to.

    loss_within           mean loss of the first training length                                nats per token
    loss_beyond           mean loss from 8 training lengths on
    control_loss_beyond   the same tokens read with a fresh memory of at most one training length
    excess_loss           mean of their difference, with its 95% interval excess_low to excess_high
    excess_ratio          loss_beyond / control_loss_beyond
    collapse_onset        first token from which the long memory costs (:func:`.collapse.collapse_onset`)
    published_*           the criterion of Stuffed Mamba (:func:`.collapse.published_criterion`)
    unexplored_fraction   share of the document whose states training never reached
    norm_growth           mean state norm from 8 training lengths on, over that at the training length
    longest_half_life     tokens, of the head that forgets slowest

A figure that cannot be had is None, never NaN: the document is too short, there is no control, nothing fades.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from model.diagnostics.collapse import (
    BEYOND,
    MATERIAL,
    collapse_onset,
    excess_beyond,
    published_criterion,
    tokens_needed,
)
from model.diagnostics.explored import Explored, novelty, unexplored_fraction
from model.diagnostics.memory import half_lives, mean_norm_growth
from model.recording.reader import Recording


def summarise(
    recording: Recording, explored: Explored | None, *, tokens_per_second: float, peak_rss_mb: float | None
) -> dict[str, Any]:
    """The key figures of ``recording``: numbers, booleans and None, ready for JSON.

    ``explored`` is the model's sample of explored states, if it has one. ``tokens_per_second`` and ``peak_rss_mb``
    were measured while the document was read.
    """
    train_length, tokens = recording.train_length, recording.read_tokens
    far = BEYOND * train_length
    loss = recording.array("loss")
    control = recording.array("control_loss") if recording.has("control_loss") else None
    long_enough = tokens >= tokens_needed(train_length)
    loss_beyond = _mean(loss[far:]) if long_enough else None
    control_beyond = _mean(control[far:]) if long_enough and control is not None else None
    excess = excess_beyond(loss, control, train_length)
    published = published_criterion(loss, train_length)
    position = recording.array("position")
    lives = half_lives(recording.array("log_decay"), position)
    lives = lives[~np.isnan(lives)]  # a head of a cell may have no gate that keeps a share of its state
    growth = mean_norm_growth(recording.array("norm"), position, train_length) if long_enough else None
    figures: dict[str, Any] = {
        "tokens": tokens,
        "tokens_per_second": float(tokens_per_second),
        "peak_rss_mb": None if peak_rss_mb is None else float(peak_rss_mb),
        "train_length": train_length,
        "loss_within": _mean(loss[:train_length]),
        "loss_beyond": loss_beyond,
        "control_loss_beyond": control_beyond,
        "excess_loss": excess.mean if excess else None,
        "excess_low": excess.low if excess else None,
        "excess_high": excess.high if excess else None,
        "excess_ratio": loss_beyond / control_beyond if loss_beyond and control_beyond else None,
        "collapse_onset": collapse_onset(loss, control, train_length),
        "published_collapsed": published.collapsed if published else None,
        "published_onset": published.onset if published else None,
        "published_ratio": published.ratio if published else None,
        "unexplored_fraction": _unexplored(recording, explored) if explored else None,
        "norm_growth": growth,
        "longest_half_life": float(lives.max()) if lives.size else None,
    }
    return {name: _finite(value) for name, value in figures.items()}


def verdict(summary: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The message key of the sentence that ``summary`` comes to, and the values to fill it with.

    An excess counts as none if its whole interval stays below 5% of the control's loss, and as a cost if its whole
    interval is above zero; else it is unclear. The published criterion adds whether a cost is a collapse by it, too.
    """
    tokens, train_length = summary["tokens"], summary["train_length"]
    values: dict[str, Any] = {
        "tokens": tokens,
        "train_length": train_length,
        "beyond": BEYOND * train_length,
        "needed": tokens_needed(train_length),
        "ratio": summary["published_ratio"],
    }
    if tokens < values["needed"]:
        return "verdict.too_short", values
    if summary["loss_beyond"] is None or summary["published_ratio"] is None:
        return "verdict.broken", values
    reached = summary["published_collapsed"]
    control, low, high = summary["control_loss_beyond"], summary["excess_low"], summary["excess_high"]
    if not control or low is None or high is None:
        return ("verdict.no_control_reached" if reached else "verdict.no_control"), values
    values |= {
        "percent": 100 * summary["excess_loss"] / control,
        "low_percent": 100 * low / control,
        "high_percent": 100 * high / control,
    }
    if high <= MATERIAL * control:
        return ("verdict.holds_hard_text" if reached else "verdict.holds"), values
    if low <= 0:
        return "verdict.unclear", values
    case = "verdict.collapses" if reached else "verdict.costs"
    if summary["collapse_onset"] is None:
        return f"{case}_somewhere", values
    return case, values | {"onset": summary["collapse_onset"] + 1}  # people count from 1


def _unexplored(recording: Recording, explored: Explored) -> float | None:
    """The share of ``recording`` that is unexplored; None without snapshots."""
    sketch = recording.array("sketch")
    if not len(sketch):
        return None
    return unexplored_fraction(novelty(explored, sketch), recording.array("snapshot_position"), recording.read_tokens)


def _mean(values: np.ndarray) -> float | None:
    """Mean of what is finite; None if nothing is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean(dtype=np.float64)) if len(finite) else None


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
