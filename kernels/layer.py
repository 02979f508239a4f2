"""What stands around the scan of a layer, and what is recorded of its states, on the device of the tensors.

Triton on a GPU, PyTorch elsewhere.

As :mod:`kernels.dispatch` does for the scan: MEMORY_EXPLORER_KERNEL forces either, a kernel that is missing or fails
leaves one line in the log, and PyTorch runs from then on. With a gradient PyTorch runs in any case.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cpu import elementwise
from kernels.dispatch import attempt, forced_kernel

KERNELS = {
    "mixer_inputs": "kernels.triton.layer",
    "gated_norm": "kernels.triton.layer",
    "row_losses": "kernels.triton.layer",
    "eigenvalues": "kernels.triton.singular",
}
"""The functions that Triton has a kernel for, and where."""

WIDEST = 128
"""Rows of a matrix whose eigenvalues a program finds in its registers."""


def mixer_inputs(
    window: Tensor, projected: Tensor, first: int, weight: Tensor, bias: Tensor, step: Tensor, headdim: int
) -> tuple[Tensor, Tensor]:
    """The short convolution of a Mamba-2 mixer and, of its x, what is written: x times its step size.

    ``projected`` (rows, seqlen, more), of which the channels from ``first`` on are convolved after ``window`` (rows,
    taps - 1, channels) with ``weight`` (taps, channels) and ``bias`` (channels,); ``step`` (rows, seqlen, nheads, 1).
    Returns (rows, seqlen, channels), and (rows, seqlen, nheads, headdim) in the dtype of ``projected``.
    """
    nheads = step.shape[2]
    found = _by_kernel("mixer_inputs", projected, window, projected, first, weight, bias, step, headdim)
    if found is not None:
        return found[0], found[1].unflatten(-1, (nheads, headdim))
    convolved = elementwise.short_convolution(window, projected, first, weight, bias)
    x = convolved[..., : nheads * headdim].unflatten(-1, (nheads, headdim))
    return convolved, (x * step).to(projected.dtype)


def gated_norm(y: Tensor, x: Tensor, skip: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The end of a Mamba-2 mixer, rms_norm((y + skip x) silu(gate)) over each group: (rows, seqlen, inner).

    Shapes as in :func:`kernels.cpu.elementwise.gated_norm`, but ``gate`` is what is projected for it, in any dtype.
    """
    found: Tensor | None = _by_kernel("gated_norm", gate, y, x, skip, gate, weight, eps)
    if found is not None:
        return found
    return elementwise.gated_norm(y, x.to(y.dtype), skip, F.silu(gate.to(y.dtype)), weight, eps)


def row_losses(scores: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats, summed in float32 whatever ``scores`` are in: (rows, words), (rows,) -> (rows,)."""
    found: Tensor | None = _by_kernel("row_losses", scores, scores, targets)
    if found is not None:
        return found
    return -F.log_softmax(scores, dim=-1, dtype=torch.float32).gather(1, targets[:, None])[:, 0]


def eigenvalues(grams: Tensor) -> Tensor:
    """Those of the products of matrices with themselves, rising: (..., n, n) -> (..., n)."""
    found: Tensor | None = None
    if grams.shape[-1] <= WIDEST and grams.device.type != "cpu":
        found = _by_kernel("eigenvalues", grams, grams)
    return torch.linalg.eigvalsh(grams) if found is None else found


def _by_kernel(name: str, like: Tensor, *arguments: Any) -> Any:
    """What the Triton kernel ``name`` makes of ``arguments``; None where none runs on the device of ``like``."""
    if torch.is_grad_enabled() or like.dtype == torch.float64:
        return None

    def by_triton() -> Any:
        return getattr(importlib.import_module(KERNELS[name]), name)(*arguments)

    return attempt(name, by_triton, forced=forced_kernel(), gpu=like.device.type == "cuda")
