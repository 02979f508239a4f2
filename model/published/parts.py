"""What stands beside the memories of flash-linear-attention: feed-forward parts, and the stage that holds them.

None of it is recurrent memory, so none of it goes through the scan. A part adds to the residual stream, and what it
needs to continue is in ``rest`` of the layer state that its stage belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from kernels.types import Scan
from model.arch.layers import Linear
from model.state import LayerState

Rest = tuple[Tensor, ...]


class FeedForward(nn.Module):
    """u + W_down (silu(W_gate n) * W_up n), with n = norm(u)."""

    def __init__(self, norm: nn.Module, width: int, inner: int) -> None:
        super().__init__()
        self.norm = norm
        self.gate_proj = Linear(width, inner)
        self.up_proj = Linear(width, inner)
        self.down_proj = Linear(inner, width)

    def zero_rest(self, _: int) -> Rest:
        """Nothing: every token is read alone."""
        return ()

    def forward(self, u: Tensor, rest: Rest) -> tuple[Tensor, Rest]:
        """(batch, seqlen, d_model) -> the same shape."""
        normed = self.norm(u)
        return u + self.down_proj(F.silu(self.gate_proj(normed)) * self.up_proj(normed)).to(u.dtype), rest


class Stage(nn.Module):
    """One recurrent memory, u + mixer(norm(u)), with the parts that stand after it."""

    def __init__(self, norm: nn.Module, mixer: Any, after: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.norm = norm
        self.mixer = mixer
        self.after: Any = nn.ModuleList(after)
        self.own = len(self.mixer.zero_state(1).rest)
        self.counts = [len(rest) for rest in self._zero_rests(1)]

    def zero_state(self, batch: int) -> LayerState:
        """An empty memory, with what the parts need beside it."""
        state: LayerState = self.mixer.zero_state(batch)
        return state._replace(rest=(*state.rest, *chain.from_iterable(self._zero_rests(batch))))

    def _zero_rests(self, batch: int) -> list[Rest]:
        return [part.zero_rest(batch) for part in self.after]

    def forward(self, u: Tensor, state: LayerState, scan: Scan) -> tuple[Tensor, LayerState]:
        """(batch, seqlen, d_model) from ``state`` -> the same shape and the state after the last token."""
        rest, left = state.rest[: self.own], state.rest[self.own :]
        mixed, state = self.mixer(self.norm(u), state._replace(rest=rest), scan)
        u, kept = u + mixed, state.rest
        for part, count in zip(self.after, self.counts, strict=True):
            u, new = part(u, left[:count])
            kept, left = (*kept, *new), left[count:]
        return u, state._replace(rest=kept)
