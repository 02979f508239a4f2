"""Bailing hybrid (Ling 2.5), Kimi delta attention with gates of full rank, latent attention and experts."""

from __future__ import annotations

from typing import Any

from torch import nn

from model.published import adopt
from model.published.config import PublishedConfig
from model.published.kimi_linear import core, sizes

MIXER = "BailingHybridDeltaAttention"


def adopted(config: PublishedConfig, theirs: Any) -> nn.Module:
    """Our mixer with the parameters of the library's."""
    gate = theirs.forget_gate
    ours = core(config, theirs, lowest=gate.lower_bound if gate.safe_gate else None)
    ours.f_proj, ours.g_proj = adopt.linear(gate.f_proj), adopt.linear(theirs.g_proj)
    return ours


__all__ = ["MIXER", "adopted", "sizes"]
