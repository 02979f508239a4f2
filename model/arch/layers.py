"""The leaves of the model: root-mean-square norm, a linear map in its weight's dtype, and the residual block."""

from __future__ import annotations

from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from kernels.cpu.elementwise import rms_norm
from kernels.cpu.products import Products
from kernels.types import Scan
from model.state import LayerState


class RMSNorm(nn.Module):
    """Root-mean-square norm (Zhang & Sennrich 2019, arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, u: Tensor) -> Tensor:
        """(..., width) -> (..., width), in the dtype of ``u``."""
        return rms_norm(u, self.weight, self.eps)


class Linear(nn.Linear):
    """A linear map whose product runs in the dtype of its weight, whatever comes in; without bias unless one is named.

    The residual stream stays in float32; a bfloat16 model casts at the product and nowhere else.
    """

    def __init__(self, wide_in: int, wide_out: int, *, bias: bool = False) -> None:
        super().__init__(wide_in, wide_out, bias=bias)
        self.products = Products()

    def forward(self, u: Tensor) -> Tensor:
        """(..., in) -> (..., out), in the dtype of the weight."""
        return self.products.linear(u.to(self.weight.dtype), self.weight, self.bias)


class Block(nn.Module):
    """Norm, mixer, residual: u + mixer(norm(u))."""

    def __init__(self, mixer: nn.Module, width: int, eps: float) -> None:
        super().__init__()
        self.norm = RMSNorm(width, eps)
        self.mixer = mixer

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> the same shape and the state after the last token."""
        mixed, state = self.mixer(self.norm(u), state, scan)
        return u + mixed, state


class Silent(nn.Module):
    """A ``mixer`` that reads and remembers as ever, and adds nothing to the residual stream."""

    def __init__(self, mixer: Any) -> None:
        super().__init__()
        self.mixer = mixer

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        state: LayerState = self.mixer.zero_state(batch)
        return state

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> zeros of the same shape and the state after the last token."""
        mixed, state = self.mixer(u, state, scan)
        return torch.zeros_like(mixed), state


def silenced(block: nn.Module) -> nn.Module:
    """``block``, whose mixer is silent; the weights are those of ``block``, which is not changed."""
    return replaced(block, mixer=Silent(block.mixer))


def replaced(module: nn.Module, **parts: nn.Module) -> Any:
    """A module like ``module`` with other ``parts`` and the rest shared."""
    other = copy(module)
    other._modules = {**module._modules, **parts}
    return other
