"""The loops of cells from the first token to the last, compiled: importing this file imports numba.

The equations are those of the mixers' own steps, which tests hold them against. In a small network a step of PyTorch
costs its calls and not its arithmetic: tens of them a token, each longer than a product of a matrix that the cache
holds with one vector. Here nothing is called between two tokens.

Of every loop: ``given`` (rows, seqlen, any) is what the inputs give, ``state`` (rows, units) what came before. It fills
``y`` (rows, seqlen, units) with the state after every token, ``kept`` (the same) with the share of it that was kept,
if there is one, and ``trace`` (rows, seqlen, any) with what its way back needs. The rest is what the mixer of this
name calls so; matrices are (units out, units in).
"""

from __future__ import annotations

import math

import numpy as np

from kernels.cpu.jit import jit


@jit
def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)) of a number."""
    return 1 / (1 + math.exp(-x))


@jit
def tanh(x: float) -> float:
    """tanh of a number by its exponential, which takes half the time."""
    return 2 / (1 + math.exp(-2 * x)) - 1


@jit
def add_products(weight: np.ndarray, vectors: np.ndarray, sums: np.ndarray) -> None:
    """Add the products of ``weight`` (out, in) with ``vectors`` (rows, in) to ``sums`` (rows, out)."""
    rows, nothing = len(vectors), weight.dtype.type(0)
    for place in range(len(weight)):
        weights = weight[place]
        for row in range(rows):
            vector, total = vectors[row], nothing
            for index in range(len(weights)):
                total += weights[index] * vector[index]
            sums[row, place] += total


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
    s, h = state[:, :slow].copy(), state[:, slow:].copy()
    sums = np.empty_like(h)
    kept[:, :, slow:] = np.nan
    for t in range(seqlen):
        for row in range(rows):
            for unit in range(slow):
                s[row, unit] = write[unit] * given[row, t, unit] + keep[unit] * s[row, unit]
                y[row, t, unit], kept[row, t, unit] = s[row, unit], keep[unit]
            for unit in range(slow, units):
                sums[row, unit - slow] = given[row, t, unit]
        add_products(slow_to_fast, s, sums)
        add_products(recurrent, h, sums)
        for row in range(rows):
            for unit in range(units - slow):
                h[row, unit] = sigmoid(sums[row, unit])
                y[row, t, slow + unit] = h[row, unit]


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
    h, sums = state.copy(), np.empty_like(state)
    for t in range(seqlen):
        for row in range(rows):
            sums[row] = given[row, t]
        add_products(recurrent, h, sums)
        for row in range(rows):
            for unit in range(units):
                drive = tanh(sums[row, unit])
                h[row, unit] = keep[unit] * h[row, unit] + write[unit] * drive
                y[row, t, unit], kept[row, t, unit], trace[row, t, unit] = h[row, unit], keep[unit], drive


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
    h, backbone, sums = state.copy(), np.empty_like(state), np.empty((rows, 3 * units), state.dtype)
    for t in range(seqlen):
        for row in range(rows):
            backbone[row] = given[row, t]
            sums[row] = bias
        add_products(recurrent, h, backbone)
        for row in range(rows):
            for unit in range(units):
                trace[row, t, unit] = tanh(slope * backbone[row, unit])
                backbone[row, unit] = scale * trace[row, t, unit]
        add_products(heads, backbone, sums)
        for row in range(rows):
            for unit in range(units):
                g, k = tanh(sums[row, unit]), tanh(sums[row, units + unit])
                s = sigmoid(sums[row, 2 * units + unit])
                h[row, unit] = (1 - s) * g + s * k
                y[row, t, unit], trace[row, t, units + unit] = h[row, unit], g
                trace[row, t, 2 * units + unit], trace[row, t, 3 * units + unit] = k, s


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
    """LTC; ``steepness``, ``offset`` (units, sources), ``weights`` (units, sources, 2); no trace.

    ``power`` and ``factor`` are the retention of one unfold.
    """
    rows, seqlen, units = y.shape
    before, nothing = np.empty(units, y.dtype), y.dtype.type(0)
    for row in range(rows):
        v = state[row].copy()
        for t in range(seqlen):
            kept[row, t] = 1
            for _ in range(unfolds):
                before[:] = v
                for unit in range(units):
                    driven, loaded = nothing, nothing
                    for source in range(units):
                        active = sigmoid(offset[unit, source] + steepness[unit, source] * before[source])
                        driven += active * weights[unit, source, 0]
                        loaded += active * weights[unit, source, 1]
                    total = given[row, t, units + unit] + denominator[unit] + loaded
                    share = inertia[unit] / total
                    if power != 1:
                        share = share**power
                    share *= factor
                    v[unit] = share * before[unit] + (given[row, t, unit] + numerator[unit] + driven) / total
                    kept[row, t, unit] *= share
            y[row, t] = v
