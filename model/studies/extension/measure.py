"""The loss of a document by evaluation length: the same tokens, read in ever longer windows from the zero state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from model.arch.lm import LanguageModel
from model.reading.stream import fresh_losses
from model.studies.extension.curve import lengths_in

ROWS_TOKENS = 16_384
"""Tokens of windows that are read side by side, about."""


def extension_losses(
    model: LanguageModel,
    tokens: np.ndarray,
    train_length: int,
    passed: Callable[[int], bool] = lambda tokens: False,
) -> tuple[float, ...] | None:
    """L(T') of ``tokens`` (n_tokens,) at each of :func:`lengths_in`, in nats per token.

    Every length scores the same tokens: those of the longest window but the first and what does not fill it. The first
    token of a window is scored by the window before it, whatever the length, so that none is predicted from nothing.
    ``passed(tokens)`` takes the number of tokens that were read and returns whether to stop; then None.
    """
    multiples = lengths_in(len(tokens), train_length)
    if not multiples:
        return ()
    whole = multiples[-1] * train_length
    ids = torch.zeros(whole + 1, dtype=torch.int64)
    here = tokens[: whole + 1].astype(np.int64)
    ids[: len(here)] = torch.from_numpy(here)
    scored = len(here) - 1
    found = []
    for multiple in multiples:
        length = multiple * train_length
        spans = ids.unfold(0, length + 1, length)  # (windows, length + 1): two neighbours share a token
        rows, losses = max(1, ROWS_TOKENS // length), []
        for first in range(0, len(spans), rows):
            part = spans[first : first + rows]
            losses.append(np.concatenate(fresh_losses(model, part), axis=1))
            if passed(part.shape[0] * length):
                return None
        found.append(float(np.concatenate(losses).reshape(-1)[:scored].mean(dtype=np.float64)))
    return tuple(found)
