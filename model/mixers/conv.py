"""The short causal convolution of a mixer, which carries its window from one segment to the next."""

from __future__ import annotations

import torch
from torch import Tensor


def causal_conv(window: Tensor, u: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Every channel convolved with its own taps over the tokens up to its own.

    ``window`` (batch, taps - 1, channels) are the inputs before ``u`` (batch, seqlen, channels), ``weight``
    (taps, channels) begins with the oldest. Returns (batch, seqlen, channels) and the window after ``u``.
    """
    span = torch.cat([window, u.to(window.dtype)], dim=1)
    seqlen = u.shape[1]
    convolved = torch.addcmul(bias, span[:, :seqlen], weight[0])
    for tap in range(1, len(weight)):
        convolved = torch.addcmul(convolved, span[:, tap : tap + seqlen], weight[tap])
    return convolved, span[:, seqlen:]
