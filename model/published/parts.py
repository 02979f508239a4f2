"""What stands beside the memories of a published model: feed-forward parts, attention, and the stage that holds them.

None of it is recurrent memory, so none of it goes through the scan. A part adds to the residual stream, and what it
needs to read on lies in ``rest`` of the layer state that its stage belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan
from model.arch.layers import Linear
from model.state import LayerState

Rest = tuple[Tensor, ...]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "swish": F.silu,
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
}


class FeedForward(nn.Module):
    """u + W_down (act(W_gate n) * W_up n), with n = norm(u)."""

    def __init__(self, norm: nn.Module, width: int, inner: int, act: str, *, bias: bool = False) -> None:
        super().__init__()
        self.norm = norm
        self.act = ACTIVATIONS[act]
        self.gate_proj = Linear(width, inner, bias=bias)
        self.up_proj = Linear(width, inner, bias=bias)
        self.down_proj = Linear(inner, width, bias=bias)

    def zero_rest(self, _: int) -> Rest:
        """Nothing: every token is read alone."""
        return ()

    def forward(self, u: Tensor, rest: Rest) -> tuple[Tensor, Rest]:
        """(batch, seqlen, d_model) -> the same shape."""
        normed = self.norm(u)
        return u + self.down_proj(self.act(self.gate_proj(normed)) * self.up_proj(normed)).to(u.dtype), rest


class AttentionSizes(NamedTuple):
    """``rotated``: channels of a head that turn with the position, about ``theta``. ``window``: tokens seen, or all."""

    heads: int
    kv_heads: int
    head_dim: int
    rotated: int
    theta: float
    window: int | None


class Attention(nn.Module):
    """Causal attention with rotary positions (Su et al. 2021, arXiv 2104.09864), over all tokens or the last ones.

    ``rest``: keys and values (batch, kept, kv_heads, head_dim) of the tokens that can still be seen, and how many
    tokens have been read (batch, 1). Without a window it grows with the document.
    """

    def __init__(
        self, norm: nn.Module, width: int, sizes: AttentionSizes, *, bias: bool = False, out_bias: bool = False
    ) -> None:
        super().__init__()
        self.norm = norm
        self.sizes = sizes
        self.q_proj = Linear(width, sizes.heads * sizes.head_dim, bias=bias)
        self.k_proj = Linear(width, sizes.kv_heads * sizes.head_dim, bias=bias)
        self.v_proj = Linear(width, sizes.kv_heads * sizes.head_dim, bias=bias)
        self.o_proj = Linear(sizes.heads * sizes.head_dim, width, bias=out_bias)

    def zero_rest(self, batch: int) -> Rest:
        """Nothing seen yet, for ``batch`` sequences."""
        empty = torch.zeros(batch, 0, self.sizes.kv_heads, self.sizes.head_dim, device=self.q_proj.weight.device)
        return empty, empty, torch.zeros(batch, 1, dtype=torch.int64, device=empty.device)

    def forward(self, u: Tensor, rest: Rest) -> tuple[Tensor, Rest]:
        """(batch, seqlen, d_model) after ``rest`` -> the same shape and what the next tokens can see."""
        seqlen, window = u.shape[1], self.sizes.window
        keys, values, read = rest
        kept, first = keys.shape[1], int(read[0, 0])
        normed = self.norm(u)
        position = torch.arange(first, first + seqlen, device=u.device)
        q = self._turned(self.q_proj(normed).unflatten(-1, (self.sizes.heads, -1)), position)
        k = self._turned(self.k_proj(normed).unflatten(-1, (self.sizes.kv_heads, -1)), position)
        v = self.v_proj(normed).unflatten(-1, (self.sizes.kv_heads, -1))
        keys = torch.cat([keys, k.to(keys.dtype)], dim=1)
        values = torch.cat([values, v.to(values.dtype)], dim=1)

        at = torch.arange(first - kept, first + seqlen, device=u.device)
        seen = at <= position[:, None]
        if window is not None:
            seen &= at > position[:, None] - window
        query, key, value = (tensor.to(q.dtype).transpose(1, 2) for tensor in (q, keys, values))
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen, enable_gqa=True)
        out = self.o_proj(mixed.transpose(1, 2).flatten(2)).to(u.dtype)
        if window is not None:  # copies, which do not keep the whole stretch alive
            keys, values = (tensor[:, max(0, tensor.shape[1] - window + 1) :].clone() for tensor in (keys, values))
        return u + out, (keys, values, read + seqlen)

    def _turned(self, heads: Tensor, position: Tensor) -> Tensor:
        """Turn the first channels of (batch, seqlen, heads, head_dim) by their position, in pairs half apart."""
        rotated = self.sizes.rotated
        rates = self.sizes.theta ** -(torch.arange(0, rotated, 2, device=heads.device, dtype=torch.float32) / rotated)
        angles = torch.cat([position[:, None].float() * rates] * 2, dim=-1)[:, None]  # (seqlen, 1, rotated)
        turned, left = heads[..., :rotated], heads[..., rotated:]
        low, high = turned.chunk(2, dim=-1)
        cos, sin = angles.cos().to(heads.dtype), angles.sin().to(heads.dtype)
        return torch.cat([turned * cos + torch.cat([-high, low], dim=-1) * sin, left], dim=-1)


class Stage(nn.Module):
    """One recurrent memory, u + mixer(norm(u)), with the parts that stand before and after it."""

    def __init__(
        self, norm: nn.Module, mixer: nn.Module, before: Sequence[nn.Module] = (), after: Sequence[nn.Module] = ()
    ) -> None:
        super().__init__()
        self.norm = norm
        self.mixer: Any = mixer
        self.before, self.after = nn.ModuleList(before), nn.ModuleList(after)

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory, with what the parts need beside it."""
        state = self.mixer.zero_state(batch)
        parts: list[Any] = [*self.before, *self.after]
        return state._replace(rest=(*state.rest, *(tensor for part in parts for tensor in part.zero_rest(batch))))

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> the same shape and the state after the last token."""
        own = len(self.mixer.zero_state(1).rest)
        rest, left = state.rest[:own], state.rest[own:]
        done: Rest = ()

        def through(parts: nn.ModuleList, u: Tensor, left: Rest) -> tuple[Tensor, Rest, Rest]:
            kept: Rest = ()
            for part in parts:
                count = len(part.zero_rest(1))  # type: ignore[operator]
                u, new = part(u, left[:count])
                kept, left = (*kept, *new), left[count:]
            return u, kept, left

        u, done, left = through(self.before, u, left)
        mixed, state = self.mixer(self.norm(u), state._replace(rest=rest), scan)
        u, later, _ = through(self.after, u + mixed, left)
        return u, state._replace(rest=(*state.rest, *done, *later))
