"""Elementwise work of a Mamba-2 layer, one pass over memory each, compiled: importing this file imports numba.

On a CPU, what stands between the products of a small model costs more than the products: in PyTorch every operation
reads and writes a tensor that no longer fits the nearest cache. Here a token's channels are read once. For inference
in float32; every array is contiguous.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernels.cpu.jit import jit

_ONE, _HALF, _SHIFT, _OVER = np.float32(1), np.float32(0.5), np.float32(126), np.float32(128)
_MINUS_LOG2_E = np.float32(-1 / math.log(2))
_C1, _C2, _C3, _C4, _C5, _C6 = (np.float32(math.log(2) ** power / math.factorial(power)) for power in range(1, 7))


@intrinsic
def _whole(_: Any, number: Any) -> Any:
    """The int32 below a positive float32, as one instruction; numba would go by way of int64."""

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fptosi(arguments[0], ir.IntType(32))

    return types.int32(types.float32), lower


@intrinsic
def _power_of_two(_: Any, exponent: Any) -> Any:
    """2 to the (``exponent`` - 126), a float32 that is made of its bits: of 254, infinity."""

    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(32)
        biased = builder.add(arguments[0], ir.Constant(integer, 1))
        return builder.bitcast(builder.shl(biased, ir.Constant(integer, 23)), ir.FloatType())

    return types.float32(types.int32), lower


@jit
def _silu(x: Any) -> Any:
    """x / (1 + exp(-x)) of a float32, to a millionth, in arithmetic that vectorises.

    2^t is 2^n 2^f with n the nearest integer, and 2^f a polynomial for f from -1/2 to 1/2. It stands in this file
    because numba compiles a loop anew when the file of the loop changes, not when that of what it calls does.
    """
    t = x * _MINUS_LOG2_E
    t = t if t < _OVER else _OVER
    t = (t if t > -_SHIFT else -_SHIFT) + _SHIFT
    n: Any = _whole(t + _HALF)  # type: ignore[call-arg]  # the first argument is numba's
    f = t - np.float32(n)
    power = _ONE + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    return x / (_ONE + power * _power_of_two(n))


@jit
def rms_norm(u: np.ndarray, weight: np.ndarray, eps: float, out: np.ndarray) -> None:
    """``out`` = u / sqrt(mean u^2 + eps) * weight: (tokens, width), (width,)."""
    tokens, width = u.shape
    for token in range(tokens):
        squared = np.float32(0)
        for place in range(width):
            squared += u[token, place] * u[token, place]
        scale = np.float32(1 / math.sqrt(squared / width + eps))
        for place in range(width):
            out[token, place] = u[token, place] * scale * weight[place]


@jit
def gated_norm(
    y: np.ndarray, x: np.ndarray, skip: np.ndarray, gate: np.ndarray, weight: np.ndarray, eps: float, out: np.ndarray
) -> None:
    """``out`` = rms_norm((y + skip x) gate) over each of the groups of channels.

    ``y``, ``out`` (rows, seqlen, width); ``gate`` the same, or one row for all; ``x`` (rows or 1, seqlen, at least
    width), of which the first channels count; ``skip`` and ``weight`` (groups, width / groups).
    """
    rows, seqlen, _ = y.shape
    groups, part = weight.shape
    for row in range(rows):
        xs, gates = x[min(row, len(x) - 1)], gate[min(row, len(gate) - 1)]
        for token in range(seqlen):
            for group in range(groups):
                here = slice(group * part, (group + 1) * part)
                given, written, opened = y[row, token, here], xs[token, here], gates[token, here]
                kept = out[row, token, here]
                squared = np.float32(0)
                for place in range(part):
                    kept[place] = (given[place] + skip[group, place] * written[place]) * opened[place]
                    squared += kept[place] * kept[place]
                scale = np.float32(1 / math.sqrt(squared / part + eps))
                for place in range(part):
                    kept[place] *= scale * weight[group, place]


@jit
def short_convolution(
    window: np.ndarray, inputs: np.ndarray, first: int, weight: np.ndarray, bias: np.ndarray, out: np.ndarray
) -> None:
    """``out``_t = silu(bias + sum_k weight_k inputs_{t - 3 + k}), channel by channel, with ``window`` before them.

    ``out`` (rows, seqlen, channels); ``inputs`` (rows, seqlen, more), of which the channels from ``first`` on count;
    ``window`` (rows, 3, channels); ``weight`` (4, channels); ``bias`` (channels,).
    """
    rows, seqlen, channels = out.shape
    last = first + channels
    for row in range(rows):
        for token in range(seqlen):
            # A slice is indexed from zero, which vectorises; a sum of indices could be negative.
            now, kept = inputs[row, token, first:last], out[row, token]
            before = inputs[row, token - 1, first:last] if token > 0 else window[row, 2]
            earlier = inputs[row, token - 2, first:last] if token > 1 else window[row, token + 1]
            earliest = inputs[row, token - 3, first:last] if token > 2 else window[row, token]
            for place in range(channels):
                old = weight[0, place] * earliest[place] + weight[1, place] * earlier[place]
                new = weight[2, place] * before[place] + weight[3, place] * now[place]
                kept[place] = _silu(bias[place] + old + new)
