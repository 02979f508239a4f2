"""Triton: what stands around the scan of a Mamba-2 layer, one pass over memory each, and the losses behind the head.

    convolve        silu of the short convolution, and beside it what the scan writes: x times its step
    gate_and_norm   rms_norm((y + skip x) silu(gate)) over each group of channels
    score_rows      log sum exp of a row of scores minus the target's, in float32 whatever the scores are in

For inference: nothing here has a gradient. Sums are in float32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.triton.tiles import LOG2_E

TOKENS, CHANNELS = 32, 128
"""Tile of the convolution."""
WORDS = 4096
"""Scores of a row that are read at once."""


@triton.jit(do_not_specialize=["seqlen"])
def convolve(  # type: ignore[no-untyped-def]
    window, inputs, weight, bias, step, out, written,
    seqlen, channels, stride, first, inner, nheads, headdim,
    TAPS: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """``out`` (rows, seqlen, channels) and ``written`` (rows, seqlen, inner), of a tile of tokens and channels."""
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    row = tl.program_id(2).to(tl.int64)
    known = channel < channels
    total = tl.load(bias + channel, mask=known, other=0.0)[None, :] + tl.zeros([TOKENS, CHANNELS], tl.float32)
    for tap in tl.static_range(TAPS):
        at = token + tap - (TAPS - 1)
        now = tl.load(
            inputs + (row * seqlen + at)[:, None] * stride + first + channel[None, :],
            mask=((at >= 0) & (at < seqlen))[:, None] & known[None, :], other=0.0,
        ).to(tl.float32)  # fmt: skip
        before = tl.load(
            window + (row * (TAPS - 1) + at + TAPS - 1)[:, None] * channels + channel[None, :],
            mask=(at < 0)[:, None] & known[None, :], other=0.0,
        )  # fmt: skip
        total += tl.load(weight + tap * channels + channel, mask=known, other=0.0)[None, :] * (now + before)
    value = total / (1.0 + tl.exp(-total))
    inside = (token < seqlen)[:, None]
    place = (row * seqlen + token)[:, None]
    tl.store(out + place * channels + channel[None, :], value, mask=inside & known[None, :])
    own = inside & (channel < inner)[None, :]
    size = tl.load(step + place * nheads + (channel // headdim)[None, :], mask=own, other=0.0)
    tl.store(written + place * inner + channel[None, :], value * size, mask=own)


@triton.jit
def gate_and_norm(  # type: ignore[no-untyped-def]
    y, x, skip, gate, weight, out,
    x_stride, gate_stride, inner, headdim, part, eps,
    PART: tl.constexpr,
):  # fmt: skip
    """``out`` (tokens, inner), of one token and one group of ``part`` channels."""
    token, group = tl.program_id(0).to(tl.int64), tl.program_id(1)
    column = tl.arange(0, PART)
    known = column < part
    channel = group * part + column
    given = tl.load(y + token * inner + channel, mask=known, other=0.0).to(tl.float32)
    read = tl.load(x + token * x_stride + channel, mask=known, other=0.0).to(tl.float32)
    opened = tl.load(gate + token * gate_stride + channel, mask=known, other=0.0).to(tl.float32)
    kept = tl.load(skip + channel // headdim, mask=known, other=0.0)
    value = (given + kept * read) * (opened / (1.0 + tl.exp(-opened)))
    scale = 1.0 / tl.sqrt(tl.sum(value * value, axis=0) / part + eps)
    tl.store(
        out + token * inner + channel, value * scale * tl.load(weight + channel, mask=known, other=0.0), mask=known
    )


@triton.jit(do_not_specialize=["words"])
def score_rows(scores, targets, losses, words, WORDS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The loss of one row: every lane keeps its own maximum and sum, which meet at the end."""
    row = tl.program_id(0).to(tl.int64)
    scores += row * words
    column = tl.arange(0, WORDS)
    highest = tl.full([WORDS], -1e30, tl.float32)
    total = tl.zeros([WORDS], tl.float32)
    for first in range(0, words, WORDS):
        part = tl.load(scores + first + column, mask=first + column < words, other=float("-inf")).to(tl.float32)
        top = tl.maximum(highest, part)
        total = total * tl.exp2((highest - top) * LOG2_E) + tl.exp2((part - top) * LOG2_E)
        highest = top
    largest = tl.max(highest, axis=0)
    whole = tl.sum(total * tl.exp2((highest - largest) * LOG2_E), axis=0)
    wanted = tl.load(scores + tl.load(targets + row)).to(tl.float32)
    tl.store(losses + row, largest + tl.log(whole) - wanted)


def mixer_inputs(
    window: Tensor, projected: Tensor, first: int, weight: Tensor, bias: Tensor, step: Tensor, headdim: int
) -> tuple[Tensor, Tensor]:
    """See :func:`kernels.layer.mixer_inputs`; both results in the dtype of ``projected``."""
    (taps, channels), (rows, seqlen, stride), nheads = weight.shape, projected.shape, step.shape[2]
    inner = nheads * headdim
    out, written = projected.new_empty(rows, seqlen, channels), projected.new_empty(rows, seqlen, inner)
    convolve[(triton.cdiv(seqlen, TOKENS), triton.cdiv(channels, CHANNELS), rows)](
        window.contiguous(), projected.contiguous(), weight.contiguous(), bias, step.contiguous(), out, written,
        seqlen, channels, stride, first, inner, nheads, headdim, TAPS=taps, TOKENS=TOKENS, CHANNELS=CHANNELS,
    )  # fmt: skip
    return out, written


def gated_norm(y: Tensor, x: Tensor, skip: Tensor, gate: Tensor, weight: Tensor, eps: float) -> Tensor:
    """See :func:`kernels.layer.gated_norm`; in the dtype of ``gate``, whose rows may lie apart."""
    rows, seqlen, nheads, headdim = y.shape
    groups, part = weight.shape
    inner = nheads * headdim
    out = gate.new_empty(rows, seqlen, inner)
    widest = triton.next_power_of_2(part)
    gate_and_norm[(rows * seqlen, groups)](
        y.contiguous(), x.contiguous(), skip, gate, weight.contiguous(), out,
        x.shape[-1], gate.stride(1), inner, headdim, part, eps, PART=widest, num_warps=4 if widest <= 2048 else 8,
    )  # fmt: skip
    return out


def row_losses(scores: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats of every row: (rows, words), (rows,) int64 -> (rows,) float32."""
    losses = torch.empty(len(targets), dtype=torch.float32, device=scores.device)
    score_rows[(len(targets),)](scores, targets.contiguous(), losses, scores.shape[1], WORDS=WORDS, num_warps=8)
    return losses
