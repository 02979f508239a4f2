"""HGRN-2 (Qin et al. 2024, arXiv 2404.07904), the mixer alone.

    q, v    = silu(W_q u), W_i u
    f_t     = b + (1 - b) sigmoid(W_f u)     retention, one per channel; b is the layer's lower bound, 0 in the first
    h_t     = diag(f_t) h_{t-1} + (1 - f_t) v_t^T
    out     = W_o rmsnorm(h_t^T q_t / sqrt(d_k))

What is written is tied to what is forgotten: the key is 1 - f_t. In the words of :mod:`kernels.types` x is v, B is
1 - f and C is q.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan, ScanInputs
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.state import LayerState, empty_layer

NORM_EPS = 1e-5
"""Of the norm before the output, whatever the configuration says: that of the published implementation."""


class HGRN2(nn.Module):
    """One mixer; ``lower_bound`` (nheads * d_state,) is what no channel's retention falls below."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        keys = config.nheads * config.d_state
        self.q_proj = Linear(config.d_model, keys)
        self.f_proj = Linear(config.d_model, keys)
        self.i_proj = Linear(config.d_model, config.d_inner)
        self.lower_bound = nn.Parameter(torch.zeros(keys), requires_grad=False)
        self.norm = RMSNorm(config.d_inner, NORM_EPS)
        self.o_proj = Linear(config.d_inner, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        return empty_layer(self.config, self.lower_bound, batch, 0, self.config.d_model)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        config, sums = self.config, state.window.dtype
        open_gate = F.logsigmoid(self.f_proj(u).to(sums))
        bound = self.lower_bound
        log_decay = torch.logaddexp(bound.log(), torch.log1p(-bound) + open_gate)
        values = self.i_proj(u)
        per_head = (config.nheads, -1)
        inputs = ScanInputs(
            x=values.unflatten(-1, per_head),
            B=-torch.expm1(log_decay).unflatten(-1, per_head).to(values.dtype),
            C=F.silu(self.q_proj(u)).unflatten(-1, per_head) * config.d_state**-0.5,
            log_decay=log_decay.unflatten(-1, per_head),
        )
        output = scan(inputs, state.memory)
        return self.o_proj(self.norm(output.y.flatten(-2))).to(u.dtype), state._replace(memory=output.memory)
