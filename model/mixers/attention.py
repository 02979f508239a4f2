"""Attention and a feed-forward part, side by side: the Transformer layer that recurrent layers are compared with.

    q, k, v    = W_qkv u                                     rotated by their position (RoPE, arXiv 2104.09864), or not
    y_t        = softmax over s <= t of q_t . k_s            minus slope (t - s) with ALiBi (arXiv 2108.12409)
    out        = W_o y + W_down (silu(W_gate u) * W_up u)

A head has d_model / nheads channels, and the feed-forward part d_model, whatever ``expand`` is: in a hybrid, recurrent
layers are wider inside. Both parts read the same normed input (a parallel block, as in GPT-J and PaLM,
arXiv 2204.02311), so that a layer stays norm, mixer, residual. Its memory is the cache of keys and values, see
:mod:`kernels.attention`; with a window it is bounded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.attention import AttentionInputs
from kernels.types import Memory, Scan
from model.arch.layers import Linear
from model.config import ModelConfig
from model.mixers.retention import rotated
from model.state import LayerState

WINDOW = 128
"""Tokens that a query of the sliding window sees: half of the training length of the presets."""


class RotaryAttention(nn.Module):
    """One layer; ``window`` bounds how many tokens a query sees, itself included."""

    rotary = True
    slopes: Tensor | None

    def __init__(self, config: ModelConfig, *, window: int | None = None) -> None:
        super().__init__()
        assert config.d_state >= 2 and config.headdim * config.nheads >= config.d_model, (
            "what is recorded of a cache is a mean key and a mean value"
        )
        assert config.d_model % (2 * config.nheads) == 0, "heads share d_model, and are rotated in pairs of channels"
        self.config, self.window = config, window
        self.register_buffer("slopes", None, persistent=False)
        width = config.d_model
        self.qkv_proj, self.o_proj = Linear(width, 3 * width), Linear(width, width)
        self.gate_proj, self.up_proj, self.down_proj = (Linear(width, width) for _ in range(3))

    def zero_state(self, batch: int) -> LayerState:
        """An empty cache for ``batch`` sequences; its ``rest`` is how many tokens have been read, (batch, 1)."""
        config, like = self.config, self.o_proj.weight
        floats = torch.float64 if like.dtype == torch.float64 else torch.float32
        width = config.d_model // config.nheads
        empty = torch.zeros(batch, 0, config.nheads, width, dtype=floats, device=like.device)
        state = empty.new_zeros(batch, config.nheads, config.headdim, config.d_state)
        window = empty.new_zeros(batch, 0, config.d_model)
        return LayerState(Memory(state, (empty, empty)), window, (empty.new_zeros(batch, 1, dtype=torch.int64),))

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> (batch, seqlen, d_model) and the state after the last token."""
        (read,), sums, seqlen = state.rest, state.window.dtype, u.shape[1]
        q, k, v = self.qkv_proj(u).to(sums).unflatten(-1, (3, self.config.nheads, -1)).unbind(2)
        if self.rotary:
            positions = (read + torch.arange(seqlen, device=u.device)).to(sums)
            q, k = rotated(q, positions), rotated(k, positions)
        inputs: Any = AttentionInputs(q, k, v, self.slopes, self.window)
        output = scan(inputs, state.memory)
        mixed = self.o_proj(output.y.flatten(-2)) + self.down_proj(F.silu(self.gate_proj(u)) * self.up_proj(u))
        return mixed.to(u.dtype), LayerState(output.memory, state.window, (read + seqlen,))


class WindowAttention(RotaryAttention):
    """Rotary attention in a sliding window."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, window=WINDOW)


class AlibiAttention(RotaryAttention):
    """Attention without positions, whose scores fall with the distance; slopes are those of the paper."""

    rotary = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        heads = torch.arange(1, config.nheads + 1, dtype=torch.float32)
        self.slopes = torch.exp2(-8 * heads / config.nheads)
