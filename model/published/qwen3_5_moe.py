"""Qwen3.5 with experts: Gated DeltaNet, full attention and experts, in the layout of Qwen3.5."""

from __future__ import annotations

from model.published.gated_deltanet import adopted, sizes

MIXER = "Qwen3_5MoeGatedDeltaNet"

__all__ = ["MIXER", "adopted", "sizes"]
