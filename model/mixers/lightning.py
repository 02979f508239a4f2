"""Lightning attention (Qin et al. 2024, arXiv 2401.04658), as in MiniMax-01 (arXiv 2501.08313): the mixer alone.

    q, k, v    = silu(W_qkv u)                     of each head, side by side
    h_t        = exp(-s) h_{t-1} + v_t k_t^T       s, the slope, is one fixed number a head
    out        = W_o (sigmoid(W_g u) * rmsnorm(h_t q_t))

Nothing is learned about forgetting: a head's memory has the same length everywhere. In the words of
:mod:`kernels.types` x is v, B is k and C is q.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan, ScanInputs
from model.arch.layers import Linear, RMSNorm
from model.config import ModelConfig
from model.state import LayerState, empty_layer


class Lightning(nn.Module):
    """One mixer; ``log_decay`` (nheads,) is minus the slope, by default that of ALiBi (arXiv 2108.12409)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.d_state == config.headdim, "keys and values of lightning attention are equally wide"
        self.config = config
        self.qkv_proj = Linear(config.d_model, 3 * config.d_inner)
        self.output_gate = Linear(config.d_model, config.d_inner)
        self.out_proj = Linear(config.d_inner, config.d_model)
        self.norm = RMSNorm(config.d_inner, config.norm_eps)
        heads = torch.arange(1, config.nheads + 1, dtype=torch.float32)
        self.log_decay = nn.Parameter(-torch.exp2(-8 * heads / config.nheads), requires_grad=False)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        return empty_layer(self.config, self.log_decay, batch, 0, self.config.d_model)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        config, sums = self.config, state.window.dtype
        heads = F.silu(self.qkv_proj(u)).unflatten(-1, (config.nheads, 3 * config.headdim))
        q, k, v = heads.chunk(3, dim=-1)
        log_decay = self.log_decay[:, None].to(sums).expand(*u.shape[:2], -1, -1)
        output = scan(ScanInputs(x=v, B=k, C=q, log_decay=log_decay), state.memory)
        gate = torch.sigmoid(self.output_gate(u).to(sums))
        return self.out_proj(gate * self.norm(output.y.flatten(-2))).to(u.dtype), state._replace(memory=output.memory)
