"""S4D (Gu et al. 2022, arXiv 2206.11893): a diagonal state space of its own for every channel.

    h'(t)      = A h(t) + v(t)                     d_state / 2 complex numbers a channel; A starts as -1/2 + i pi n
    h_t        = exp(A delta) h_{t-1} + (exp(A delta) - 1) / A v_t        zero-order hold, one delta a channel
    y_t        = 2 Re(C h_t) + D v_t               v = W_in u
    out        = a * sigmoid(b)                    a, b = W_g gelu(y)

The line of h_t is the scan's, in a frame that turns (:mod:`model.mixers.turning`): what turns is where a channel writes
and reads, B and C of the scan, which hold real parts first.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Memory, Scan, ScanInputs
from model.arch.layers import Linear
from model.config import ModelConfig
from model.mixers.s5 import STEPS, held
from model.mixers.turning import angles, turned
from model.state import LayerState


class S4D(nn.Module):
    """One mixer of d_inner channels."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.headdim == 1, "a head of S4D is one channel"
        assert config.d_state % 2 == 0, "states are pairs of real and imaginary part"
        self.config = config
        width, pairs = config.d_inner, config.d_state // 2
        self.in_proj = Linear(config.d_model, width)
        self.gate_proj = Linear(width, 2 * config.d_model)
        self.decay_log = nn.Parameter(torch.full((width, pairs), math.log(0.5)))
        self.frequency = nn.Parameter((math.pi * torch.arange(pairs)).expand(width, -1).clone())
        self.step_log = nn.Parameter(torch.empty(width, 1).uniform_(*map(math.log, STEPS)))
        self.C_real, self.C_imaginary = (nn.Parameter(torch.randn(width, pairs) * 0.5**0.5) for _ in range(2))
        self.D = nn.Parameter(torch.ones(width))

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences; its ``rest`` is how many tokens have been read, (batch, 1)."""
        config, like = self.config, self.D
        memory = Memory(like.new_zeros(batch, config.d_inner, 1, config.d_state))
        read = like.new_zeros(batch, 1, dtype=torch.int64)
        return LayerState(memory, like.new_zeros(batch, 0, config.d_model), (read,))

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        (read,), sums, seqlen = state.rest, state.window.dtype, u.shape[1]
        v = self.in_proj(u).to(sums)
        log_decay, theta, hold = held(self.decay_log, self.frequency, self.step_log)
        angle = angles(theta, read, seqlen)  # (batch or 1, seqlen, d_inner, d_state / 2)
        read_real, read_imaginary = turned(self.C_real, self.C_imaginary, angle)
        inputs = ScanInputs(
            x=v[..., None],
            B=torch.cat(turned(*hold, angle, back=True), dim=-1).expand(len(u), -1, -1, -1),
            C=2 * torch.cat([read_real, -read_imaginary], dim=-1).expand(len(u), -1, -1, -1),
            log_decay=torch.cat([log_decay, log_decay], dim=-1).expand(*u.shape[:2], -1, -1),
        )
        output = scan(inputs, state.memory)
        y = output.y[..., 0] + self.D * v
        after = LayerState(output.memory, state.window, (read + seqlen,))
        return F.glu(self.gate_proj(F.gelu(y))).to(u.dtype), after
