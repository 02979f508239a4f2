"""Mamba (Gu & Dao 2023, arXiv 2312.00752), the mixer alone; with norms on delta, B and C it is Falcon-Mamba's.

    x, z       = W_in u                         channels, gate
    x          = silu(conv_4(x))
    dt, B, C   = W_x x                          low rank, shared by all channels; Falcon-Mamba: each rmsnorm of itself
    delta_t    = softplus(W_dt dt + bias)       step size, one per channel
    h_t        = exp(delta_t A) h_{t-1} + (delta_t x_t) B_t^T        A = -exp(A_log), one per channel and state
    y_t        = h_t C_t + D x_t
    out        = W_out (y * silu(z))

The line of h_t is the scan's, with every channel a head of its own: headdim 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Memory, Scan, ScanInputs
from model.arch.layers import Linear
from model.config import ModelConfig
from model.mixers.conv import causal_conv
from model.state import LayerState


class Mamba(nn.Module):
    """One Mamba mixer; parameter names are those of the published checkpoints.

    ``rank`` is that of the step size (d_model / 16 by default), ``inner_eps`` that of the norms of Falcon-Mamba
    and Jamba.
    """

    def __init__(
        self, config: ModelConfig, *, rank: int | None = None, bias: bool = False, inner_eps: float | None = None
    ) -> None:
        super().__init__()
        assert config.headdim == 1, "a head of Mamba is one channel"
        self.config = config
        self.rank = math.ceil(config.d_model / 16) if rank is None else rank
        self.inner_eps = inner_eps
        self.inner_weights = nn.ParameterList()  # of those norms in Jamba: delta, B, C
        width = config.d_inner
        self.in_proj = Linear(config.d_model, 2 * width, bias=bias)
        self.conv_weight = nn.Parameter(torch.empty(config.d_conv, width))
        self.conv_bias = nn.Parameter(torch.empty(width))
        self.x_proj = Linear(width, self.rank + 2 * config.d_state)
        self.dt_proj = Linear(self.rank, width)
        self.dt_bias = nn.Parameter(torch.empty(width))
        self.A_log = nn.Parameter(torch.empty(width, config.d_state))
        self.D = nn.Parameter(torch.ones(width))
        self.out_proj = Linear(width, config.d_model, bias=bias)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """The paper's initialisation: A is -1 to -d_state, steps lie between 0.001 and 0.1."""
        config = self.config
        step = torch.exp(torch.empty_like(self.dt_bias).uniform_(math.log(1e-3), math.log(1e-1)))
        self.dt_bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
        self.A_log.copy_(torch.arange(1, config.d_state + 1).to(self.A_log).log().expand_as(self.A_log))
        bound = config.d_conv**-0.5
        self.conv_weight.uniform_(-bound, bound)
        self.conv_bias.uniform_(-bound, bound)
        self.out_proj.weight.normal_(std=0.02 / math.sqrt(2 * len(config.layers)))

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        config = self.config
        window = self.A_log.new_zeros(batch, config.d_conv - 1, config.d_inner)
        return LayerState(Memory(self.A_log.new_zeros(batch, config.d_inner, 1, config.d_state)), window)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        projected = self.in_proj(u)
        compute, sums = projected.dtype, state.window.dtype
        x, z = projected.chunk(2, dim=-1)
        x, window = causal_conv(state.window, x, self.conv_weight, self.conv_bias)
        x = F.silu(x)
        step, B, C = self._selected(x, sums)
        inputs = ScanInputs(
            x=(x * step)[..., None].to(compute),
            B=B.to(compute),
            C=C.to(compute),
            log_decay=-step[..., None] * self.A_log.exp(),
        )
        output = scan(inputs, state.memory)
        y = torch.addcmul(output.y[..., 0], x, self.D) * F.silu(z.to(sums))
        return self.out_proj(y).to(u.dtype), LayerState(output.memory, window)

    def _selected(self, x: Tensor, sums: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """From (batch, seqlen, d_inner) the steps, of the same shape, and B and C (batch, seqlen, 1, d_state)."""
        d_state = self.config.d_state
        dt, B, C = self.x_proj(x).split([self.rank, d_state, d_state], dim=-1)
        if self.inner_eps is not None:
            weights = self.inner_weights or (None, None, None)
            dt, B, C = (
                F.rms_norm(part.to(sums), part.shape[-1:], weight, self.inner_eps)
                for part, weight in zip((dt, B, C), weights, strict=True)
            )
        return F.softplus(self.dt_proj(dt).to(sums) + self.dt_bias), B[:, :, None], C[:, :, None]


class GroupedMamba(Mamba):
    """Mamba whose channels lie in ``ngroups`` groups, each with steps, B and C of its own, as in Zamba."""

    def __init__(self, config: ModelConfig, *, rank: int) -> None:
        super().__init__(config, rank=rank)
        groups, width = config.ngroups, config.d_inner // config.ngroups
        self.x_proj_weight = nn.Parameter(torch.empty(groups, rank + 2 * config.d_state, width))
        self.dt_proj_weight = nn.Parameter(torch.empty(groups, width, rank))
        del self.x_proj, self.dt_proj

    def _selected(self, x: Tensor, sums: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        d_state, weight = self.config.d_state, self.x_proj_weight
        grouped = x.unflatten(-1, (self.config.ngroups, -1)).to(weight.dtype)
        dt, B, C = torch.einsum("btgi,goi->btgo", grouped, weight).split([self.rank, d_state, d_state], dim=-1)
        step = torch.einsum("btgr,gir->btgi", dt, self.dt_proj_weight).flatten(-2)
        return F.softplus(step.to(sums) + self.dt_bias), B, C
