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

from kernels.types import Scan, ScanInputs
from model.config import ModelConfig
from model.layers import Linear, RMSNorm
from model.state import LayerState, empty_layer


class Mamba2(nn.Module):
    """One Mamba-2 mixer; parameter names are those of the published checkpoints."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.d_inner + 2 * config.ngroups * config.d_state
        self.in_proj = Linear(config.d_model, config.d_inner + channels + config.nheads, bias=config.bias)
        self.conv_weight = nn.Parameter(torch.empty(config.d_conv, channels))
        self.conv_bias = nn.Parameter(torch.empty(channels))
        self.dt_bias = nn.Parameter(torch.empty(config.nheads))
        self.A_log = nn.Parameter(torch.empty(config.nheads))
        self.D = nn.Parameter(torch.ones(config.nheads))
        self.norm = RMSNorm(config.d_inner, config.norm_eps, config.ngroups)
        self.out_proj = Linear(config.d_inner, config.d_model, bias=config.bias)
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
        return empty_layer(config, self.A_log, batch, config.d_conv - 1, self.conv_weight.shape[1])

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        config = self.config
        projected = self.in_proj(u)
        channels = state.window.shape[-1]
        z, xBC, dt = projected.split([config.d_inner, channels, config.nheads], dim=-1)
        x, inputs, window = self._inputs(xBC, dt, state.window)
        output = scan(inputs, state.memory)

        y = torch.addcmul(output.y, x, self.D[:, None]).flatten(-2)
        y = self.norm(y * F.silu(z.to(y.dtype)))
        return self.out_proj(y).to(u.dtype), LayerState(output.memory, window)

    def advance(self, u: Tensor, state: LayerState, scan: Scan) -> LayerState:
        """The state that :meth:`forward` leaves, for a last layer whose output nobody reads.

        No gate and no projection; and C, with which the state would be read, is only worked out for the window.
        """
        d_inner, keys = self.config.d_inner, self.config.ngroups * self.config.d_state
        weight, bias = self.in_proj.weight, self.in_proj.bias
        rows = torch.arange(len(weight), device=weight.device)
        _, xB, C, dt = rows.split([d_inner, d_inner + keys, keys, self.config.nheads])

        def project(u: Tensor, rows: Tensor) -> Tensor:
            return F.linear(u.to(weight.dtype), weight[rows], None if bias is None else bias[rows])

        written, steps = project(u, torch.cat([xB, dt])).split([len(xB), len(dt)], dim=-1)
        _, inputs, window = self._inputs(written, steps, state.window[..., : len(xB)])
        last = project(u[:, -window.shape[1] :], C).to(window.dtype)
        last = torch.cat([state.window[..., len(xB) :], last], dim=1)[:, last.shape[1] :]
        return LayerState(scan(inputs, state.memory).memory, torch.cat([window, last], dim=-1))

    def _inputs(self, xBC: Tensor, dt: Tensor, window: Tensor) -> tuple[Tensor, ScanInputs, Tensor]:
        """What the scan takes: x before its step size, the inputs, and the window after these tokens.

        ``xBC`` (batch, seqlen, channels) before the convolution, ``window`` (batch, d_conv - 1, channels) those before
        them. Without the channels of C nobody reads the state, and B stands in for it.
        """
        config = self.config
        seqlen, compute = xBC.shape[1], xBC.dtype
        keys = config.ngroups * config.d_state
        weight, bias = self.conv_weight[:, : xBC.shape[-1]], self.conv_bias[: xBC.shape[-1]]
        stretch = torch.cat([window, xBC.to(window.dtype)], dim=1)
        convolved = torch.addcmul(bias, stretch[:, :seqlen], weight[0])
        for tap in range(1, config.d_conv):
            convolved.addcmul_(stretch[:, tap : tap + seqlen], weight[tap])
        convolved = F.silu(convolved, inplace=not torch.is_grad_enabled())
        x, B = convolved[..., : config.d_inner], convolved[..., config.d_inner : config.d_inner + keys]
        C = convolved[..., -keys:]

        x = x.unflatten(-1, (config.nheads, config.headdim))
        step = F.softplus(dt.to(window.dtype) + self.dt_bias)
        if config.step_limit is not None:
            step = step.clamp(*config.step_limit)
        inputs = ScanInputs(
            x=(x * step[..., None]).to(compute),
            B=B.unflatten(-1, (config.ngroups, config.d_state)).to(compute),
            C=C.unflatten(-1, (config.ngroups, config.d_state)).to(compute),
            log_decay=(-step * self.A_log.exp())[..., None],
        )
        return x, inputs, stretch[:, seqlen:]
