"""Why a zero initial state makes length extension an extrapolation, on the smallest case that shows it.

A linear state-space model with decays a_i weighs the input k tokens back by

    rho(k) = sum_i c_i a_i^k = sum_i c_i u^(r_i)        u = exp(-k / T), a_i = exp(-r_i / T)

which is a polynomial in u where the rates r_i are whole numbers. Training sequences of T tokens that start from the
zero state never show an age k above T: they fit this polynomial on u in [1/e, 1] alone, and older inputs are weighed
by what it says outside. Where states are carried from sequence to sequence, all ages occur, and it is interpolated.

Both fits here have the same terms and noise, and the target 1 / (1 + k / T) is outside their span, as that of a text
is. The reduction is ours, after the statement of the paper (arXiv 2406.02080).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DEGREE = 6
"""Degree of the polynomial in u: with the constant, seven decays."""
TRAINED = 64
"""T: ages that a training sequence from the zero state shows."""
LONGEST = 16
"""Ages that carried states show, and that are looked at, in training lengths."""
NOISE = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class Toy:
    """Ages in training lengths, the target and the two fits, (ages,) each."""

    ages: np.ndarray
    target: np.ndarray
    zero: np.ndarray
    carried: np.ndarray

    def error(self, name: str, *, beyond: bool) -> float:
        """The root mean square error of the fit ``name``, within the training length or beyond it."""
        here = (self.ages > 1) if beyond else (self.ages <= 1)
        return float(np.sqrt(np.mean((getattr(self, name) - self.target)[here] ** 2)))


def toy(degree: int = DEGREE, seed: int = 0) -> Toy:
    """Fit the weights c of ``degree`` + 1 decays to ages within T, and to ages up to :data:`LONGEST` T."""
    k = np.arange(LONGEST * TRAINED + 1)
    ages = k / TRAINED
    target = 1 / (1 + ages)
    seen = target + NOISE * np.random.default_rng(seed).standard_normal(len(k))
    terms = np.exp(-np.outer(ages, np.arange(degree + 1)))  # (ages, degree + 1): powers of u
    fits = []
    for shown in (ages <= 1, np.ones(len(k), bool)):
        weights, *_ = np.linalg.lstsq(terms[shown], seen[shown], rcond=None)
        fits.append(terms @ weights)
    return Toy(ages=ages, target=target, zero=fits[0], carried=fits[1])
