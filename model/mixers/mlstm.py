"""mLSTM (Beck et al. 2024, arXiv 2405.04517) with the gates of xLSTM 7B (arXiv 2503.13427), the mixer alone.

    q, k, v    = W_q u, W_k u, W_v u
    i, f       = c tanh((W_i u + b_i) / c), c tanh((W_f u + b_f) / c)     one per head; c = 15, the cap of the gates
    C_t        = sigmoid(f_t) C_{t-1} + e^{i_t} v_t k_t^T                 memory
    n_t        = sigmoid(f_t) n_{t-1} + e^{i_t} k_t                       normaliser
    y_t        = C_t q_t / max(|n_t . q_t|, 1)                            q over sqrt(d_k)
    out        = W_o (layernorm(y) * sigmoid(W_z u))                      the norm is per head

The normaliser is one more row of the memory, that of a value which is always 1: a head has headdim - 1 channels of
values. In the words of :mod:`kernels.types` x is e^i (v, 1), B is k and C is q.

The paper divides C and n by a running maximum of the gates, which cancels in y. Capped gates need none: e^15 is far
from what float32 holds. So the decay is the forget gate itself, and a state needs no scale beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan, ScanInputs
from model.arch.layers import Linear
from model.config import ModelConfig
from model.state import LayerState, empty_layer

GATE_CAP = 15.0


class MLSTM(nn.Module):
    """One mixer; ``cap`` is what no gate exceeds before it is an exponential or a sigmoid."""

    def __init__(self, config: ModelConfig, *, cap: float = GATE_CAP) -> None:
        super().__init__()
        assert config.headdim > 1, "a head of mLSTM has a row of the normaliser and at least one of values"
        self.config, self.cap = config, cap
        width, keys, values = config.d_model, config.nheads * config.d_state, config.nheads * (config.headdim - 1)
        self.q_proj, self.k_proj = Linear(width, keys), Linear(width, keys)
        self.v_proj, self.z_proj = Linear(width, values), Linear(width, values)
        self.i_proj, self.f_proj = Linear(width, config.nheads), Linear(width, config.nheads)
        self.i_bias = nn.Parameter(torch.full((config.nheads,), -10.0))
        self.f_bias = nn.Parameter(torch.linspace(3, 6, config.nheads))
        self.norm = nn.GroupNorm(config.nheads, values, config.norm_eps)
        self.o_proj = Linear(values, width)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences."""
        return empty_layer(self.config, self.f_bias, batch, 0, self.config.d_model)

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        config, sums, per_head = self.config, state.window.dtype, (self.config.nheads, -1)
        q, k, v = (part.unflatten(-1, per_head) for part in (self.q_proj(u), self.k_proj(u), self.v_proj(u)))
        i, f = self._capped(self.i_proj(u).to(sums) + self.i_bias), self._capped(self.f_proj(u).to(sums) + self.f_bias)
        x = i.exp()[..., None] * F.pad(v.to(sums), (0, 1), value=1.0)  # (batch, seqlen, nheads, headdim)
        inputs = ScanInputs(x.to(v.dtype), k, q * config.d_state**-0.5, F.logsigmoid(f)[..., None])
        output = scan(inputs, state.memory)
        read, weight = output.y.split([config.headdim - 1, 1], dim=-1)
        y = read / weight.abs().clamp_min(1)
        y = self.norm(y.flatten(0, 1).flatten(1)).view(*u.shape[:2], -1)
        return self.o_proj(y * torch.sigmoid(self.z_proj(u).to(sums))).to(u.dtype), state._replace(memory=output.memory)

    def _capped(self, gate: Tensor) -> Tensor:
        """Any shape; softly held between -cap and cap."""
        return self.cap * torch.tanh(gate / self.cap)
