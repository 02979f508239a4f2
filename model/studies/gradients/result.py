"""Norms of the gradient by how far back it went, and what they are called. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

VANISHED = 1e-3
"""A norm below this share of its value at the shortest lag counts as vanished."""
EXPLODED = 1e3
"""A norm above so many times its value at the shortest lag counts as exploded."""
GROWN = 10.0
"""A fitted rate above 1 counts as exploding if it makes the norm so many times larger over the lags that were
measured: a flat norm has a rate of 1, give or take the noise of the texts."""
HEALTHY, VANISHING, EXPLODING = VERDICTS = ("healthy", "vanishing", "exploding")


@dataclass(frozen=True, kw_only=True)
class GradientReach:
    """The norm of d loss_t / d state_{t-k} at each of ``lags`` (k, in tokens, ascending).

    ``norms`` are in nats per unit of state, means over sequences and positions; ``layers`` has the same of every
    layer's own state, (layers, lags). ``train_length`` is the model's: the verdict is about the lags within it.
    """

    lags: tuple[int, ...]
    norms: tuple[float, ...]
    layers: tuple[tuple[float, ...], ...] = ()
    train_length: int

    @property
    def relative(self) -> tuple[float, ...]:
        """``norms`` over the one at the shortest lag, (lags,)."""
        return relative(self.norms)

    @property
    def rate(self) -> float:
        """The factor per token, from the least-squares line through log norm against lag within the training length.

        NaN with fewer than two lags whose norm is above zero.
        """
        lags, norms = self._within()
        known = norms > 0
        if known.sum() < 2:
            return math.nan
        return float(np.exp(np.polyfit(lags[known], np.log(norms[known]), 1)[0]))

    @property
    def verdict(self) -> str:
        """One of :data:`VERDICTS`, by the thresholds of this module, over the lags within the training length."""
        lags, norms = self._within()
        if not np.isfinite(norms).all():
            return EXPLODING
        grown = self.rate ** float(lags[-1] - lags[0])
        if norms.max() > EXPLODED * norms[0] or grown > GROWN:
            return EXPLODING
        return VANISHING if norms.min() <= VANISHED * norms[0] else HEALTHY

    @property
    def reach(self) -> float:
        """Tokens after which the norm has fallen to :data:`VANISHED` of its first value, between lags interpolated.

        The longest lag where it never does.
        """
        shares = np.array(self.relative)
        below = np.flatnonzero(~(shares > VANISHED))
        if not len(below):
            return float(self.lags[-1])
        place = int(below[0])
        if place == 0:
            return 0.0
        high, low = shares[place - 1], max(float(shares[place]), 1e-30)
        part = np.log(high / VANISHED) / np.log(high / low)
        return float(self.lags[place - 1] + part * (self.lags[place] - self.lags[place - 1]))

    @property
    def open_ended(self) -> bool:
        """Whether the norm has not vanished at the longest lag, so that :attr:`reach` is a lower bound."""
        return self.relative[-1] > VANISHED

    def values(self) -> dict[str, Any]:
        """Everything as plain values, what follows from the norms too."""
        return {
            "lags": list(self.lags),
            "norms": list(self.norms),
            "layers": [list(layer) for layer in self.layers],
            "train_length": self.train_length,
            "verdict": self.verdict,
            "rate": self.rate,
            "reach": self.reach,
            "open_ended": self.open_ended,
        }

    @staticmethod
    def from_json(values: dict[str, Any]) -> GradientReach:
        """What :meth:`values` wrote; KeyError or TypeError if it did not."""
        return GradientReach(
            lags=tuple(map(int, values["lags"])),
            norms=tuple(map(float, values["norms"])),
            layers=tuple(tuple(map(float, layer)) for layer in values["layers"]),
            train_length=int(values["train_length"]),
        )

    def _within(self) -> tuple[np.ndarray, np.ndarray]:
        """Lags and norms within the training length, at least the shortest."""
        lags = np.array(self.lags, np.float64)
        kept = lags <= max(self.train_length, self.lags[0])
        return lags[kept], np.array(self.norms, np.float64)[kept]


def relative(norms: tuple[float, ...]) -> tuple[float, ...]:
    """``norms`` (lags,) over the first of them; NaN where that is zero."""
    return tuple(norm / norms[0] if norms[0] > 0 else math.nan for norm in norms)
