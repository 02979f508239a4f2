"""Continuing from copied states: what forked prompts stand on, for any model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from kernels.types import Scan
from model.arch.lm import LanguageModel
from model.reading.stream import SEGMENT
from model.state import State, map_state
from model.studies.passkey.answer import said

WORK = 1 << 21
"""Tokens times channels of all layers that are read at once, over all rows: measured fastest on CPUs."""

ScansOver = Callable[..., list[Scan]]
"""``scans_over(kernel)``: the mitigated scan of every layer over ``kernel``, by default that of the device."""


class Continuation:
    """Any model, continuing from copied states through its public ``hidden`` alone."""

    reach = 0
    """Tokens after which rows that read the same tokens are alike: there is nothing to share here."""

    def __init__(self, model: LanguageModel, scans_over: ScansOver) -> None:
        self.model, self.scans = model, scans_over()
        self._channels = len(model.config.layers) * model.config.d_inner

    def ids(self, *rows: np.ndarray) -> Tensor:
        """Token ids (rows, n) on the model's device."""
        return torch.from_numpy(np.stack(rows)).to(self.model.embedding.weight.device)

    def on(
        self, state: State, ids: Tensor, tick: Callable[[int], None], rows: int = 1, place: int | None = None
    ) -> State:
        """The state of ``rows`` rows after ``ids``, of one row that all of them read, or of a row each.

        ``tick(tokens read)`` is called after every segment. ``place`` says where in the filler of all trials ``ids``
        begin, so that what is read there can be shared.
        """
        rows, count = max(rows, len(ids)), ids.shape[1]
        state, ids = each(state, rows), ids.expand(rows, -1)
        size = min(SEGMENT, max(16, WORK // (self._channels * rows)))
        for first in range(0, count, size):
            _, state = self.model.hidden(ids[:, first : first + size], state, self.scans)
            tick(rows * min(first + size, count))
        return state

    def said(self, state: State, ids: Tensor, scored: np.ndarray) -> np.ndarray:
        """What a copy of ``state`` says at ``scored``, places in ``ids`` (rows, n): (rows, 2, digits)."""
        hidden, _ = self.model.hidden(ids[:, :-1], each(state, len(ids)), self.scans)
        return said(self.model, hidden[:, scored - 1], ids[:, scored])

    def alike(self, state: State) -> State:
        """``state`` of rows that have read the same ``reach`` tokens."""
        return state


def each(state: State, rows: int) -> State:
    """``state`` with a row of its own for each of ``rows``, in every tensor that had one for all of them."""
    return map_state(state, lambda tensor: tensor if len(tensor) == rows else tensor.expand(rows, *tensor.shape[1:]))
