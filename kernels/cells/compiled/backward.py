"""The way back through cells, compiled: importing this file imports numba.

Of every loop: ``errors`` (rows, 1 + seqlen, units) comes as the gradient of the state before the first token and of the
states that were read, and leaves as that of what they led to as well:

    e_{t-1} += (d h_t / d h_{t-1})^T e_t        from the last token to the first

Gradients of inputs and weights follow from these for all tokens at once; see :mod:`kernels.cells.compiled.loop`. The
other arguments are those of :mod:`kernels.cells.compiled.forward`. Where a helper there changes, this file must change
as well: numba compiles a loop anew when the file of the loop is newer, whatever the loop calls.
"""

from __future__ import annotations

import numpy as np

from kernels.cells.compiled.forward import add_products, sigmoid
from kernels.cpu.jit import jit


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
    one = y.dtype.type(1)
    of_sums = np.empty((rows, units - slow), y.dtype)
    of_s, of_h = np.empty((rows, slow), y.dtype), np.empty_like(of_sums)
    for t in range(seqlen - 1, -1, -1):
        for row in range(rows):
            h, error = y[row, t, slow:], errors[row, t + 1, slow:]
            for unit in range(units - slow):
                of_sums[row, unit] = error[unit] * h[unit] * (one - h[unit])
            of_s[row] = errors[row, t + 1, :slow]
        of_h[:] = 0
        add_products(of_sums, slow_to_fast, of_s)  # fast units read the slow ones of the same token
        add_products(of_sums, recurrent, of_h)
        for row in range(rows):
            before = errors[row, t]
            for unit in range(slow):
                before[unit] += keep[unit] * of_s[row, unit]
            for unit in range(units - slow):
                before[slow + unit] += of_h[row, unit]


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
    one = y.dtype.type(1)
    of_sums, of_h = np.empty((rows, units), y.dtype), np.empty((rows, units), y.dtype)
    for t in range(seqlen - 1, -1, -1):
        for row in range(rows):
            drive, error = trace[row, t], errors[row, t + 1]
            for unit in range(units):
                of_sums[row, unit] = error[unit] * write[unit] * (one - drive[unit] * drive[unit])
                of_h[row, unit] = error[unit] * keep[unit]
        add_products(of_sums, recurrent, of_h)
        for row in range(rows):
            errors[row, t] += of_h[row]


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
    one = y.dtype.type(1)
    of_heads = np.empty((rows, 3 * units), y.dtype)
    of_backbone, of_h = np.empty((rows, units), y.dtype), np.empty((rows, units), y.dtype)
    for t in range(seqlen - 1, -1, -1):
        of_backbone[:] = 0
        of_h[:] = 0
        for row in range(rows):
            g, k, s = trace[row, t, units : 2 * units], trace[row, t, 2 * units : 3 * units], trace[row, t, 3 * units :]
            of_g, of_k, of_s = of_heads[row, :units], of_heads[row, units : 2 * units], of_heads[row, 2 * units :]
            error = errors[row, t + 1]
            for unit in range(units):
                of_g[unit] = error[unit] * (one - s[unit]) * (one - g[unit] * g[unit])
                of_k[unit] = error[unit] * s[unit] * (one - k[unit] * k[unit])
                of_s[unit] = error[unit] * (k[unit] - g[unit]) * s[unit] * (one - s[unit])
        add_products(of_heads, heads, of_backbone)
        for row in range(rows):
            bent = trace[row, t, :units]
            for unit in range(units):
                of_backbone[row, unit] *= scale * slope * (one - bent[unit] * bent[unit])
        add_products(of_backbone, recurrent, of_h)
        for row in range(rows):
            errors[row, t] += of_h[row]


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
    states, shares = np.empty((unfolds + 1, units), y.dtype), np.empty((unfolds, units), y.dtype)
    totals, parts = np.empty_like(shares), np.empty_like(shares)
    before, nothing, one = np.empty(units, y.dtype), y.dtype.type(0), y.dtype.type(1)
    for row in range(rows):
        for t in range(seqlen - 1, -1, -1):
            drive, load = given[row, t, :units], given[row, t, units:]
            states[0] = y[row, t - 1] if t > 0 else state[row]
            for unfold in range(unfolds):
                v = states[unfold]
                for unit in range(units):
                    driven, loaded, values = nothing, nothing, active[unfold, unit]
                    for source in range(units):
                        values[source] = sigmoid(offset[unit, source] + steepness[unit, source] * v[source])
                        driven += values[source] * weights[0, unit, source]
                        loaded += values[source] * weights[1, unit, source]
                    part = drive[unit] + numerator[unit] + driven
                    total = load[unit] + denominator[unit] + loaded
                    share = factor * (inertia[unit] / total) ** power
                    totals[unfold, unit], parts[unfold, unit], shares[unfold, unit] = total, part, share
                    states[unfold + 1, unit] = share * v[unit] + part / total
            error = errors[row, t + 1].copy()
            for unfold in range(unfolds - 1, -1, -1):
                before[:] = error * shares[unfold]
                for unit in range(units):
                    total, values = totals[unfold, unit], active[unfold, unit]
                    of_part = error[unit] / total
                    kept = power * shares[unfold, unit] * states[unfold, unit]
                    of_total = y.dtype.type(-(of_part * parts[unfold, unit] + error[unit] * kept) / total)
                    for source in range(units):
                        of_active = of_part * weights[0, unit, source] + of_total * weights[1, unit, source]
                        before[source] += of_active * values[source] * (one - values[source]) * steepness[unit, source]
                error[:] = before
            errors[row, t] += error
