"""Triton: singular values of many small matrices, from their products with themselves; a program for every matrix.

    tridiagonal   Householder's reduction of a symmetric matrix in registers: n - 2 reflections
    bisect        the eigenvalues of a tridiagonal matrix, each by bisection on Sturm's count of those below a point
                  (Barth, Martin & Wilkinson 1967), all of a matrix side by side

The error is a few roundings of the largest eigenvalue, as that of LAPACK's solver is. A library's batched solver runs
matrices of more than 32 rows one after the other, or in several passes over memory.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

STEPS = 32
"""Halvings of an interval: what float32 can tell apart, and a few more."""


@triton.jit
def tridiagonal(matrices, diagonal, beside, n, N: tl.constexpr):  # type: ignore[no-untyped-def]
    """``diagonal`` and ``beside`` (count, N): of a tridiagonal matrix with the eigenvalues of each symmetric one."""
    which = tl.program_id(0).to(tl.int64)
    row = tl.arange(0, N)
    inside = (row < n)[:, None] & (row < n)[None, :]
    A = tl.load(matrices + which * n * n + row[:, None] * n + row[None, :], mask=inside, other=0.0)
    for step in range(n - 1):
        below = row > step
        column = tl.sum(tl.where(row[None, :] == step, A, 0.0), axis=1)
        x = tl.where(below, column, 0.0)
        largest = tl.max(tl.abs(x), axis=0)
        scaled = x / tl.maximum(largest, 1e-37)
        length = tl.sqrt(tl.sum(scaled * scaled, axis=0))
        head = tl.sum(tl.where(row == step + 1, scaled, 0.0), axis=0)
        alpha = tl.where(head > 0, -length, length)
        v = tl.where(row == step + 1, scaled - alpha, scaled)
        half = length * length - alpha * head  # |v|^2 / 2
        factor = tl.where(half > 0, 1.0 / tl.maximum(half, 1e-37), 0.0)
        p = tl.sum(A * v[None, :], axis=1) * factor
        q = p - v * (tl.sum(p * v, axis=0) * factor * 0.5)
        tl.store(diagonal + which * N + step, tl.sum(tl.where(row == step, column, 0.0), axis=0))
        tl.store(beside + which * N + step, alpha * largest)
        A -= v[:, None] * q[None, :] + q[:, None] * v[None, :]
    last = (row == n - 1)[:, None] & (row == n - 1)[None, :]
    tl.store(diagonal + which * N + n - 1, tl.sum(tl.sum(tl.where(last, A, 0.0), axis=1), axis=0))


@triton.jit
def bisect(diagonal, beside, eigenvalues, n, N: tl.constexpr, STEPS: tl.constexpr):  # type: ignore[no-untyped-def]
    """``eigenvalues`` (count, n) in rising order, none below 0: those of a product of a matrix with itself."""
    which = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, N)
    diagonal += which * N
    beside += which * N
    d = tl.load(diagonal + place, mask=place < n, other=0.0)
    after = tl.abs(tl.load(beside + place, mask=place < n - 1, other=0.0))
    before = tl.abs(tl.load(beside + place - 1, mask=(place > 0) & (place < n), other=0.0))
    bound = tl.max(tl.abs(d) + after + before, axis=0)  # Gershgorin's
    low = tl.zeros([N], tl.float32)
    high = low + bound
    tiny = bound * 1e-12 + 1e-37
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        count = tl.zeros([N], tl.int32)
        pivot = tl.zeros([N], tl.float32) + 1.0
        coupling = 0.0
        for at in range(n):
            pivot = tl.load(diagonal + at) - middle - coupling / pivot
            pivot = tl.where(tl.abs(pivot) < tiny, -tiny, pivot)
            count += (pivot < 0).to(tl.int32)
            e = tl.load(beside + at, mask=at < n - 1, other=0.0)
            coupling = e * e
        high = tl.where(count > place, middle, high)
        low = tl.where(count > place, low, middle)
    tl.store(eigenvalues + which * n + place, 0.5 * (low + high), mask=place < n)


def eigenvalues(grams: Tensor) -> Tensor:
    """Of symmetric matrices without negative ones, float32: (..., n, n) -> (..., n), n at most 128."""
    n = grams.shape[-1]
    matrices = grams.reshape(-1, n, n).float().contiguous()
    widest = max(16, triton.next_power_of_2(n))
    diagonal, beside = matrices.new_zeros(2, len(matrices), widest)
    found = matrices.new_empty(len(matrices), n)
    if len(matrices):
        warps = 4 if widest <= 64 else 16
        tridiagonal[(len(matrices),)](matrices, diagonal, beside, n, N=widest, num_warps=warps)
        bisect[(len(matrices),)](diagonal, beside, found, n, N=widest, STEPS=STEPS, num_warps=max(1, widest // 32))
    return found.view(grams.shape[:-1])
