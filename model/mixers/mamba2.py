"""Mamba-2 (Dao & Gu 2024, arXiv 2405.21060), the mixer alone.

    z, xBC, dt = W_in u                         gate, convolved channels, step
    x, B, C    = silu(conv_4(xBC))
    delta_t    = softplus(dt + bias)            step size, one per head
    h_t        = exp(delta_t A) h_{t-1} + (delta_t x_t) B_t^T        A = -exp(A_log) < 0
    y_t        = h_t C_t + D x_t
    out        = W_out rmsnorm(y * silu(z))

The second line from h_t on is the scan's; everything else is here. What Stuffed Mamba (arXiv 2410.07145) calls
memory retention alpha_t is exp(delta_t A), and its insertion is delta_t x_t B_t^T.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Memory, Scan, ScanInputs
from model.config import ModelConfig
from model.layers import Linear, RMSNorm
from model.state import LayerState


class Mamba2(nn.Module):
    """One Mamba-2 mixer; parameter names are those of the published checkpoints."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.d_inner + 2 * config.ngroups * config.d_state
        self.in_proj = Linear(config.d_model, config.d_inner + channels + config.nheads)
        self.conv_weight = nn.Parameter(torch.empty(config.d_conv, channels))
        self.conv_bias = nn.Parameter(torch.empty(channels))
        self.dt_bias = nn.Parameter(torch.empty(config.nheads))
        self.A_log = nn.Parameter(torch.empty(config.nheads))
        self.D = nn.Parameter(torch.ones(config.nheads))
        self.norm = RMSNorm(config.d_inner, config.norm_eps, config.ngroups)
        self.out_proj = Linear(config.d_inner, config.d_model)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """The paper's initialisation, but for A, uniform in [0.001, 0.1] and not in [1, 16]: all start slow."""
        config = self.config
        step = torch.exp(torch.empty_like(self.dt_bias).uniform_(math.log(1e-3), math.log(1e-1)))
        self.dt_bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
        self.A_log.copy_(torch.empty_like(self.A_log).uniform_(0.001, 0.1).log())
        bound = config.d_conv**-0.5
        self.conv_weight.uniform_(-bound, bound)
        self.conv_bias.uniform_(-bound, bound)
        self.out_proj.weight.normal_(std=0.02 / math.sqrt(2 * len(config.layers)))

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        config = self.config
        shape = (batch, config.nheads, config.headdim, config.d_state)
        window = self.A_log.new_zeros(batch, config.d_conv - 1, self.conv_weight.shape[1])
        return LayerState(Memory(self.A_log.new_zeros(shape)), window)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        config = self.config
        projected = self.in_proj(u)
        z, written = projected.split([config.d_inner, projected.shape[-1] - config.d_inner], dim=-1)
        x, inputs, window = self._inputs(written, state.window)
        output = scan(inputs, state.memory)

        y = torch.addcmul(output.y, x, self.D[:, None]).flatten(-2)
        y = self.norm(y * F.silu(z.to(y.dtype)))
        return self.out_proj(y).to(u.dtype), LayerState(output.memory, window)

    def advance(self, u: Tensor, state: LayerState, scan: Scan) -> LayerState:
        """The state that :meth:`forward` leaves, for a last layer whose output nobody reads: no gate, no projection."""
        weight = self.in_proj.weight
        written = F.linear(u.to(weight.dtype), weight[self.config.d_inner :])
        _, inputs, window = self._inputs(written, state.window)
        return LayerState(scan(inputs, state.memory).memory, window)

    def _inputs(self, projected: Tensor, window: Tensor) -> tuple[Tensor, ScanInputs, Tensor]:
        """What the scan takes, from (batch, seqlen, channels + nheads): x before its step size, the inputs, the window.

        ``window`` (batch, d_conv - 1, channels) are the last channels before these tokens, and what is returned the
        last ones of them.
        """
        config = self.config
        seqlen, compute = projected.shape[1], projected.dtype
        keys = config.ngroups * config.d_state
        xBC, dt = projected.split([config.d_inner + 2 * keys, config.nheads], dim=-1)
        stretch = torch.cat([window, xBC.to(window.dtype)], dim=1)
        convolved = torch.addcmul(self.conv_bias, stretch[:, :seqlen], self.conv_weight[0])
        for tap in range(1, config.d_conv):
            convolved.addcmul_(stretch[:, tap : tap + seqlen], self.conv_weight[tap])
        convolved = F.silu(convolved, inplace=not torch.is_grad_enabled())
        x, B, C = convolved.split([config.d_inner, keys, keys], dim=-1)

        x = x.unflatten(-1, (config.nheads, config.headdim))
        step = F.softplus(dt.to(window.dtype) + self.dt_bias)
        inputs = ScanInputs(
            x=(x * step[..., None]).to(compute),
            B=B.unflatten(-1, (config.ngroups, config.d_state)).to(compute),
            C=C.unflatten(-1, (config.ngroups, config.d_state)).to(compute),
            log_decay=(-step * self.A_log.exp())[..., None],
        )
        return x, inputs, stretch[:, seqlen:]
