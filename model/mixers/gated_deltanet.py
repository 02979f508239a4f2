"""Gated DeltaNet (Yang et al. 2024, arXiv 2412.06464), the mixer alone.

    q, k, v     = silu(conv_4(W_qkv u))            then q = l2norm(q) / sqrt(d_k), k = l2norm(k)
    beta_t      = sigmoid(W_b u)                   write strength, one per head; OLMo: twice that
    log alpha_t = -exp(A_log) softplus(W_a u + bias)
    h_t         = alpha_t h_{t-1} (I - beta_t k_t k_t^T) + beta_t v_t k_t^T
    out         = W_o (rmsnorm(h_t q_t) * silu(W_z u))

What the decayed memory holds at the key is erased before the value is written there. In the words of
:mod:`kernels.types` x is beta v, B is k, C is q, and the pair is (-beta k, k).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import LowRank, Scan, ScanInputs
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.mixers.conv import causal_conv
from model.state import LayerState, empty_layer

L2_EPS = 1e-6
"""Added to the squared length of a key or query before it is divided by its length."""


class GatedDeltaNet(nn.Module):
    """One mixer: nheads heads of values, ngroups of keys. ``strongest`` is the largest beta, 1 or 2."""

    def __init__(self, config: ModelConfig, *, strongest: float = 1.0) -> None:
        super().__init__()
        self.config = config
        self.strongest = strongest
        channels = 2 * config.ngroups * config.d_state + config.d_inner
        self.qkv_proj = Linear(config.d_model, channels)
        self.z_proj = Linear(config.d_model, config.d_inner)
        self.b_proj, self.a_proj = Linear(config.d_model, config.nheads), Linear(config.d_model, config.nheads)
        self.conv_weight = nn.Parameter(torch.randn(config.d_conv, channels) * config.d_conv**-0.5)
        self.conv_bias = nn.Parameter(torch.zeros(channels))
        self.dt_bias = nn.Parameter(torch.ones(config.nheads))
        self.A_log = nn.Parameter(torch.empty(config.nheads).uniform_(0.01, 16).log())
        self.norm = RMSNorm(config.headdim, config.norm_eps)
        self.o_proj = Linear(config.d_inner, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        config = self.config
        return empty_layer(config, self.A_log, batch, config.d_conv - 1, self.conv_weight.shape[1])

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        config, sums = self.config, state.window.dtype
        keys = config.ngroups * config.d_state
        projected = self.qkv_proj(u)
        compute = projected.dtype
        convolved, window = causal_conv(state.window, projected, self.conv_weight, self.conv_bias)
        q, k, v = F.silu(convolved).split([keys, keys, config.d_inner], dim=-1)
        q, k = (part.unflatten(-1, (config.ngroups, -1)) for part in (q, k))
        q, k = (part * (part.square().sum(-1, keepdim=True) + L2_EPS).rsqrt() for part in (q, k))
        beta = self.strongest * torch.sigmoid(self.b_proj(u).to(sums))[..., None]
        step = F.softplus(self.a_proj(u).to(sums) + self.dt_bias)
        erased = -beta * k.repeat_interleave(config.nheads // config.ngroups, dim=2)
        inputs = ScanInputs(
            x=(beta * v.unflatten(-1, (config.nheads, -1))).to(compute),
            B=k.to(compute),
            C=(q * config.d_state**-0.5).to(compute),
            log_decay=-(step * self.A_log.exp())[..., None],
            low_rank=LowRank(erased.to(compute), k.to(compute)),
        )
        output = scan(inputs, state.memory)
        gated = self.norm(output.y).flatten(-2) * F.silu(self.z_proj(u).to(sums))
        return self.o_proj(gated).to(u.dtype), LayerState(output.memory, window)
