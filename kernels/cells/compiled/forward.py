"""The loops of cells from the first token to the last, compiled: importing this file imports numba.

The equations are those of the mixers' own steps, which tests hold them against. In a small network a step of PyTorch
costs its calls and not its arithmetic: ten or more of them a token, each longer than a product of a matrix that the
cache holds with one vector. Here nothing is called between two tokens.

Of every loop: ``given`` (rows, seqlen, any) is what the inputs give, ``state`` (rows, units) what came before. It fills
``y`` (rows, seqlen, units) with the state after every token, ``kept`` (the same) with the share of it that was kept,
if there is one, and ``trace`` (rows, seqlen, any) with what its way back needs. The rest is what the mixer of this
name calls so; matrices are (units out, units in). Everything is float32 and contiguous.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from kernels.cpu.jit import jit

DEPTH = 13
"""Of the continued fraction: up to 9, from where on tanh is 1 in float32, it is 4e-7 off at most."""


def continued_fraction(depth: int) -> tuple[tuple[np.float32, ...], tuple[np.float32, ...]]:
    """Lambert's tanh x = x / (1 + q / (3 + q / (5 + ...))), q = x^2, as x times a quotient of polynomials of q.

    Coefficients above and below, the highest power first, as many of each.
    """
    above, below = [Fraction(1)], [Fraction(2 * depth - 1)]  # the lowest power first
    for odd in range(2 * depth - 3, 0, -2):
        longer = [odd * number for number in below] + [Fraction(0)] * (len(above) + 1 - len(below))
        for power, number in enumerate(above):
            longer[power + 1] += number
        above, below = below, longer
    whole = below[0]
    return tuple(np.float32(c / whole) for c in above[::-1]), tuple(np.float32(c / whole) for c in below[::-1])


_ABOVE, _BELOW = continued_fraction(DEPTH)
_POWERS = len(_ABOVE)
_MOST, _HALF, _ONE = np.float32(9), np.float32(0.5), np.float32(1)


@jit
def tanh(x: Any) -> Any:
    """tanh of a float32, to 4e-7, in arithmetic that vectorises."""
    x = _MOST if x > _MOST else x  # and what is not a number stays so
    x = -_MOST if x < -_MOST else x
    above, below = _ABOVE[0], _BELOW[0]
    for place in range(1, _POWERS):
        above = above * (x * x) + _ABOVE[place]
        below = below * (x * x) + _BELOW[place]
    return x * above / below


@jit
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) of a float32."""
    return _HALF + _HALF * tanh(_HALF * x)


@jit
def add_products(vectors: np.ndarray, weight: np.ndarray, sums: np.ndarray) -> None:
    """Add the product of ``vectors`` (rows, in) and ``weight`` (in, out) to ``sums`` (rows, out).

    Four rows of the weights at a time, so that a sum is read and written once for four products.
    """
    rows, width = sums.shape
    whole = len(weight) - len(weight) % 4
    for place in range(0, whole, 4):
        first, second, third, fourth = weight[place], weight[place + 1], weight[place + 2], weight[place + 3]
        for row in range(rows):
            vector, total = vectors[row], sums[row]
            a, b, c, d = vector[place], vector[place + 1], vector[place + 2], vector[place + 3]
            for index in range(width):
                total[index] += a * first[index] + b * second[index] + (c * third[index] + d * fourth[index])
    for place in range(whole, len(weight)):
        last = weight[place]
        for row in range(rows):
            factor, total = vectors[row, place], sums[row]
            for index in range(width):
                total[index] += factor * last[index]


@jit
def scrn(
    given: np.ndarray,
    state: np.ndarray,
    y: np.ndarray,
    kept: np.ndarray,
    trace: np.ndarray,
    keep: np.ndarray,
    write: np.ndarray,
    slow_to_fast: np.ndarray,
    recurrent: np.ndarray,
) -> None:
    """SCRN with one share a slow unit; no trace."""
    rows, seqlen, units = y.shape
    slow = len(keep)
    P, R = np.ascontiguousarray(slow_to_fast.T), np.ascontiguousarray(recurrent.T)
    s, h = state[:, :slow].copy(), state[:, slow:].copy()
    sums = np.empty_like(h)
    for t in range(seqlen):
        for row in range(rows):
            for unit in range(slow):
                s[row, unit] = write[unit] * given[row, t, unit] + keep[unit] * s[row, unit]
            sums[row] = given[row, t, slow:]
        add_products(s, P, sums)
        add_products(h, R, sums)
        for row in range(rows):
            for unit in range(units - slow):
                h[row, unit] = sigmoid(sums[row, unit])
            y[row, t, :slow], y[row, t, slow:] = s[row], h[row]
            kept[row, t, :slow], kept[row, t, slow:] = keep, np.nan


