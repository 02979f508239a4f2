"""The way back through cells, compiled: importing this file imports numba.

Of every loop: ``errors`` (rows, seqlen, units) comes as the gradient of what was read and leaves as that of every state,

    e_{t-1} += (d h_t / d h_{t-1})^T e_t        from the last token to the second

Gradients of inputs and weights follow from these for all tokens at once; see :mod:`kernels.cells.compiled.loop`. The
other arguments are those of :mod:`kernels.cells.compiled.forward`.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.cpu.jit import jit


@jit
def add_transposed(weight: np.ndarray, errors: np.ndarray, sums: np.ndarray) -> None:
    """Add the products of ``weight`` (out, in), transposed, with ``errors`` (rows, out) to ``sums`` (rows, in)."""
    rows, width = sums.shape
    for place in range(len(weight)):
        weights = weight[place]
        for row in range(rows):
            error, total = errors[row, place], sums[row]
            for index in range(width):
                total[index] += weights[index] * error


@jit
def scrn(
    errors: np.ndarray,
    given: np.ndarray,
    state: np.ndarray,
    y: np.ndarray,
    trace: np.ndarray,
    keep: np.ndarray,
    write: np.ndarray,
    slow_to_fast: np.ndarray,
    recurrent: np.ndarray,
) -> None:
    """SCRN: the error of a sum is e h (1 - h)."""
    rows, seqlen, units = y.shape
    slow = len(keep)
    of_sums = np.empty((rows, units - slow), y.dtype)
    of_s, of_h = np.empty((rows, slow), y.dtype), np.empty_like(of_sums)
    for t in range(seqlen - 1, -1, -1):
        for row in range(rows):
            for unit in range(slow, units):
                h = y[row, t, unit]
                of_sums[row, unit - slow] = errors[row, t, unit] * h * (1 - h)
        # Fast units read the slow ones of the same token, so their error is part of that of the state before.
        of_s[:] = 0
        of_h[:] = 0
        add_transposed(slow_to_fast, of_sums, of_s)
        add_transposed(recurrent, of_sums, of_h)
        if t > 0:
            for row in range(rows):
                for unit in range(slow):
                    errors[row, t - 1, unit] += keep[unit] * (errors[row, t, unit] + of_s[row, unit])
                for unit in range(slow, units):
                    errors[row, t - 1, unit] += of_h[row, unit - slow]


@jit
def ctrnn(
    errors: np.ndarray,
    given: np.ndarray,
    state: np.ndarray,
    y: np.ndarray,
    trace: np.ndarray,
    keep: np.ndarray,
    write: np.ndarray,
    recurrent: np.ndarray,
) -> None:
    """CT-RNN: the error of a sum is e write (1 - drive^2)."""
    rows, seqlen, units = y.shape
    of_sums, of_h = np.empty((rows, units), y.dtype), np.empty((rows, units), y.dtype)
    for t in range(seqlen - 1, 0, -1):
        for row in range(rows):
            for unit in range(units):
                drive, error = trace[row, t, unit], errors[row, t, unit]
                of_sums[row, unit] = error * write[unit] * (1 - drive * drive)
                of_h[row, unit] = error * keep[unit]
        add_transposed(recurrent, of_sums, of_h)
        for row in range(rows):
            for unit in range(units):
                errors[row, t - 1, unit] += of_h[row, unit]


@jit
def cfc(
    errors: np.ndarray,
    given: np.ndarray,
    state: np.ndarray,
    y: np.ndarray,
    trace: np.ndarray,
    scale: float,
    slope: float,
    recurrent: np.ndarray,
    heads: np.ndarray,
    bias: np.ndarray,
) -> None:
    """CfC: errors of the three heads, of the backbone, of the state."""
    rows, seqlen, units = y.shape
    of_heads = np.empty((rows, 3 * units), y.dtype)
    of_backbone, of_h = np.empty((rows, units), y.dtype), np.empty((rows, units), y.dtype)
    for t in range(seqlen - 1, 0, -1):
        for row in range(rows):
            for unit in range(units):
                g, k = trace[row, t, units + unit], trace[row, t, 2 * units + unit]
                s, error = trace[row, t, 3 * units + unit], errors[row, t, unit]
                of_heads[row, unit] = error * (1 - s) * (1 - g * g)
                of_heads[row, units + unit] = error * s * (1 - k * k)
                of_heads[row, 2 * units + unit] = error * (k - g) * s * (1 - s)
        of_backbone[:] = 0
        add_transposed(heads, of_heads, of_backbone)
        for row in range(rows):
            for unit in range(units):
                bent = trace[row, t, unit]
                of_backbone[row, unit] *= scale * slope * (1 - bent * bent)
        of_h[:] = 0
        add_transposed(recurrent, of_backbone, of_h)
        for row in range(rows):
            for unit in range(units):
                errors[row, t - 1, unit] += of_h[row, unit]


@jit
def ltc(
    errors: np.ndarray,
    given: np.ndarray,
    state: np.ndarray,
    y: np.ndarray,
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
    """LTC: the unfolds of a token are run again, then taken back from the last to the first.

    With v' = share v + part / total, the error of the total is -e part / total^2 and what the share adds to it.
    """
    rows, seqlen, units = y.shape
    active = np.empty((unfolds, units, units), y.dtype)
    states = np.empty((unfolds + 1, units), y.dtype)
    totals, parts = np.empty((unfolds, units), y.dtype), np.empty((unfolds, units), y.dtype)
    shares = np.empty((unfolds, units), y.dtype)
    error, before = np.empty(units, y.dtype), np.empty(units, y.dtype)
    nothing = y.dtype.type(0)
    for row in range(rows):
        for t in range(seqlen - 1, 0, -1):
            states[0] = y[row, t - 1]
            for unfold in range(unfolds):
                v = states[unfold]
                for unit in range(units):
                    driven, loaded = nothing, nothing
                    for source in range(units):
                        value = 1 / (1 + math.exp(-(offset[unit, source] + steepness[unit, source] * v[source])))
                        active[unfold, unit, source] = value
                        driven += value * weights[unit, source, 0]
                        loaded += value * weights[unit, source, 1]
                    part = given[row, t, unit] + numerator[unit] + driven
                    total = given[row, t, units + unit] + denominator[unit] + loaded
                    share = factor * (inertia[unit] / total) ** power
                    totals[unfold, unit], parts[unfold, unit], shares[unfold, unit] = total, part, share
                    states[unfold + 1, unit] = share * v[unit] + part / total
            error[:] = errors[row, t]
            for unfold in range(unfolds - 1, -1, -1):
                for unit in range(units):
                    before[unit] = error[unit] * shares[unfold, unit]
                for unit in range(units):
                    total = totals[unfold, unit]
                    of_part = error[unit] / total
                    kept = power * shares[unfold, unit] * states[unfold, unit]
                    of_total = -(of_part * parts[unfold, unit] + error[unit] * kept) / total
                    for source in range(units):
                        value = active[unfold, unit, source]
                        of_active = of_part * weights[unit, source, 0] + of_total * weights[unit, source, 1]
                        before[source] += of_active * value * (1 - value) * steepness[unit, source]
                error[:] = before
            for unit in range(units):
                errors[row, t - 1, unit] += error[unit]
