"""What two passkey results say about each other, and how far each of them recalls: with intervals.

    d = p2 - p1        low  = d - sqrt((p2 - l2)^2 + (u1 - p1)^2)
                       high = d + sqrt((u2 - p2)^2 + (p1 - l1)^2)

with [l, u] the Wilson intervals of both accuracies (Newcombe 1998, Statistics in Medicine 17: 873-890, method 10). The
formula takes the two for independent. Strategies of one task answer the same prompts, so the interval is rather too
wide than too narrow.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from model.studies.passkey.result import RECALLED, Cell, PasskeyResult

DRAWS = 4000


class Difference(NamedTuple):
    """Accuracy of a second reader less that of a first one, with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def difference(first: Cell, second: Cell) -> Difference:
    """By how much ``second`` is right more often than ``first``."""
    mean = second.accuracy - first.accuracy
    (low1, high1), (low2, high2) = first.interval, second.interval
    below = math.hypot(second.accuracy - low2, high1 - first.accuracy)
    above = math.hypot(high2 - second.accuracy, first.accuracy - low1)
    return Difference(mean, mean - below, mean + above)


def differences(first: PasskeyResult, second: PasskeyResult) -> dict[tuple[int, float], Difference]:
    """The difference in every cell that both have run."""
    both = [cell for cell in first.cells if cell in second.cells]
    return {cell: difference(first.cells[cell], second.cells[cell]) for cell in both}


def on_common_grid(first: PasskeyResult, second: PasskeyResult) -> tuple[PasskeyResult, PasskeyResult] | None:
    """Both results with only the lengths and depths that both tasks have; None if there are none."""
    lengths = tuple(length for length in first.lengths if length in second.task.lengths)
    depths = tuple(depth for depth in first.task.depths if depth in second.task.depths)
    if not lengths or not depths:
        return None
    return _only(first, lengths, depths), _only(second, lengths, depths)


def _only(result: PasskeyResult, lengths: tuple[int, ...], depths: tuple[float, ...]) -> PasskeyResult:
    cells = {cell: found for cell, found in result.cells.items() if cell[0] in lengths and cell[1] in depths}
    return replace(result, task=replace(result.task, lengths=lengths, depths=depths), cells=cells)


def recall_draws(result: PasskeyResult) -> np.ndarray:
    """Draws of T_recall in tokens, (DRAWS,) int64; 0 where no length is recalled. Of a result with whole lengths.

    The accuracy of every length is drawn from its posterior under Jeffreys' prior, Beta(right + 1/2, wrong + 1/2).
    """
    found = np.zeros(DRAWS, np.int64)
    for length, cell in result.by_length().items():
        random = np.random.default_rng((length, cell.correct, cell.trials))
        drawn = random.beta(cell.correct + 0.5, cell.trials - cell.correct + 0.5, DRAWS)
        found[drawn > RECALLED] = length
    return found


def recall_interval(result: PasskeyResult) -> tuple[int, int] | None:
    """The lengths between which T_recall is with 95 % probability; 0 for none, None if no length is whole.

    It is widened to hold the T_recall that was found.
    """
    if not result.by_length():
        return None
    low, high = np.quantile(recall_draws(result), [0.025, 0.975], method="nearest").tolist()
    found = result.t_recall or 0
    return min(low, found), max(high, found)
