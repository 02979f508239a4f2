"""The curve of an extension: the loss by evaluation length, and how far it is from monotone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
"""Evaluation lengths in training lengths."""


def lengths_in(tokens: int, train_length: int) -> tuple[int, ...]:
    """The evaluation lengths, in training lengths, that a document of ``tokens`` tokens has room for."""
    return tuple(multiple for multiple in MULTIPLES if multiple * train_length <= tokens)


def rise(losses: Sequence[float]) -> float:
    """The largest rise of ``losses`` (lengths,) from any length to any longer one, in nats; 0 if they never rise.

    Infinite where a loss is not finite: not even a weak extension.
    """
    values = np.array(losses, np.float64)
    if not np.isfinite(values).all():
        return float("inf")
    return float((values - np.minimum.accumulate(values)).max())


def is_monotone(losses: Sequence[float]) -> bool:
    """Whether ``losses`` (lengths,) never rise with the length."""
    return rise(losses) == 0
