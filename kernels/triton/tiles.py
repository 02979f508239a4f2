"""What the Triton kernels share: products as precise as their inputs, and decay whose differences keep their digits.

Importing this file imports Triton. Under its interpreter (TRITON_INTERPRET=1 at import) kernels run on CPU tensors.
"""

from __future__ import annotations

import os

import torch
import triton
import triton.language as tl
from torch import Tensor

LOG2_E = tl.constexpr(1.4426950408889634)

INTERPRETED = os.environ.get("TRITON_INTERPRET", "0") == "1"
"""Whether kernels decorated from now on are interpreted: Triton reads the variable as it decorates."""

PRODUCTS_OF = {torch.float32: "tf32x3", torch.float16: "tf32", torch.bfloat16: "bf16"}
"""How matrix products run, by the dtype of x: float16 in tf32, which has its digits and not its overflow."""


def products_of(tensor: Tensor) -> str:
    """The products for ``tensor``'s dtype. The interpreter knows no bfloat16, so there it is rounded and widened."""
    products = PRODUCTS_OF[tensor.dtype]
    return "rounded" if INTERPRETED and products == "bf16" else products


@triton.jit
def dot(a, b, PRODUCTS: tl.constexpr):  # type: ignore[no-untyped-def]
    """``a b`` in float32, from operands rounded as PRODUCTS says."""
    if PRODUCTS == "bf16":
        return tl.dot(a.to(tl.bfloat16), b.to(tl.bfloat16))
    elif PRODUCTS == "rounded":
        return tl.dot(a.to(tl.bfloat16).to(tl.float32), b.to(tl.bfloat16).to(tl.float32))
    else:
        return tl.dot(a.to(tl.float32), b.to(tl.float32), input_precision=PRODUCTS)


@triton.jit
def running_decay(log2_decay):  # type: ignore[no-untyped-def]
    """Running sums of (CHUNK,) float32 and their total, each as a float32 and what float32 leaves of it.

    A token that resets a head makes the sums large, while the differences after it stay small: in one float32 they
    would lose their digits.
    """
    wide = log2_decay.to(tl.float64)
    running, total = tl.cumsum(wide, axis=0), tl.sum(wide, axis=0)
    high, total_high = running.to(tl.float32), total.to(tl.float32)
    low, total_low = (running - high.to(tl.float64)).to(tl.float32), (total - total_high.to(tl.float64)).to(tl.float32)
    return high, low, total_high, total_low


@triton.jit
def causal(high, low, CHUNK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Decay from token j to token i, zero for j > i: (CHUNK, CHUNK). Every exponent is a difference, none above 0."""
    token = tl.arange(0, CHUNK)
    between = (high[:, None] - high[None, :]) + (low[:, None] - low[None, :])
    return tl.where(token[:, None] >= token[None, :], tl.exp2(tl.minimum(between, 0.0)), 0.0)


@triton.jit
def tokens_of(pointer, rows, stride, count, WIDTH: tl.constexpr):  # type: ignore[no-untyped-def]
    """Rows of WIDTH elements in the dtype that they have, zero from row ``count`` on: half the registers of float32."""
    at = pointer + rows[:, None] * stride + tl.arange(0, WIDTH)[None, :]
    return tl.load(at, mask=(rows < count)[:, None], other=0.0)


@triton.jit
def rows_of(pointer, rows, stride, count, WIDTH: tl.constexpr):  # type: ignore[no-untyped-def]
    """Rows of WIDTH elements in float32, zero from row ``count`` on."""
    return tokens_of(pointer, rows, stride, count, WIDTH).to(tl.float32)


@triton.jit
def store_rows(pointer, rows, stride, count, values, WIDTH: tl.constexpr):  # type: ignore[no-untyped-def]
    """Store ``values`` (rows, WIDTH) up to row ``count``."""
    at = pointer + rows[:, None] * stride + tl.arange(0, WIDTH)[None, :]
    tl.store(at, values, mask=(rows < count)[:, None])


@triton.jit
def state_at(index, HEADDIM: tl.constexpr, WIDTH: tl.constexpr, D_STATE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Where the first WIDTH columns of the state number ``index`` are in a tensor of states: (HEADDIM, WIDTH)."""
    return index * (HEADDIM * D_STATE) + tl.arange(0, HEADDIM)[:, None] * D_STATE + tl.arange(0, WIDTH)[None, :]
