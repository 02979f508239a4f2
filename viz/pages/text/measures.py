"""What the text can be coloured by: a number for every token, from a recording."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from model.diagnostics.explored import Explored, novelty
from model.diagnostics.token_table import stretched
from model.recording.reader import Recording
from model.recording.schema import CONTROL_LOSS, DECAY, LOSS, NORM, POSITION, SNAPSHOT_POSITION

EXCESS, NOVELTY, REMEMBERED = "excess", "novelty", "remembered"
GRAINS = ("token", "line", "paragraph")
PERCENT = 100.0
FULLEST = 0.98
"""Share of the values that the colours tell apart; those beyond have the fullest colour."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measure:
    """A number for every token, NaN where there is none; ``base`` is the one that means nothing special."""

    name: str
    values: np.ndarray
    base: float
    digits: int

    def limits(self) -> tuple[float, float]:
        """The values with the fullest colours, below and above the base; the base itself where there are none."""
        known = self.values[np.isfinite(self.values)] - self.base
        if not len(known):
            return self.base, self.base
        below, above = -known[known < 0], known[known > 0]
        ends = [float(np.quantile(part, FULLEST)) if len(part) else 0.0 for part in (below, above)]
        if self.name == EXCESS:
            ends = [max(ends)] * 2  # a nat gained has the strength of a nat lost
        return self.base - ends[0], self.base + ends[1]


def names(recording: Recording, explored: Explored | None) -> list[str]:
    """The measures that ``recording`` holds, the most telling first."""
    found = [EXCESS] if recording.has(CONTROL_LOSS) else []
    found.append(LOSS)
    if explored is not None and len(recording.array(SNAPSHOT_POSITION)):
        found.append(NOVELTY)
    fading = [DECAY] if np.isfinite(recording.array(DECAY)).any() else []  # of a cache or an RNN nothing fades
    return [*found, NORM, *fading, REMEMBERED]


def measure(recording: Recording, name: str, explored: Explored | None, layer: int | None, head: int | None) -> Measure:
    """The measure ``name`` of every token; of one ``layer`` and ``head``, or the mean over all, where it has them."""
    tokens = recording.read_tokens
    if name == LOSS:
        return Measure(name=name, values=recording.array(LOSS)[:tokens].astype(np.float32), base=0.0, digits=2)
    if name == EXCESS:
        values = recording.array(LOSS)[:tokens] - recording.array(CONTROL_LOSS)[:tokens]
        return Measure(name=name, values=values.astype(np.float32), base=0.0, digits=2)
    if name == NOVELTY:
        assert explored is not None
        found = novelty(explored, recording.array("sketch"), layer=layer)
        values = stretched(found, recording.array(SNAPSHOT_POSITION), tokens)
        return Measure(name=name, values=values, base=1.0, digits=2)
    position, values = recording.array(POSITION), recording.array(name)
    chosen = values if layer is None else values[:, layer : layer + 1]
    chosen = chosen if layer is None or head is None else chosen[:, :, head : head + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        if name == NORM:
            at_training_length = chosen[int(np.searchsorted(position, min(recording.train_length, position[-1])))]
            chosen = chosen / np.where(at_training_length > 0, at_training_length, np.nan)
        known = np.isfinite(chosen)
        mean = np.where(known, chosen, 0).sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1)
    mean[~known.any(axis=(1, 2))] = np.nan
    base = 1.0 if name == NORM else float(np.nanmedian(mean))
    return Measure(name=name, values=stretched(mean, position, tokens), base=base, digits=2 if name == NORM else 4)


def remembered(shares: np.ndarray, tokens: int) -> Measure:
    """Shares of the state, (moment,), as percentages of every token; none for tokens after the moment."""
    values = np.full(tokens, np.nan, np.float32)
    values[: len(shares)] = PERCENT * shares
    return Measure(name=REMEMBERED, values=values, base=0.0, digits=3)


def passages(text: str, starts: np.ndarray, grain: str) -> np.ndarray:
    """The number of the line or paragraph of every token, (n,), from where each begins in ``text``."""
    if grain == "token":
        return np.arange(len(starts))
    ends = [match.end() for match in re.finditer(r"\n" if grain == "line" else r"\n[^\S\n]*\n\s*", text)]
    return np.searchsorted(np.array(ends, np.int64), starts, side="right")


def by_group(found: Measure, group: np.ndarray) -> Measure:
    """A value for every group instead of every token: the sum of shares, the mean of everything else.

    ``group`` is the number of each value's group, from 0 and rising. NaN for a group without a value.
    """
    known = np.isfinite(found.values)
    count = int(group[-1]) + 1 if len(group) else 0
    number = np.bincount(group[known], minlength=count)
    total: np.ndarray = np.bincount(group[known], found.values[known], minlength=count)
    value = total if found.name == REMEMBERED else total / np.maximum(number, 1)
    return replace(found, values=np.where(number > 0, value, np.nan).astype(np.float32))
