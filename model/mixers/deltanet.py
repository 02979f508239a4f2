"""DeltaNet (Yang et al. 2024, arXiv 2406.06484), the mixer alone.

    q, k, v = of :mod:`model.mixers.delta_keys`
    beta_t  = sigmoid(W_b u)                                     write strength, one per head
    h_t     = h_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T
    out     = W_o rmsnorm(h_t q_t)                               the norm is per head

What the state holds at k is replaced by v; nothing decays. In the words of :mod:`kernels.types` x is beta v, B is k,
C is q, and the pair is -beta k and k.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kernels.types import LowRank, Scan, ScanInputs
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.mixers.delta_keys import DeltaKeys
from model.state import LayerState, empty_layer


class DeltaNet(nn.Module):
    """One mixer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.keys = DeltaKeys(config)
        self.b_proj = Linear(config.d_model, config.nheads)
        self.norm = RMSNorm(config.headdim, config.norm_eps)
        self.o_proj = Linear(config.d_inner, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        taps, channels = self.keys.conv_weight.shape
        return empty_layer(self.config, self.keys.conv_weight, batch, taps - 1, channels)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        q, k, v, window = self.keys(u, state.window)
        beta = self.b_proj(u).to(k.dtype).sigmoid()[..., None]
        inputs = ScanInputs(x=beta * v, B=k, C=q, log_decay=torch.zeros_like(beta), low_rank=LowRank(-beta * k, k))
        output = scan(inputs, state.memory)
        return self.o_proj(self.norm(output.y).flatten(-2)).to(u.dtype), LayerState(output.memory, window)
