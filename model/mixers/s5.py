"""S5 (Smith et al. 2022, arXiv 2208.04933): one state space of many inputs and many outputs per layer.

    h'(t)      = Lambda h(t) + B u(t)              complex and diagonal; Lambda starts as the eigenvalues of HiPPO-N
    h_t        = exp(Lambda delta) h_{t-1} + (exp(Lambda delta) - 1) / Lambda (B u_t)        zero-order hold
    y_t        = 2 Re(C h_t) + D u_t               of each pair of conjugates one is kept
    out        = W_out (a * sigmoid(b))            a, b = W_g gelu(y)

delta is learned, one per channel. The line of h_t is the scan's, in a frame that turns (:mod:`model.mixers.turning`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from model.config import ModelConfig
from model.mixers.turning import ComplexMixer

STEPS = 1e-3, 1e-1
"""delta at the start, log-uniform between these."""


class S5(ComplexMixer):
    """One mixer of d_inner / 2 complex channels."""

    scale = 2

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        channels = config.d_inner // 2
        self.decay_log = nn.Parameter(torch.full((channels,), math.log(0.5)))  # of minus the real part of Lambda
        self.frequency = nn.Parameter(frequencies(channels))
        self.step_log = nn.Parameter(torch.empty(channels).uniform_(*map(math.log, STEPS)))

    def transition(self) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Of Lambda, held for a step."""
        return held(self.decay_log, self.frequency, self.step_log)


def frequencies(channels: int) -> Tensor:
    """The positive imaginary parts of the eigenvalues of HiPPO-N of twice that size, (channels,)."""
    root = torch.sqrt(2 * torch.arange(2 * channels, dtype=torch.float64) + 1)
    below = -torch.tril(root[:, None] * root, -1)
    skew = (below - below.T) / 2  # HiPPO-N is this minus a half of the identity
    return torch.linalg.eigvalsh(1j * skew).sort().values[channels:].float()


def held(decay_log: Tensor, frequency: Tensor, step_log: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Of Lambda = -exp(decay_log) + i frequency, held for a step: log decay, angle, and the factor of the input.

    The factor (exp(Lambda delta) - 1) / Lambda is complex: its real and imaginary part.
    """
    decay, step = decay_log.exp(), step_log.exp()
    log_decay, theta = -decay * step, frequency * step
    size = log_decay.exp()
    top_real, top_imaginary = size * theta.cos() - 1, size * theta.sin()
    squared = decay.square() + frequency.square()
    factor = (
        (-decay * top_real + frequency * top_imaginary) / squared,
        (-decay * top_imaginary - frequency * top_real) / squared,
    )
    return log_decay, theta, factor
