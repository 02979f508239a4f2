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

from model.config import ModelConfig
from model.mixers.turning import ComplexMixer

RADII = 0.9, 0.999
"""|lambda| at the start, uniform on this ring."""


class LRU(ComplexMixer):
    """One mixer of d_inner / 2 complex channels."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        channels = config.d_inner // 2
        least, most = RADII
        radius = torch.empty(channels).uniform_(least**2, most**2).sqrt()
        self.nu_log = nn.Parameter(torch.log(-torch.log(radius)))
        self.theta_log = nn.Parameter(torch.log(torch.empty(channels).uniform_(0, 2 * math.pi)))
        self.gamma_log = nn.Parameter(torch.log(torch.sqrt(1 - radius**2)))

    def transition(self) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Of lambda; gamma is real."""
        gamma = self.gamma_log.exp()
        return -self.nu_log.exp(), self.theta_log.exp(), (gamma, torch.zeros_like(gamma))
