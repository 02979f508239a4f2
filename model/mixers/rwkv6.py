"""RWKV-6, Finch (Peng et al. 2024, arXiv 2404.05892), the mixer alone, as flash-linear-attention lays it out.

    d_t               = u_{t-1} - u_t                                token shift
    m_r m_w m_k m_v m_g = bias + E tanh(W (u + d mu))                how much of the shift each part takes, low rank
    r, k, v, g        = W_*(u + d m_*)          w = W_2 tanh(W_1 (u + d m_w)) + bias
    log a_t           = -exp(w_t)                                    one per channel of the key
    y_t               = (h_{t-1} + diag(bonus) k_t v_t^T)^T r_t      read before write
    h_t               = diag(a_t) h_{t-1} + k_t v_t^T
    out               = W_o (groupnorm(y) * silu(g))

The scan reads after it writes. Here it reads the state of token t with the r of token t + 1, which is the reading that
token t + 1 asks for; the first token of a segment reads the memory that the segment starts from. The bonus needs no
state. In the words of :mod:`kernels.types` x is v, B is k and C the r of the next token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan, ScanInputs
from model.arch.layers import Linear
from model.config import ModelConfig
from model.state import LayerState, empty_layer

PARTS = ("r", "w", "k", "v", "g")


class RWKV6(nn.Module):
    """One mixer; ``rank`` is that of the shifts, ``decay_rank`` that of the decay."""

    def __init__(self, config: ModelConfig, *, rank: int = 32, decay_rank: int = 64) -> None:
        super().__init__()
        self.config = config
        self.rank = rank
        width, keys = config.d_model, config.nheads * config.d_state
        self.shift = nn.Parameter(torch.zeros(width))
        self.shift_in = Linear(width, len(PARTS) * rank)
        self.shift_out = nn.Parameter(torch.zeros(width, len(PARTS) * rank))
        self.shift_bias = nn.Parameter(torch.zeros(len(PARTS), width))
        self.r_proj = Linear(width, keys)
        self.k_proj = Linear(width, keys)
        self.v_proj = Linear(width, config.d_inner)
        self.g_proj = Linear(width, config.d_inner)
        self.decay_in = Linear(width, decay_rank)
        self.decay_out = Linear(decay_rank, keys)
        self.decay_bias = nn.Parameter(torch.zeros(keys))
        self.bonus = nn.Parameter(torch.zeros(config.nheads, config.d_state))
        self.norm = nn.GroupNorm(config.nheads, config.d_inner, config.norm_eps)
        self.o_proj = Linear(config.d_inner, width)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences; its window is the last token that was read."""
        return empty_layer(self.config, self.bonus, batch, 1, self.config.d_model)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        config, sums = self.config, state.window.dtype
        seen = torch.cat([state.window, u.to(sums)], dim=1)
        delta = seen[:, :-1] - u
        low = torch.tanh(self.shift_in(u + delta * self.shift).to(sums)).unflatten(-1, (len(PARTS), self.rank))
        expand = self.shift_out.unflatten(1, (len(PARTS), self.rank))
        shares = torch.einsum("btnr,dnr->btnd", low, expand) + self.shift_bias
        mixed = dict(zip(PARTS, (u[:, :, None] + delta[:, :, None] * shares).unbind(2), strict=True))

        per_head = (config.nheads, -1)
        r = self.r_proj(mixed["r"]).unflatten(-1, per_head)
        k = self.k_proj(mixed["k"]).unflatten(-1, per_head)
        v = self.v_proj(mixed["v"]).unflatten(-1, per_head)
        w = self.decay_out(torch.tanh(self.decay_in(mixed["w"]))).to(sums) + self.decay_bias
        inputs = ScanInputs(x=v, B=k, C=F.pad(r[:, 1:], (0, 0, 0, 0, 0, 1)), log_decay=-w.exp().unflatten(-1, per_head))
        output = scan(inputs, state.memory)
        first = torch.einsum("bhn,bhpn->bhp", r[:, 0].to(sums), state.memory.state)
        y = torch.cat([first[:, None], output.y[:, :-1]], dim=1)
        y = y + v * (r.to(sums) * self.bonus * k).sum(-1, keepdim=True)
        y = self.norm(y.flatten(0, 1).flatten(1)).view(*u.shape[:2], -1)
        gate = F.silu(self.g_proj(mixed["g"]).to(sums))
        return self.o_proj(y * gate).to(u.dtype), LayerState(output.memory, seen[:, -1:])
