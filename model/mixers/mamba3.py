"""Mamba-3 (Lahoti et al. 2026, arXiv 2603.15569) with one input and one output a head (SISO), the mixer alone.

    z, x, B, C, dt, a, l, w = W_in u
    Delta_t    = softplus(dt + bias)            step size, one per head
    alpha_t    = exp(Delta_t A_t)               A_t = -f(a), f(a) = 1 + a or, below zero, 1 / (1 - a)
    lambda_t   = sigmoid(l)                     how much of a write falls on its own token
    B_t, C_t   = rmsnorm(B) + b_B, rmsnorm(C) + b_C             norms per group, biases per head
    h_t        = alpha_t (h_{t-1} + (1 - lambda_t) Delta_t x_{t-1} B_{t-1}^T) R_t + lambda_t Delta_t x_t B_t^T
    y_t        = h_t C_t + D x_t
    out        = W_out (y * silu(z))

R_t turns half of the pairs of channels (2i, 2i + 1) by -Delta_t pi tanh(w): a complex state. In a frame that turns with
it, as in :mod:`.turning`, there is no R_t, and B_t and C_t are turned by the sum of Delta pi tanh(w) up to t instead.
The sum is formed and carried modulo 2 pi in float64.

Two outer products enter h_t with a token, and the scan takes one. So the scan has all that earlier tokens wrote,

    p_t        = alpha_t (p_{t-1} + (lambda_{t-1} Delta_{t-1} + (1 - lambda_t) Delta_t) x_{t-1} B_{t-1}^T)
    h_t        = p_t + lambda_t Delta_t x_t B_t^T

and the second term is read directly, as lambda_t Delta_t <B_t, C_t> x_t. The memory is p; the window is x, B and
lambda Delta of the last token. A mitigation acts on p: what a token reads of its own write stays as it is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan, ScanInputs
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.mixers.steps import slow_start
from model.state import LayerState, empty_layer

SLOWEST = 1e-4
"""What no -A falls below, so that every head forgets."""


class Mamba3(nn.Module):
    """One mixer; projections, norms and biases have the order and names of the published code."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.d_state >= 4, "half of the pairs of channels turn, at least one"
        self.config = config
        self.angles, keys = config.d_state // 4, config.ngroups * config.d_state
        self.parts = (config.d_inner, config.d_inner, keys, keys, *[config.nheads] * 3, self.angles)
        self.in_proj = Linear(config.d_model, sum(self.parts))
        self.dt_bias = nn.Parameter(slow_start(config.nheads)[0])
        self.B_norm, self.C_norm = (RMSNorm(config.d_state, config.norm_eps) for _ in "BC")
        self.B_bias, self.C_bias = (nn.Parameter(torch.ones(config.nheads, config.d_state)) for _ in "BC")
        self.D = nn.Parameter(torch.ones(config.nheads))
        self.out_proj = Linear(config.d_inner, config.d_model)
        nn.init.normal_(self.out_proj.weight, std=0.02 / math.sqrt(2 * len(config.layers)))

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences; its ``rest`` are the angles, (batch, nheads, angles) in float64."""
        config, like = self.config, self.D
        empty = empty_layer(config, like, batch, 1, config.d_inner + config.ngroups * config.d_state + config.nheads)
        return empty._replace(rest=(like.new_zeros(batch, config.nheads, self.angles, dtype=torch.float64),))

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        config, sums = self.config, state.window.dtype
        projected = self.in_proj(u)
        compute = projected.dtype
        z, x, B, C, dt, rate, split, turn = projected.to(sums).split(self.parts, dim=-1)
        step = F.softplus(dt + self.dt_bias)  # (batch, seqlen, nheads), as the next two
        log_decay = -step * heavy_tailed(rate).clamp_min(SLOWEST)
        own = torch.sigmoid(split) * step

        # 1. The tokens from the last of the segment before on, (batch, seqlen + 1, ...), and their angles.
        groups = (config.ngroups, config.d_state)
        latest = torch.cat([x, self.B_norm(B.unflatten(-1, groups)).flatten(-2), own], dim=-1)
        seen = torch.cat([state.window, latest], dim=1)
        x, B, weight = seen.split([config.d_inner, B.shape[-1], config.nheads], dim=-1)
        x = x.unflatten(-1, (config.nheads, -1))
        B = self._of_heads(B.unflatten(-1, groups), self.B_bias)
        C = self._of_heads(self.C_norm(C.unflatten(-1, groups)), self.C_bias)
        angle = self._angles(state.rest[0], turn, step)
        still = (0, config.d_state // 2 - self.angles)
        phase = torch.polar(torch.ones_like(angle, dtype=sums), angle.to(sums))
        phase = F.pad(phase, still, value=1)

        # 2. What the token before wrote, all of it, enters and decays with every token.
        entering = log_decay.exp() * (weight[:, :-1] + step - own)
        inputs = ScanInputs(
            x=(x[:, :-1] * entering[..., None]).to(compute),
            B=turned_pairs(B[:, :-1], phase[:, :-1]).to(compute),
            C=turned_pairs(C, phase[:, 1:]).to(compute),
            log_decay=log_decay[..., None],
        )
        output = scan(inputs, state.memory)

        # 3. What a token reads of itself.
        direct = own * (B[:, 1:] * C).sum(-1) + self.D
        y = torch.addcmul(output.y, x[:, 1:], direct[..., None]).flatten(-2)
        after = LayerState(output.memory, seen[:, -1:].clone(), (angle[:, -1].clone(),))
        return self.out_proj(y * F.silu(z)).to(u.dtype), after

    def _of_heads(self, keys: Tensor, bias: Tensor) -> Tensor:
        """(batch, seqlen, ngroups, d_state) -> (batch, seqlen, nheads, d_state), each with the ``bias`` of its head."""
        return keys.repeat_interleave(self.config.nheads // self.config.ngroups, dim=2) + bias

    def _angles(self, before: Tensor, turn: Tensor, step: Tensor) -> Tensor:
        """``before`` and the angle after every token, (batch, seqlen + 1, nheads, angles) in float64."""
        each = step.double()[..., None] * (math.pi * torch.tanh(turn.double()))[:, :, None]
        return torch.cat([before[:, None], before[:, None] + each.cumsum(1)], dim=1).remainder(2 * math.pi)


def heavy_tailed(rate: Tensor) -> Tensor:
    """1 + rate, or below zero 1 / (1 - rate): positive, smooth, and slow to reach zero."""
    return rate.clamp_min(0) + 1 / (1 - rate.clamp_max(0))


def turned_pairs(vectors: Tensor, phase: Tensor) -> Tensor:
    """``vectors`` (..., d_state), whose pairs of channels are complex numbers, times ``phase`` (..., d_state / 2)."""
    pairs = torch.view_as_complex(vectors.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * phase).flatten(-2)
