"""Gated DeltaNet (Yang et al. 2024, arXiv 2412.06464), the mixer alone.

    q, k, v     = of :mod:`model.mixers.delta_keys`, ngroups heads of keys
    beta_t      = sigmoid(W_b u)                   write strength, one per head; OLMo: twice that
    log alpha_t = -exp(A_log) softplus(W_a u + bias)
    h_t         = alpha_t h_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T
    out         = W_o (rmsnorm(h_t q_t) * silu(W_z u))        or with a sigmoid

What the decayed memory holds at the key is erased before the value is written there.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.mixers.delta_keys import DeltaKeys
from model.mixers.steps import slow_start
from model.state import LayerState


class GatedDeltaNet(nn.Module):
    """One mixer: nheads heads of values, ngroups of keys. ``strongest`` is the largest beta, 1 or 2.

    ``gate`` bends what the output is multiplied by.
    """

    def __init__(
        self, config: ModelConfig, *, strongest: float = 1.0, gate: Callable[[Tensor], Tensor] = F.silu
    ) -> None:
        super().__init__()
        self.gate = gate
        self.config = config
        self.strongest = strongest
        self.keys = DeltaKeys(config, config.ngroups)
        self.z_proj = Linear(config.d_model, config.d_inner)
        self.b_proj, self.a_proj = Linear(config.d_model, config.nheads), Linear(config.d_model, config.nheads)
        self.dt_bias, self.A_log = map(nn.Parameter, slow_start(config.nheads))
        self.norm = RMSNorm(config.headdim, config.norm_eps)
        self.o_proj = Linear(config.d_inner, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        return self.keys.zero_state(batch)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        sums = state.window.dtype
        beta = self.strongest * torch.sigmoid(self.b_proj(u).to(sums))[..., None]
        step = F.softplus(self.a_proj(u).to(sums) + self.dt_bias)
        inputs, window = self.keys(u, state.window, beta, -(step * self.A_log.exp())[..., None])
        output = scan(inputs, state.memory)
        gated = self.norm(output.y).flatten(-2) * self.gate(self.z_proj(u).to(sums))
        return self.o_proj(gated).to(u.dtype), LayerState(output.memory, window)
