"""RG-LRU, the recurrence of Griffin and RecurrentGemma (De et al. 2024, arXiv 2402.19427), with its block.

    x       = conv_4(W_x u)               g = gelu(W_y u)
    r, i    = sigmoid(V_r x), sigmoid(V_i x)       recurrence and input gate, in square blocks of channels
    log a_t = -8 r_t softplus(Lambda)              at most 0, one per channel
    h_t     = a_t h_{t-1} + sqrt(1 - a_t^2) i_t x_t
    out     = W_out (h * g)

The line of h_t is the scan's, with headdim and d_state 1, and with B and C ones. The first token of a document is
written whole, as in the published code: its root is 1. That code also sets a_t to 0 there, which only matters to a
memory that does not start empty; such a memory is what this project studies, so here it decays like any other.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Memory, Scan, ScanInputs
from model.arch.layers import Linear
from model.config import ModelConfig
from model.mixers.conv import causal_conv
from model.state import LayerState

SHARPNESS = 8.0
"""The constant c of the paper."""


class RGLRU(nn.Module):
    """One recurrent block; ``blocks`` is the number of square blocks that the gates have."""

    def __init__(self, config: ModelConfig, *, blocks: int = 1) -> None:
        super().__init__()
        assert config.headdim == config.d_state == 1, "a head of RG-LRU is one channel, and its state one number"
        self.config = config
        width = config.d_inner
        self.linear_x = Linear(config.d_model, width, bias=True)
        self.linear_y = Linear(config.d_model, width, bias=True)
        self.conv_weight = nn.Parameter(torch.empty(config.d_conv, width))
        self.conv_bias = nn.Parameter(torch.zeros(width))
        square = (blocks, width // blocks, width // blocks)
        self.input_gate_weight = nn.Parameter(torch.empty(square))
        self.input_gate_bias = nn.Parameter(torch.zeros(square[:2]))
        self.recurrent_gate_weight = nn.Parameter(torch.empty(square))
        self.recurrent_gate_bias = nn.Parameter(torch.zeros(square[:2]))
        self.recurrent_param = nn.Parameter(torch.empty(width))
        self.linear_out = Linear(width, config.d_model, bias=True)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """The paper's initialisation: with an open gate, a_t is between 0.9 and 0.999."""
        decay = torch.empty_like(self.recurrent_param).uniform_(0.9, 0.999)
        self.recurrent_param.copy_(torch.log(torch.expm1(-decay.log())))  # the inverse of softplus, for c = 1
        for weight in (self.conv_weight, self.input_gate_weight, self.recurrent_gate_weight):
            weight.normal_(std=0.1)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory for ``batch`` sequences; its ``rest`` is how many tokens have been read."""
        config, like = self.config, self.recurrent_param
        window = like.new_zeros(batch, config.d_conv - 1, config.d_inner)
        memory = Memory(like.new_zeros(batch, config.d_inner, 1, 1))
        return LayerState(memory, window, (like.new_zeros(batch, 1, dtype=torch.int64),))

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        sums = state.window.dtype
        seqlen = u.shape[1]
        x, window = causal_conv(state.window, self.linear_x(u), self.conv_weight, self.conv_bias)
        read = state.rest[0]
        log_decay = -SHARPNESS * self._gate(x, "recurrent") * F.softplus(self.recurrent_param)
        first = (torch.arange(seqlen, device=u.device) + read == 0)[..., None]  # (batch, seqlen, 1)
        root = torch.where(first, 1.0, (-torch.expm1(2 * log_decay)).sqrt())
        written = x * self._gate(x, "input") * root
        ones = written.new_ones(*written.shape[:2], 1, 1)
        output = scan(ScanInputs(written[..., None], ones, ones, log_decay[..., None]), state.memory)
        gate = F.gelu(self.linear_y(u).to(sums), approximate="tanh")
        return self.linear_out(output.y[..., 0] * gate).to(u.dtype), LayerState(output.memory, window, (read + seqlen,))

    def _gate(self, x: Tensor, name: str) -> Tensor:
        """(batch, seqlen, width) -> the same: a sigmoid of square blocks of channels."""
        weight, bias = getattr(self, f"{name}_gate_weight"), getattr(self, f"{name}_gate_bias")
        blocks = x.unflatten(-1, bias.shape)
        return torch.sigmoid(torch.einsum("bthi,hij->bthj", blocks, weight) + bias).flatten(-2)
