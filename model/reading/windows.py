"""Losses that are read in windows of one training length: those within it, and the matched control of a document."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from kernels.types import Scan
from model.arch.lm import LanguageModel
from model.reading.stream import control_border, control_losses, control_rows, fresh_losses
from model.state import State, expand_rows

WINDOWS = 32
"""Windows of one training length that give the loss within it."""


def window_losses(
    model: LanguageModel,
    tokens: np.ndarray,
    train_length: int,
    state: State,
    scans: Sequence[Scan],
    passed: Callable[[int], bool] = lambda tokens: False,
) -> np.ndarray | None:
    """Losses of :data:`WINDOWS` windows in ``tokens``, (windows, train_length) in nats, each from ``state`` of one row.

    They are spread over the document: its first training length alone would be one paragraph. Fewer where the document
    has no room for as many different ones. ``passed(tokens)`` takes the number of tokens that were read and returns
    whether to stop; then None.
    """
    room = len(tokens) - train_length - 1
    starts = np.unique(np.linspace(0, max(0, room), WINDOWS).round().astype(int))
    ids = torch.from_numpy(tokens.astype(np.int64))
    rows, losses = control_rows(train_length), []
    for first in range(0, len(starts), rows):
        span = torch.stack([ids[start : start + train_length + 1] for start in starts[first : first + rows]])
        losses.append(np.concatenate(fresh_losses(model, span, expand_rows(state, len(span)), scans), axis=1))
        if passed(span.numel()):
            return None
    return np.concatenate(losses)


def control_from(
    model: LanguageModel,
    tokens: np.ndarray,
    first: int,
    train_length: int,
    passed: Callable[[int], bool] = lambda tokens: False,
) -> np.ndarray | None:
    """The matched control of ``tokens`` from token ``first`` on, batch by batch; None if ``passed`` says to stop."""
    parts = []
    while first < len(tokens):
        last = min(control_border(first, train_length), len(tokens))
        parts.append(control_losses(model, tokens, first, last, train_length))
        if passed(2 * (last - first)):
            return None
        first = last
    return np.concatenate(parts)
