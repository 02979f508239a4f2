"""GLA in the layout of flash-linear-attention (arXiv 2312.06635): a mixer and a feed-forward part in every layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from model.layers import RMSNorm
from model.mixers.gla import GLA
from model.published.config import PublishedConfig, refuse_unless
from model.published.lm import Anatomy, BesidePart, MemoryPart, Table, linear, under
from model.published.parts import FeedForward

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


def filled(source: Any, defaults: Mapping[str, Any], plain: Mapping[str, Any]) -> None:
    """Put ``defaults`` where ``source`` has no field; ValueError for a field that is not ``plain``."""
    for name, value in defaults.items():
        if not hasattr(source, name):
            setattr(source, name, value)
    for name, value in plain.items():
        refuse_unless(getattr(source, name, value) == value, name)


def feed_width(source: Any) -> int:
    """Inner width of the feed-forward part: two thirds of the ratio, up to the next multiple of 256."""
    return source.intermediate_size or 256 * -(-int(source.hidden_size * source.hidden_ratio * 2 / 3) // 256)


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``GLAConfig``."""
    filled(source, DEFAULTS, PLAIN)
    refuse_unless(source.hidden_act == "swish", "hidden_act")
    values = int(source.hidden_size * source.expand_v)
    return {
        "layers": ("gla",) * source.num_hidden_layers,
        "d_model": source.hidden_size,
        "inner": values,
        "d_state": int(source.hidden_size * source.expand_k) // source.num_heads,
        "headdim": values // source.num_heads,
        "norm_eps": source.norm_eps,
        "vocab_size": source.vocab_size,
        "tied": source.tie_word_embeddings,
        "train_length": source.max_position_embeddings,
    }


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


def layer(config: PublishedConfig, index: int, mixer: nn.Module, rows: Table) -> list[MemoryPart | BesidePart]:
    """A mixer with its ``rows``, and the feed-forward part that GLA and HGRN-2 share."""
    prefix = f"model.layers.{index}."
    feed = FeedForward(
        RMSNorm(config.d_model, config.norm_eps), config.d_model, feed_width(config.source), config.source.hidden_act
    )
    feed_rows: Table = {"norm.weight": "mlp_norm.weight"}
    for name in ("gate_proj", "up_proj", "down_proj"):
        feed_rows |= linear(name, f"mlp.{name}")
    norm = RMSNorm(config.d_model, config.norm_eps)
    return [MemoryPart(norm, mixer, under(prefix, rows)), BesidePart(feed, under(prefix, feed_rows))]


OUTER: Table = {
    "embedding.weight": "model.embeddings.weight",
    "norm.weight": "model.norm.weight",
    "lm_head": "lm_head.weight",
}
