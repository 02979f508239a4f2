"""Our modules around the library's parameters: only what has another order or dtype there is copied."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from model.arch.layers import Linear, RMSNorm


def linear(theirs: Any) -> Linear:
    """A linear map of ours that shares the parameters of the library's."""
    with torch.device("meta"):
        ours = Linear(theirs.in_features, theirs.out_features, bias=theirs.bias is not None)
    ours.weight, ours.bias = theirs.weight, theirs.bias
    return ours


def norm(weight: Tensor, eps: float) -> RMSNorm:
    """A norm of ours over as many channels as ``weight`` has."""
    ours = RMSNorm(len(weight), eps)
    ours.weight = own(weight)
    return ours


def own(tensor: Tensor) -> nn.Parameter:
    """``tensor`` as a parameter in float32: everything but the matrices of products is kept in it."""
    return nn.Parameter(tensor.detach().float().contiguous(), requires_grad=False)


def taps(convolution: Any) -> tuple[nn.Parameter, nn.Parameter]:
    """Weight (taps, channels), the oldest first, and bias (channels,) of the library's depthwise convolution."""
    weight = own(convolution.weight.squeeze(1).T)
    return weight, own(weight.new_zeros(weight.shape[1]) if convolution.bias is None else convolution.bias)


def stacked(weight: Tensor) -> Linear:
    """A linear map of ours without bias, of the matrix ``weight`` (out, in)."""
    with torch.device("meta"):
        ours = Linear(weight.shape[1], weight.shape[0])
    ours.weight = nn.Parameter(weight.detach().contiguous(), requires_grad=False)
    return ours
