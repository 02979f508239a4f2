"""What :mod:`kernels.cpu.clipped` does between two products of a chunk, compiled: importing this file imports numba.

Within a chunk every state is a weighted sum of what the chunk starts from and of what its tokens write,

    h_i = grown_i h_0 + sum_{j <= i} weights_ij x_j B_j^T

so its norm, and with it the scale that brings it back to the limit, follows from scalars alone.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.cpu.jit import jit


@jit
def clip_chunk(
    index: int,
    x: np.ndarray,
    read: np.ndarray,
    states: np.ndarray,
    CB: np.ndarray,
    BB: np.ndarray,
    XX: np.ndarray,
    decay: np.ndarray,
    limit: np.ndarray,
    mixed: np.ndarray,
    grown: np.ndarray,
    norms: np.ndarray,
    scaled: np.ndarray,
) -> None:
    """Fill ``mixed``, ``grown`` and ``norms`` of chunk ``index``, and what follows from them for the next state.

    ``x`` (nchunks, rows, chunk, width), ``read`` (rows, chunk, width): what the chunk's B read of its first state.
    ``states`` (nchunks + 1, rows, d_state, width): that state, and where what is left of it at the end comes.
    ``CB``, ``BB`` (nchunks, rows, chunk, chunk), ``XX`` (nchunks, rows, heads, chunk, chunk): products of C with B, of
    B and of x with themselves. ``limit`` (rows, heads). ``decay``, ``grown``, ``norms`` (nchunks, rows, heads, chunk).
    ``mixed`` (nchunks, rows, heads, chunk, chunk): the weights times CB, which is what is read of x.
    ``scaled`` (rows, chunk, width): x times its weight at the end.
    """
    _, rows, heads, chunk = decay.shape
    _, _, d_state, width = states.shape
    headdim = width // heads
    one, nothing = decay.dtype.type(1), decay.dtype.type(0)
    weight = np.empty(chunk, decay.dtype)
    for row in range(rows):
        squares = np.zeros(width, decay.dtype)
        for place in range(d_state):
            state = states[index, row, place]
            for column in range(width):
                squares[column] += state[column] * state[column]
        for head in range(heads):
            here = slice(head * headdim, (head + 1) * headdim)
            bound = np.float64(limit[row, head]) ** 2
            before = np.float64(squares[here].sum())
            kept, inside = one, nothing
            weight[:] = 0  # of the tokens so far in the latest state
            for i in range(chunk):
                a = decay[index, row, head, i]
                written, held = x[index, row, i, here], read[row, i, here]
                met = nothing
                for column in range(headdim):
                    met += written[column] * held[column]
                met = kept * met + inside
                own = BB[index, row, i, i] * np.float64(XX[index, row, head, i, i])
                # |a h + x B^T|^2, from |h|^2 and what B reads of h, dotted with x.
                after = max(a * (a * before + 2.0 * met) + own, 0.0)
                scale = math.sqrt(bound / after) if after > bound else 1.0
                factor = decay.dtype.type(a * scale)
                for j in range(i):
                    weight[j] *= factor
                weight[i] = scale
                out, reads = mixed[index, row, head, i], CB[index, row, i]
                for j in range(chunk):
                    out[j] = weight[j] * reads[j]
                following = min(i + 1, chunk - 1)
                meets, products = BB[index, row, following], XX[index, row, head, following]
                inside = nothing
                for j in range(i + 1):
                    inside += weight[j] * meets[j] * products[j]
                kept *= factor
                before = scale * scale * after
                grown[index, row, head, i] = kept
                norms[index, row, head, i] = math.sqrt(before)
            for i in range(chunk):
                share, written, into = weight[i], x[index, row, i, here], scaled[row, i, here]
                for column in range(headdim):
                    into[column] = share * written[column]
            for place in range(d_state):
                state, left = states[index, row, place, here], states[index + 1, row, place, here]
                for column in range(headdim):
                    left[column] = kept * state[column]
