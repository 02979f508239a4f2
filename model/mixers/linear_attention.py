"""Linear attention (Katharopoulos et al. 2020, arXiv 2006.16236), the mixer alone: nothing is ever forgotten.

    q, k       = phi(W_q u), phi(W_k u)            phi(x) = elu(x) + 1
    h_t        = h_{t-1} + v_t k_t^T               z_t = z_{t-1} + k_t
    out        = W_o (h_t q_t / (z_t . q_t))

The last channel of a head is the z of the paper: its value is 1. In the words of :mod:`kernels.types` x is v with that
one, B is k, C is q, and log_decay is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan, ScanInputs
from model.arch.layers import Linear
from model.config import ModelConfig
from model.state import LayerState, empty_layer


class LinearAttention(nn.Module):
    """One mixer; a head has headdim - 1 channels of values."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        keys, values = config.nheads * config.d_state, config.nheads * (config.headdim - 1)
        self.q_proj, self.k_proj = Linear(config.d_model, keys), Linear(config.d_model, keys)
        self.v_proj, self.o_proj = Linear(config.d_model, values), Linear(values, config.d_model)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        like = torch.empty(0, dtype=torch.promote_types(self.q_proj.weight.dtype, torch.float32))
        return empty_layer(self.config, like.to(self.q_proj.weight.device), batch, 0, self.config.d_model)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        nheads, sums = self.config.nheads, state.window.dtype
        q, k, v = (part(u).unflatten(-1, (nheads, -1)) for part in (self.q_proj, self.k_proj, self.v_proj))
        inputs = ScanInputs(
            x=F.pad(v, (0, 1), value=1.0),
            B=F.elu(k) + 1,
            C=F.elu(q) + 1,
            log_decay=torch.zeros(*u.shape[:2], nheads, 1, dtype=sums, device=u.device),
        )
        output = scan(inputs, state.memory)
        y, z = output.y[..., :-1], output.y[..., -1:]
        return self.o_proj((y / z).flatten(-2)).to(u.dtype), state._replace(memory=output.memory)
