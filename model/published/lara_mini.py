"""Lara mini: Gated DeltaNet, full attention and experts, in the layout of Qwen3.5."""

from __future__ import annotations

from model.published.gated_deltanet import adopted, sizes

MIXER = "LaraMiniGatedDeltaNet"

__all__ = ["MIXER", "adopted", "sizes"]
