"""The scalar recursion of :mod:`kernels.clipped`, compiled: importing this file imports numba.

Within a chunk every state is a weighted sum of what the chunk starts from and of what its tokens write,

    h_i = grown_i h_0 + sum_{j <= i} weights_ij x_j B_j^T

so its norm, and with it the scale that brings it back to the limit, follows from scalars alone.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.jit import jit


@jit
def clip_recursion(
    BB: np.ndarray,
    XX: np.ndarray,
    from_start: np.ndarray,
    squared: np.ndarray,
    decay: np.ndarray,
    limit: np.ndarray,
    weights: np.ndarray,
    grown: np.ndarray,
    norms: np.ndarray,
) -> None:
    """Fill ``weights``, ``grown`` and ``norms`` of one chunk.

    ``BB`` (rows, chunk, chunk), ``XX`` (rows, heads, chunk, chunk): products of the chunk's B and x with themselves.
    ``from_start`` (rows, chunk, heads): B_i h_0 x_i; ``squared`` (rows, heads): |h_0|^2; ``limit`` (rows, heads).
    ``decay``, ``grown``, ``norms`` (rows, heads, chunk); ``weights`` (rows, heads, chunk, chunk), zero above the
    diagonal on entry.
    """
    rows, heads, chunk = decay.shape
    for row in range(rows):
        for head in range(heads):
            bound = np.float64(limit[row, head]) ** 2
            before = np.float64(squared[row, head])
            kept = decay.dtype.type(1)
            products = XX[row, head]
            weight = weights[row, head]
            for i in range(chunk):
                a = decay[row, head, i]
                read = kept * from_start[row, i, head]
                for j in range(i):
                    read += weight[i - 1, j] * BB[row, i, j] * products[i, j]
                # |a h + x B^T|^2, from |h|^2 and what B reads of h, dotted with x.
                after = max(a * (a * before + 2.0 * read) + BB[row, i, i] * np.float64(products[i, i]), 0.0)
                scale = math.sqrt(bound / after) if after > bound else 1.0
                factor = decay.dtype.type(a * scale)
                for j in range(i):
                    weight[i, j] = weight[i - 1, j] * factor
                weight[i, i] = scale
                kept *= factor
                before = scale * scale * after
                grown[row, head, i] = kept
                norms[row, head, i] = math.sqrt(before)
