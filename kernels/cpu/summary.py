"""What a recorder keeps of states and decays, each read once, compiled: importing this file imports numba.

A state is read in place, and nothing of its size is written; in PyTorch each of the sums is a pass of its own,
and the squares are as large as the states.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.cpu.jit import jit


@jit
def summarise(states: np.ndarray, bits: np.ndarray, out: np.ndarray) -> None:
    """Fill ``out`` (4, n, heads) with norm, mean, standard deviation and largest absolute value of every head.

    ``states`` (n, rows, heads, columns), contiguous: a head's elements are its rows and columns. ``bits`` is the same
    memory as integers, which are ordered as the numbers are once their sign is off, and vectorise; infinity comes
    after every number, and what is not a number after infinity.
    """
    count, rows, heads, columns = states.shape
    width, elements = heads * columns, rows * columns
    unsigned = np.iinfo(bits.dtype).max  # every bit but the sign
    sums, squares = np.empty(width, states.dtype), np.empty(width, states.dtype)
    largest = np.empty(width, bits.dtype)
    for index in range(count):
        sums[:] = 0
        squares[:] = 0
        largest[:] = 0
        for row in range(rows):
            values, patterns = states[index, row].reshape(-1), bits[index, row].reshape(-1)
            for place in range(width):
                value = values[place]
                sums[place] += value
                squares[place] += value * value
                largest[place] = max(largest[place], patterns[place] & unsigned)
        most = largest.view(states.dtype)
        for head in range(heads):
            here = slice(head * columns, (head + 1) * columns)
            squared, mean = np.float64(squares[here].sum()), np.float64(sums[here].sum()) / elements
            out[0, index, head] = math.sqrt(squared)
            out[1, index, head] = mean
            out[2, index, head] = math.sqrt(max(squared / elements - mean * mean, 0.0))
            out[3, index, head] = most[here][largest[here].argmax()]


@jit
def chunk_means(values: np.ndarray, chunk: int, out: np.ndarray) -> None:
    """Fill ``out`` (nchunks, heads) with the mean over every ``chunk`` of ``values`` (seqlen, heads)."""
    seqlen, heads = values.shape
    for index in range(len(out)):
        first, stop = index * chunk, min((index + 1) * chunk, seqlen)
        out[index] = 0
        for token in range(first, stop):
            for head in range(heads):
                out[index, head] += values[token, head]
        out[index] /= stop - first


@jit
def count_sketch(values: np.ndarray, weight: np.ndarray, place: np.ndarray, out: np.ndarray) -> None:
    """Add each of ``values`` (n,), times its ``weight``, to its ``place`` in ``out``."""
    for index in range(len(values)):
        out[place[index]] += values[index] * weight[index]
