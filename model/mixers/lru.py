"""LRU, the linear recurrent unit (Orvieto et al. 2023, arXiv 2303.06349), with its gated output.

    h_t        = lambda h_{t-1} + gamma (B u_t)              complex; lambda = exp(-exp(nu) + i exp(theta))
    y_t        = Re(C h_t) + D u_t
    out        = W_out (a * sigmoid(b))                      a, b = W_g gelu(y)

gamma starts as sqrt(1 - |lambda|^2) and is learned. The line of h_t is the scan's, in a frame that turns (see
:mod:`model.mixers.turning`): two channels of one number each for every complex one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Memory, Scan, ScanInputs
from model.arch.layers import Linear
from model.config import ModelConfig
from model.mixers.turning import angles, turned
from model.state import LayerState

RADII = 0.9, 0.999
"""|lambda| at the start, uniform on this ring."""


class GatedOutput(nn.Module):
    """W_out (a * sigmoid(b)), a and b = W_g gelu(y): how LRU and S5 leave the recurrence."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate_proj, self.out_proj = Linear(width, 2 * width), Linear(width, width)

    def forward(self, y: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        return self.out_proj(F.glu(self.gate_proj(F.gelu(y))))


class LRU(nn.Module):
    """One mixer of d_inner / 2 complex channels."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.headdim == config.d_state == 1, "a complex channel is two heads of one number"
        self.config = config
        channels = config.d_inner // 2
        self.B, self.C = Linear(config.d_model, config.d_inner), Linear(config.d_inner, config.d_model)
        self.D = nn.Parameter(torch.ones(config.d_model))
        self.output = GatedOutput(config.d_model)
        least, most = RADII
        radius = torch.empty(channels).uniform_(least**2, most**2).sqrt()
        self.nu_log = nn.Parameter(torch.log(-torch.log(radius)))
        self.theta_log = nn.Parameter(torch.log(torch.empty(channels).uniform_(0, 2 * math.pi)))
        self.gamma_log = nn.Parameter(torch.log(torch.sqrt(1 - radius**2)))

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences; its ``rest`` is how many tokens have been read, (batch, 1)."""
        return empty_channels(self.config, self.nu_log, batch)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        sums = state.window.dtype
        real, imaginary = self.B(u).to(sums).chunk(2, dim=-1)
        gamma = self.gamma_log.exp()
        h, after = scanned_complex(
            gamma * real, gamma * imaginary, -self.nu_log.exp(), self.theta_log.exp(), state, scan
        )
        y = self.C(h).to(sums) + self.D * u.to(sums)
        return self.output(y).to(u.dtype), after


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
