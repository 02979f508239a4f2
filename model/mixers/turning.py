"""Complex diagonal recurrences through a real scan: the state is kept in a frame that turns with it.

    h_t = exp(-nu + i theta) h_{t-1} + b_t          g_t = exp(-i theta t) h_t
    g_t = exp(-nu) g_{t-1} + exp(-i theta t) b_t

The frame changes no norm, and real mitigations, initial states and kernels act on g as on any other state. A complex
number is two channels, real parts first. Angles are formed in float64: those of the millionth token are right, too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def angles(theta: Tensor, read: Tensor, seqlen: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of theta (...) at the ``seqlen`` tokens after ``read`` (batch, 1): (batch, seqlen, ...) each.

    Rows that have read equally many tokens, as in training, share theirs: (1, seqlen, ...).
    """
    if len(read) > 1 and bool((read == read[:1]).all()):
        read = read[:1]
    positions = (read + torch.arange(1, seqlen + 1, device=read.device)).double()
    turned = (positions.view(*positions.shape, *[1] * theta.ndim) * theta.double()).remainder(2 * math.pi).to(theta)
    return turned.cos(), turned.sin()


def turned(
    real: Tensor, imaginary: Tensor, angle: tuple[Tensor, Tensor], *, back: bool = False
) -> tuple[Tensor, Tensor]:
    """The complex number times exp(i angle), or times exp(-i angle) if ``back``: its real and imaginary part."""
    cos, sin = angle
    sin = -sin if back else sin
    return real * cos - imaginary * sin, real * sin + imaginary * cos