@jit
def ctrnn(
    given: np.ndarray,
    state: np.ndarray,
    y: np.ndarray,
    kept: np.ndarray,
    trace: np.ndarray,
    keep: np.ndarray,
    write: np.ndarray,
    recurrent: np.ndarray,
) -> None:
    """CT-RNN; the trace is the drive (rows, seqlen, units)."""
    rows, seqlen, units = y.shape
    R = np.ascontiguousarray(recurrent.T)
    h, sums = state.copy(), np.empty_like(state)
    for t in range(seqlen):
        for row in range(rows):
            sums[row] = given[row, t]
        add_products(h, R, sums)
        for row in range(rows):
            drive = trace[row, t]
            for unit in range(units):
                drive[unit] = tanh(sums[row, unit])
                h[row, unit] = keep[unit] * h[row, unit] + write[unit] * drive[unit]
            y[row, t], kept[row, t] = h[row], keep


@jit
def cfc(
    given: np.ndarray,
    state: np.ndarray,
    y: np.ndarray,
    kept: np.ndarray,
    trace: np.ndarray,
    scale: float,
    slope: float,
    recurrent: np.ndarray,
    heads: np.ndarray,
    bias: np.ndarray,
) -> None:
    """CfC, which keeps no share; the trace is the tanh of the backbone, g, k and s (rows, seqlen, 4 units)."""
    rows, seqlen, units = y.shape
    R, of_heads = np.ascontiguousarray(recurrent.T), np.ascontiguousarray(heads.T)
    h, backbone, sums = state.copy(), np.empty_like(state), np.empty((rows, 3 * units), state.dtype)
    for t in range(seqlen):
        for row in range(rows):
            backbone[row], sums[row] = given[row, t], bias
        add_products(h, R, backbone)
        for row in range(rows):
            bent = trace[row, t, :units]
            for unit in range(units):
                bent[unit] = tanh(slope * backbone[row, unit])
                backbone[row, unit] = scale * bent[unit]
        add_products(backbone, of_heads, sums)
        for row in range(rows):
            g, k, s = trace[row, t, units : 2 * units], trace[row, t, 2 * units : 3 * units], trace[row, t, 3 * units :]
            for unit in range(units):
                g[unit], k[unit] = tanh(sums[row, unit]), tanh(sums[row, units + unit])
                s[unit] = sigmoid(sums[row, 2 * units + unit])
                h[row, unit] = g[unit] + s[unit] * (k[unit] - g[unit])
            y[row, t] = h[row]


@jit
def ltc(
    given: np.ndarray,
    state: np.ndarray,
    y: np.ndarray,
    kept: np.ndarray,
    trace: np.ndarray,
    unfolds: int,
    power: float,
    factor: float,
    inertia: np.ndarray,
    denominator: np.ndarray,
    numerator: np.ndarray,
    steepness: np.ndarray,
    offset: np.ndarray,
    weights: np.ndarray,
) -> None:
    """LTC; ``steepness``, ``offset`` (units, sources), ``weights`` (2, units, sources); no trace.

    ``power`` and ``factor`` are the retention of one unfold.
    """
    rows, seqlen, units = y.shape
    before, nothing = np.empty(units, y.dtype), y.dtype.type(0)
    for row in range(rows):
        v = state[row].copy()
        for t in range(seqlen):
            drive, load = given[row, t, :units], given[row, t, units:]
            kept[row, t] = 1
            for _ in range(unfolds):
                before[:] = v
                for unit in range(units):
                    driven, loaded = nothing, nothing
                    for source in range(units):
                        active = sigmoid(offset[unit, source] + steepness[unit, source] * before[source])
                        driven += active * weights[0, unit, source]
                        loaded += active * weights[1, unit, source]
                    total = load[unit] + denominator[unit] + loaded
                    share = inertia[unit] / total
                    if power != 1:
                        share = share**power
                    share *= factor
                    v[unit] = share * before[unit] + (drive[unit] + numerator[unit] + driven) / total
                    kept[row, t, unit] *= share
            y[row, t] = v
