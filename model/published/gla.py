"""GLA in the layout of flash-linear-attention (arXiv 2312.06635): a mixer and a feed-forward part in every layer."""

from __future__ import annotations

from typing import Any

from model.arch.layers import RMSNorm
from model.mixers.gla import GLA
from model.published.config import PublishedConfig, refuse_unless
from model.published.fla import OUTER, expanded, filled, layer
from model.published.lm import Anatomy, BesidePart, MemoryPart, Table, linear

DEFAULTS = {
    "hidden_size": 2048,
    "num_hidden_layers": 24,
    "num_heads": 4,
    "num_kv_heads": None,
    "expand_k": 0.5,
    "expand_v": 1.0,
    "hidden_ratio": 4,
    "intermediate_size": None,
    "clamp_min": None,
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
}
"""Variants that this module does not compute: every one of these fields must be as here."""


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``GLAConfig``."""
    filled(source, DEFAULTS, PLAIN)
    refuse_unless(source.hidden_act == "swish", f"hidden_act = {source.hidden_act}")
    return expanded(source, "gla")


def anatomy(config: PublishedConfig) -> Anatomy:
    """Layers of a mixer and a feed-forward part."""
    source = config.source
    gated = "g_norm_swish_gate" if getattr(source, "fuse_norm", True) else "g_norm"
    rows: Table = {"norm.weight": "attn_norm.weight", "mixer.norm.weight": f"attn.{gated}.weight"}
    for name in ("q_proj", "k_proj", "v_proj", "g_proj", "o_proj"):
        rows |= linear(f"mixer.{name}", f"attn.{name}")
    rows |= linear("mixer.gate_in", "attn.gk_proj.0") | linear("mixer.gate_out", "attn.gk_proj.1")
    rows["mixer.gate_bias"] = "attn.gk_proj.1.bias"
    rank = getattr(source, "gate_low_rank_dim", 16)
    parts: list[MemoryPart | BesidePart] = []
    for index in range(len(config.layers)):
        mixer = GLA(config, groups=source.num_kv_heads, rank=rank, least_log_decay=source.clamp_min)
        parts += layer(config, index, mixer, rows)
    return Anatomy(parts, RMSNorm(config.d_model, config.norm_eps), OUTER)
