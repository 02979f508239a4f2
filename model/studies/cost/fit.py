"""Curves through measured times, what they say of other lengths, and where two of them cross.

    t(L) = a + b L + c L^2        a, b, c >= 0

is fitted by least squares of the relative residuals, because lengths and times span orders of magnitude (non-negative:
Lawson & Hanson 1974). How well that holds is said by two numbers: the largest relative deviation of a measured point,
and how far off the longest point is if it is predicted from the shorter ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

MEASURED, BETWEEN, BEYOND = "measured", "interpolated", "extrapolated"


@dataclass(frozen=True, kw_only=True)
class Value:
    """A number at a length; ``kind`` says whether it was measured there, or lies between or beyond what was."""

    value: float
    kind: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A fit and its points, shortest first. ``terms`` are a, b, c; ``ahead`` is None for too few points."""

    lengths: tuple[int, ...]
    values: tuple[float, ...]
    terms: tuple[float, float, float]
    deviation: float = 0.0
    ahead: float | None = None

    def fitted(self, length: float) -> float:
        """What the fit alone says of ``length`` tokens."""
        a, b, c = self.terms
        return a + b * length + c * length**2

    def at(self, length: int) -> Value:
        """The value at ``length`` tokens: the measured one where there is one, else that of the fit."""
        if length in self.lengths:
            return Value(value=self.values[self.lengths.index(length)], kind=MEASURED)
        return Value(value=self.fitted(length), kind=self.kind(length))

    def kind(self, length: float) -> str:
        """Whether the fit at ``length`` lies between measured points or beyond them."""
        return BETWEEN if self.lengths[0] <= length <= self.lengths[-1] else BEYOND


def fit(lengths: Sequence[int], values: Sequence[float], powers: Sequence[int]) -> Curve | None:
    """The curve with the terms of ``powers`` of the length; None unless there is a point more than terms."""
    if len(lengths) <= len(powers):
        return None
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    x, y = [lengths[place] for place in order], [values[place] for place in order]
    curve = Curve(lengths=tuple(x), values=tuple(y), terms=_terms(x, y, powers))
    off = [abs(curve.fitted(length) / value - 1) for length, value in zip(x, y, strict=True)]
    ahead = None
    if len(x) - 1 > len(powers):
        before = replace(curve, terms=_terms(x[:-1], y[:-1], powers))
        ahead = before.fitted(x[-1]) / y[-1] - 1
    return replace(curve, deviation=max(off), ahead=ahead)


def _terms(lengths: Sequence[int], values: Sequence[float], powers: Sequence[int]) -> tuple[float, float, float]:
    from scipy.optimize import nnls

    x, y = np.array(lengths, np.float64), np.array(values, np.float64)
    scale = x.max()
    design = np.stack([(x / scale) ** power / y for power in powers], axis=1)
    found, _ = nnls(design, np.ones(len(y)))
    terms = [0.0, 0.0, 0.0]
    for power, term in zip(powers, found, strict=True):
        terms[power] = float(term) / scale**power
    return terms[0], terms[1], terms[2]


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """From which ``length`` on the first of two curves is the cheaper one: 0 always, None never.

    ``kind`` says whether both were measured around it.
    """

    length: float | None
    kind: str = MEASURED


def crossing(first: Curve, second: Curve) -> Crossing:
    """From where on ``first`` stays below ``second``."""
    a, b, c = (two - one for one, two in zip(first.terms, second.terms, strict=True))
    length = last_root(a, b, c)
    if length in (None, 0.0):
        return Crossing(length=length, kind=BETWEEN)
    assert length is not None
    kinds = {first.kind(length), second.kind(length)}
    return Crossing(length=length, kind=BEYOND if BEYOND in kinds else BETWEEN)


def last_root(a: float, b: float, c: float) -> float | None:
    """Where a + b L + c L^2 becomes positive for good, at L >= 0; 0.0 if it always is, None if it never does."""
    grows = next((term for term in (c, b, a) if term), 0.0)
    if grows <= 0:
        return None
    roots = [complex(root) for root in np.polynomial.Polynomial([a, b, c]).trim().roots().tolist()]
    real = [root.real for root in roots if abs(root.imag) <= 1e-12 * abs(root) and root.real > 0]
    return max(real, default=0.0)
