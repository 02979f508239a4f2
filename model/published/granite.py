"""Granite 4.0 hybrids: layers of Mamba-2 and of full attention, experts after each (ibm-granite/granite-4.0-*)."""

from __future__ import annotations

from typing import Any

from model.published.mamba2 import adopted, hybrid_sizes

MIXER = "GraniteMoeHybridMambaLayer"


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``GraniteMoeHybridConfig``."""
    return {**hybrid_sizes(source), "logit_scale": 1 / source.logits_scaling}


__all__ = ["MIXER", "adopted", "sizes"]
