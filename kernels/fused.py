"""Elementwise work of a Mamba-2 layer, one pass over memory each, compiled: importing this file imports numba.

On a CPU, what stands between the products of a small model costs more than the products: in PyTorch every operation
reads and writes a tensor that no longer fits the nearest cache. Here a token's channels are read once. For inference
in float32; every array is contiguous.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.jit import jit


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
    """``out``_t = bias + sum_k weight_k inputs_{t - taps + 1 + k}, channel by channel, with ``window`` before them.

    ``out`` (rows, seqlen, channels); ``inputs`` (rows, seqlen, more), of which the channels from ``first`` on count;
    ``window`` (rows, taps - 1, channels); ``weight`` (taps, channels); ``bias`` (channels,).
    """
    rows, seqlen, channels = out.shape
    taps = len(weight)
    for row in range(rows):
        for token in range(seqlen):
            for place in range(channels):
                out[row, token, place] = bias[place]
            for tap in range(taps):
                before = token + tap + 1 - taps
                # A slice is indexed from zero, which vectorises; a sum of indices could be negative.
                given = inputs[row, before, first : first + channels]
                source = given if before >= 0 else window[row, before + taps - 1]
                for place in range(channels):
                    out[row, token, place] += weight[tap, place] * source[place]
