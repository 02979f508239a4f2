"""What stands between the products of a layer: norms, the gate, the short convolution; compiled where that is quicker.

Each function is a few lines of differentiable PyTorch. For inference in float32 on a CPU the same is done by
:mod:`kernels.cpu.fused`, in one pass over memory.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from kernels.cpu import fused

TAPS = 4
"""Of the compiled convolution; one of fewer has zeros before them."""


def rms_norm(u: Tensor, weight: Tensor, eps: float) -> Tensor:
    """u / sqrt(mean u^2 + eps) * weight (Zhang & Sennrich 2019, arXiv 1910.07467): (..., width), (width,)."""
    if not compiled(u, weight):
        return F.rms_norm(u, weight.shape, weight, eps)
    u = u.contiguous()
    out = torch.empty_like(u)
    fused.rms_norm(_numpy(u.view(-1, len(weight))), _numpy(weight), eps, _numpy(out.view(-1, len(weight))))
    return out


def gated_norm(y: Tensor, x: Tensor, skip: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The end of a Mamba-2 mixer, rms_norm((y + skip x) gate) over each group: (rows, seqlen, nheads * headdim).

    ``y`` (rows, seqlen, nheads, headdim); ``x`` (rows or 1, seqlen, channels), whose first nheads * headdim channels
    are taken; ``skip`` (nheads,); ``gate`` (rows or 1, seqlen, nheads * headdim); ``weight`` (ngroups, group's width).
    """
    nheads, headdim = y.shape[2:]
    width = nheads * headdim
    if not compiled(y, x, skip, gate, weight):
        skipped = x[..., :width].unflatten(-1, (nheads, headdim))
        gated = torch.addcmul(y, skipped, skip[:, None]).flatten(-2) * gate
        parts = gated.unflatten(-1, weight.shape)
        return (F.rms_norm(parts, parts.shape[-1:], eps=eps) * weight).flatten(-2)
    y = y.flatten(-2).contiguous()
    out = torch.empty_like(y)
    wide = skip.repeat_interleave(headdim).view(weight.shape)
    x, gate = x.contiguous(), gate.contiguous()
    fused.gated_norm(_numpy(y), _numpy(x), _numpy(wide), _numpy(gate), _numpy(weight), eps, _numpy(out))
    return out


def short_convolution(window: Tensor, inputs: Tensor, first: int, weight: Tensor, bias: Tensor) -> Tensor:
    """silu of a causal convolution, each channel on its own: (rows, seqlen, channels) in the dtype of ``window``.

    ``weight`` (taps, channels), ``bias`` (channels,); ``window`` (rows, taps - 1, channels) came before; of ``inputs``
    (rows, seqlen, more) the channels from ``first`` on are taken.
    """
    (taps, channels), seqlen = weight.shape, inputs.shape[1]
    if taps > TAPS or not compiled(window, weight, bias):
        span = torch.cat([window, inputs[..., first : first + channels].to(window.dtype)], dim=1)
        convolved = torch.addcmul(bias, span[:, :seqlen], weight[0])
        for tap in range(1, taps):
            convolved.addcmul_(span[:, tap : tap + seqlen], weight[tap])
        return F.silu(convolved, inplace=not torch.is_grad_enabled())
    out = window.new_empty(len(inputs), seqlen, channels)
    window, weight = (F.pad(given, (0, 0, TAPS - taps, 0)).contiguous() for given in (window, weight))
    inputs, bias = inputs.to(window.dtype).contiguous(), bias.contiguous()
    fused.short_convolution(_numpy(window), _numpy(inputs), first, _numpy(weight), _numpy(bias), _numpy(out))
    return out


def compiled(*tensors: Tensor) -> bool:
    """Whether :mod:`kernels.cpu.fused` takes these: float32 on a CPU, without a gradient."""
    return not torch.is_grad_enabled() and all(
        tensor.dtype == torch.float32 and tensor.device.type == "cpu" for tensor in tensors
    )


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().numpy()
