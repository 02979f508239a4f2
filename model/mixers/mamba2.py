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

from kernels.cpu import elementwise
from kernels.layer import gated_norm, mixer_inputs
from kernels.types import Scan, ScanInputs
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.mixers.steps import slow_start
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
        self.norm = RMSNorm(config.d_inner, config.norm_eps)  # of each group, behind the gate
        self.out_proj = Linear(config.d_inner, config.d_model, bias=config.bias)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """The paper's initialisation, but for A, uniform in [0.001, 0.1] and not in [1, 16]: all start slow."""
        config = self.config
        for parameter, start in zip((self.dt_bias, self.A_log), slow_start(config.nheads), strict=True):
            parameter.copy_(start)
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
        keys = config.ngroups * config.d_state
        projected = self.in_proj(u)  # gate (d_inner), xBC (channels), dt (nheads)
        compute, dtype = projected.dtype, state.window.dtype
        gate = projected[..., : config.d_inner]
        latest = projected[:, -state.window.shape[1] :, config.d_inner : -config.nheads].to(dtype)
        window = torch.cat([state.window, latest], dim=1)[:, latest.shape[1] :]

        step = self._step(projected[..., -config.nheads :], dtype)
        convolved, written = mixer_inputs(
            state.window, projected, config.d_inner, self.conv_weight, self.conv_bias, step, config.headdim
        )
        B, C = convolved[..., config.d_inner :].split([keys, keys], dim=-1)
        inputs = ScanInputs(
            x=written,
            B=B.unflatten(-1, (config.ngroups, config.d_state)).to(compute),
            C=C.unflatten(-1, (config.ngroups, config.d_state)).to(compute),
            log_decay=-step * self.A_log.exp()[:, None],
        )
        output = scan(inputs, state.memory)

        gated = self._gated(output.y, convolved, gate)
        return self.out_proj(gated).to(u.dtype), LayerState(output.memory, window)

    def _gated(self, y: Tensor, convolved: Tensor, gate: Tensor) -> Tensor:
        """What the output projection reads, (batch, seqlen, d_inner): y + D x, gated, then normed in groups."""
        weight = self.norm.weight.view(self.config.ngroups, -1)
        return gated_norm(y, convolved, self.D, gate, weight, self.norm.eps)

    def _step(self, dt: Tensor, dtype: torch.dtype) -> Tensor:
        """The step sizes (batch, seqlen, nheads, 1), from what is projected for them."""
        step = F.softplus(dt.to(dtype) + self.dt_bias)
        return (step if self.config.step_limit is None else step.clamp(*self.config.step_limit))[..., None]


class Mamba2WithoutNorm(Mamba2):
    """Mamba-2 whose output is gated and not normed, as in Falcon-H1."""

    def _gated(self, y: Tensor, convolved: Tensor, gate: Tensor) -> Tensor:
        x = convolved[..., : self.config.d_inner].unflatten(-1, (self.config.nheads, -1))
        return torch.addcmul(y, x.to(y.dtype), self.D[:, None]).flatten(-2) * F.silu(gate.to(y.dtype))


class Mamba2GateAfterNorm(Mamba2):
    """Mamba-2 whose output is normed in groups first and gated then."""

    def _gated(self, y: Tensor, convolved: Tensor, gate: Tensor) -> Tensor:
        weight, open_gate = self.norm.weight.view(self.config.ngroups, -1), torch.ones_like(gate, dtype=y.dtype)
        normed = elementwise.gated_norm(y, convolved.to(y.dtype), self.D, open_gate, weight, self.norm.eps)
        return normed * F.silu(gate.to(y.dtype))
