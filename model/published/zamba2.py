"""Zamba2, a hybrid: Mamba-2 in every layer, before some of them shared attention blocks (arXiv 2411.15242)."""

from __future__ import annotations

from typing import Any

from model.published.fields import kept, limit, outer
from model.published.mamba2 import adopted

MIXER = "Zamba2MambaMixer"


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``Zamba2Config``."""
    return {
        "layers": ("mamba2",) * source.num_hidden_layers,
        "inner": source.mamba_expand * source.hidden_size,
        "d_state": source.mamba_d_state,
        "headdim": source.mamba_headdim,
        "ngroups": source.mamba_ngroups,
        "d_conv": source.mamba_d_conv,
        **outer(source),
        "step_limit": limit((source.time_step_min, float("inf"))),
        **kept(source, list(source.layers_block_type).count("hybrid")),
    }


__all__ = ["MIXER", "adopted", "sizes"]
