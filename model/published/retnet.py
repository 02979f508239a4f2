"""RetNet in the layout of flash-linear-attention (arXiv 2307.08621): a mixer and a feed-forward part in every layer."""

from __future__ import annotations

from typing import Any

from model.arch.layers import RMSNorm
from model.mixers.retention import Retention
from model.published.config import PublishedConfig, refuse_unless
from model.published.fla import OUTER, expanded, filled, layer
from model.published.lm import Anatomy, BesidePart, MemoryPart, Table, linear

DEFAULTS = {
    "hidden_size": 2048,
    "num_hidden_layers": 24,
    "num_heads": 8,
    "num_kv_heads": None,
    "expand_k": 1.0,
    "expand_v": 2.0,
    "hidden_ratio": 2,
    "intermediate_size": None,
    "hidden_act": "swish",
    "norm_eps": 1e-6,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
"""What a configuration means by leaving a field out."""

PLAIN = {
    "attn": None,
    "feature_map": None,
    "use_short_conv": False,
    "use_output_gate": True,
    "elementwise_affine": True,
    "attnres_block_size": None,
}
"""Variants that this module does not compute: every one of these fields must be as here."""


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``RetNetConfig``."""
    filled(source, DEFAULTS, PLAIN)
    refuse_unless(source.hidden_act == "swish", f"hidden_act = {source.hidden_act}")
    return expanded(source, "retention")


def anatomy(config: PublishedConfig) -> Anatomy:
    """Layers of a mixer and a feed-forward part."""
    source = config.source
    gated = "g_norm_swish_gate" if getattr(source, "fuse_norm", True) else "g_norm"
    rows: Table = {"norm.weight": "attn_norm.weight", "mixer.norm.weight": f"attn.{gated}.weight"}
    for name in ("q_proj", "k_proj", "v_proj", "g_proj", "o_proj"):
        rows |= linear(f"mixer.{name}", f"attn.{name}")
    parts: list[MemoryPart | BesidePart] = []
    for index in range(len(config.layers)):
        parts += layer(config, index, Retention(config, groups=source.num_kv_heads), rows)
    return Anatomy(parts, RMSNorm(config.d_model, config.norm_eps), OUTER)
