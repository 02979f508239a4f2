"""Complex diagonal recurrences through a real scan: the state is kept in a frame that turns with it.

    h_t = exp(-nu + i theta) h_{t-1} + b_t          g_t = exp(-i theta t) h_t
    g_t = exp(-nu) g_{t-1} + exp(-i theta t) b_t

The frame changes no norm, and real mitigations, initial states and kernels act on g as on any other state. A complex
number is two channels, real parts first. Angles are formed in float64: those of the millionth token are right, too.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Memory, Scan, ScanInputs
from model.arch.layers import Linear
from model.config import ModelConfig
from model.state import LayerState


class GatedOutput(nn.Module):
    """W_out (a * sigmoid(b)), a and b = W_g gelu(y): how LRU and S5 leave the recurrence."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate_proj, self.out_proj = Linear(width, 2 * width), Linear(width, width)

    def forward(self, y: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        return self.out_proj(F.glu(self.gate_proj(F.gelu(y))))


class ComplexMixer(nn.Module):
    """What LRU and S5 share: d_inner / 2 complex channels between products, and a gated output.

    h_t        = exp(log_decay + i theta) h_{t-1} + factor (B u_t)
    y_t        = scale Re(C h_t) + D u_t
    out        = W_out (a * sigmoid(b))            a, b = W_g gelu(y)
    """

    scale = 1

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.headdim == config.d_state == 1, "a complex channel is two heads of one number"
        self.config = config
        self.B, self.C = Linear(config.d_model, config.d_inner), Linear(config.d_inner, config.d_model)
        self.D = nn.Parameter(torch.ones(config.d_model))
        self.output = GatedOutput(config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences; its ``rest`` is how many tokens have been read, (batch, 1)."""
        return empty_channels(self.config, self.D, batch)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        sums = state.window.dtype
        real, imaginary = self.B(u).to(sums).chunk(2, dim=-1)
        log_decay, theta, factor = self.transition()
        h, after = scanned_complex(*times(factor, (real, imaginary)), log_decay, theta, state, scan)
        y = self.scale * self.C(h).to(sums) + self.D * u.to(sums)
        return self.output(y).to(u.dtype), after

    def transition(self) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """log_decay, theta, and real and imaginary part of the factor of the input, (d_inner / 2,) each."""
        raise NotImplementedError


def times(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The product of two complex numbers, by real and imaginary part."""
    return one[0] * other[0] - one[1] * other[1], one[0] * other[1] + one[1] * other[0]


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


def empty_channels(config: ModelConfig, like: Tensor, batch: int) -> LayerState:
    """The empty memory of d_inner channels of one number, and how many tokens have been read."""
    memory = Memory(like.new_zeros(batch, config.d_inner, 1, 1))
    return LayerState(memory, like.new_zeros(batch, 0, config.d_model), (like.new_zeros(batch, 1, dtype=torch.int64),))


def scanned_complex(
    real: Tensor, imaginary: Tensor, log_decay: Tensor, theta: Tensor, state: LayerState, scan: Scan
) -> tuple[Tensor, LayerState]:
    """h_t = exp(log_decay + i theta) h_{t-1} + b_t of complex channels (batch, seqlen, channels), from ``state``.

    Returns real and imaginary parts side by side, (batch, seqlen, 2 channels), and the state after the last token.
    """
    (read,), seqlen = state.rest, real.shape[1]
    angle = angles(theta, read, seqlen)
    written = torch.cat(turned(real, imaginary, angle, back=True), dim=-1)
    ones = written.new_ones(*written.shape[:2], 1, 1)
    decay = torch.cat([log_decay, log_decay]).expand_as(written)[..., None]
    output = scan(ScanInputs(written[..., None], ones, ones, decay), state.memory)
    g_real, g_imaginary = output.y[..., 0].chunk(2, dim=-1)
    h = torch.cat(turned(g_real, g_imaginary, angle), dim=-1)
    return h, LayerState(output.memory, state.window, (read + seqlen,))
