"""Attention beside the memories: the library's own modules, whose reach one call of the model may bound, or end.

    token t sees tokens t - N + 1 to t                                   N: the window

As long as no more than N tokens were read, the library's module gets what the library gives it, and nothing else.
From there on its mask is narrowed, and what is older than the window is dropped between two calls, so memory is
bounded. The mask goes by positions in the document, so results do not depend on how it is cut into pieces.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Attending(nn.Module):
    """The library's ``attention`` module; how far it sees, and whether, stands in the cache object of the call."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.attention = attention

    # Zamba's shared blocks are told by argument in which layer they stand; others know it.
    def forward(
        self, hidden_states: Tensor, *args: Any, cache: Any, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """(batch, seqlen, width) -> (batch, seqlen, d_model), and what the library's module returns beside it."""
        if not cache.part.attention:
            width = self.attention.config.hidden_size
            return hidden_states.new_zeros(*hidden_states.shape[:-1], width), None
        layer = kwargs.get("layer_idx", self.attention.layer_idx)
        mask = cache.narrowed(attention_mask, hidden_states, layer)
        return self.attention(hidden_states, *args, cache=cache, attention_mask=mask, **kwargs)


def narrowed(mask: Tensor | None, window: int, queries: int, keys: int, device: torch.device) -> Tensor:
    """``mask`` of the last ``queries`` of ``keys`` tokens, without what is older than ``window``: (..., queries, keys).

    The library's masks say who is seen, or hold what is added to a score; None is causal.
    """
    key = torch.arange(keys, device=device)
    query = torch.arange(keys - queries, keys, device=device)[:, None]
    seen = (key <= query) & (key > query - window)
    if mask is None:
        return seen[None, None]
    return mask & seen if mask.dtype == torch.bool else mask.masked_fill(~seen, torch.finfo(mask.dtype).min)


def bound_attention(library: Any) -> None:
    """Put :class:`Attending` around every attention module of ``library``, whose recurrent mixers are replaced."""
    names = [place for place, module in library.named_modules() if type(module).__name__.endswith("Attention")]
    for place in names:
        library.set_submodule(place, Attending(library.get_submodule(place)))
