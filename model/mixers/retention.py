"""Retention (RetNet, Sun et al. 2023, arXiv 2307.08621), the mixer alone.

    q, k, v    = W_q u, W_k u, W_v u               queries and keys rotated by their position (arXiv 2104.09864)
    h_t        = gamma h_{t-1} + v_t k_t^T         gamma = 1 - 2^{-5 - head}, one fixed number a head
    out        = W_o (rmsnorm(h_t q_t / sqrt(d_k)) * silu(W_g u))         the norm is per head

In the words of :mod:`kernels.types` x is v, B is k and C is q. How many tokens were read is carried beside the memory,
for the rotation.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan, ScanInputs
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.state import LayerState, empty_layer

ROTATION_BASE = 10_000.0


class Retention(nn.Module):
    """One mixer; ``groups`` are heads of keys and values, each read by as many queries: as many as heads if None."""

    def __init__(self, config: ModelConfig, *, groups: int | None = None) -> None:
        super().__init__()
        assert config.d_state % 2 == 0, "keys are rotated in pairs of channels"
        self.config = config
        self.groups = config.nheads if groups is None else groups
        self.q_proj = Linear(config.d_model, config.nheads * config.d_state)
        self.k_proj = Linear(config.d_model, self.groups * config.d_state)
        self.v_proj = Linear(config.d_model, self.groups * config.headdim)
        self.g_proj = Linear(config.d_model, config.d_inner)
        self.norm = RMSNorm(config.headdim, config.norm_eps)
        self.o_proj = Linear(config.d_inner, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences; its ``rest`` is how many tokens have been read, (batch, 1)."""
        like = self.norm.weight
        empty = empty_layer(self.config, like, batch, 0, self.config.d_model)
        return empty._replace(rest=(like.new_zeros(batch, 1, dtype=torch.int64),))

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        config, sums, (read,) = self.config, state.window.dtype, state.rest
        seqlen, repeats = u.shape[1], config.nheads // self.groups
        q = self.q_proj(u).unflatten(-1, (config.nheads, -1))
        k, v = (part.unflatten(-1, (self.groups, -1)) for part in (self.k_proj(u), self.v_proj(u)))
        positions = (read + torch.arange(seqlen, device=u.device)).to(sums)  # (batch, seqlen)
        inputs = ScanInputs(
            x=v.repeat_interleave(repeats, dim=2),
            B=rotated(k, positions).repeat_interleave(repeats, dim=2),
            C=rotated(q, positions) * config.d_state**-0.5,
            log_decay=self._log_decay(u.device, sums).expand(*u.shape[:2], -1, -1),
        )
        output = scan(inputs, state.memory)
        gated = self.norm(output.y).flatten(-2) * F.silu(self.g_proj(u).to(sums))
        return self.o_proj(gated).to(u.dtype), LayerState(output.memory, state.window, (read + seqlen,))

    def _log_decay(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """(nheads, 1), the fixed numbers of the heads."""
        heads = torch.arange(self.config.nheads, device=device, dtype=dtype)
        return torch.log1p(-torch.exp2(-5 - heads))[:, None]


def rotated(vectors: Tensor, positions: Tensor) -> Tensor:
    """``vectors`` (batch, seqlen, heads, channels), channel i and i + channels / 2 turned by an angle of ``positions``.

    The angle is the position (batch, seqlen) times a frequency that falls from 1 to almost 1 / 10,000; it is formed in
    float64, in which that of the millionth token is right, too.
    """
    half = vectors.shape[-1] // 2
    exponents = torch.arange(half, device=positions.device, dtype=torch.float64) / half
    angles = (positions.double()[..., None] * ROTATION_BASE**-exponents).remainder(2 * math.pi)
    angles = angles.to(positions.dtype)[:, :, None]  # (batch, seqlen, 1, half)
    left, right = vectors.to(positions.dtype).chunk(2, dim=-1)
    turned = [left * angles.cos() - right * angles.sin(), left * angles.sin() + right * angles.cos()]
    return torch.cat(turned, dim=-1).to(vectors.dtype)
