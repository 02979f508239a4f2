"""DeltaNet (Yang et al. 2024, arXiv 2406.06484), the mixer alone.

    q, k, v = of :mod:`model.mixers.delta_keys`
    beta_t  = sigmoid(W_b u)                                     write strength, one per head; or twice that
    h_t     = h_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T
    out     = W_o rmsnorm(h_t q_t)                               the norm is per head

What the state holds at k is replaced by v; nothing decays.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kernels.types import Scan
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.mixers.delta_keys import DeltaKeys
from model.state import LayerState


class DeltaNet(nn.Module):
    """One mixer; ``strongest`` is the largest beta, 1 or 2."""

    def __init__(self, config: ModelConfig, *, strongest: float = 1.0) -> None:
        super().__init__()
        self.config, self.strongest = config, strongest
        self.keys = DeltaKeys(config, config.nheads)
        self.b_proj = Linear(config.d_model, config.nheads)
        self.norm = RMSNorm(config.headdim, config.norm_eps)
        self.o_proj = Linear(config.d_inner, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        return self.keys.zero_state(batch)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        beta = self.strongest * torch.sigmoid(self.b_proj(u).to(state.window.dtype))[..., None]
        inputs, window = self.keys(u, state.window, beta, torch.zeros_like(beta))
        output = scan(inputs, state.memory)
        return self.o_proj(self.norm(output.y).flatten(-2)).to(u.dtype), LayerState(output.memory, window)
