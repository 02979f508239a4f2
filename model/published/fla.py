"""What families share in the layout of flash-linear-attention: fields, names of tensors, the feed-forward part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from model.arch.layers import RMSNorm
from model.published.config import PublishedConfig, refuse_unless
from model.published.lm import BesidePart, MemoryPart, Table, linear, under
from model.published.parts import FeedForward


def filled(source: Any, defaults: Mapping[str, Any], plain: Mapping[str, Any]) -> None:
    """Put ``defaults`` where ``source`` has no field; ValueError for a field that is not ``plain``."""
    for name, value in defaults.items():
        if not hasattr(source, name):
            setattr(source, name, value)
    for name, value in plain.items():
        refuse_unless(getattr(source, name, value) == value, f"{name} = {getattr(source, name, None)}")


def feed_width(source: Any) -> int:
    """Inner width of the feed-forward part: two thirds of the ratio, up to the next multiple of 256."""
    return source.intermediate_size or 256 * -(-int(source.hidden_size * source.hidden_ratio * 2 / 3) // 256)


def sizes_of(source: Any, mixer: str, *, inner: int, d_state: int, headdim: int) -> dict[str, Any]:
    """Our fields from a configuration of this layout, whose families differ in the shape of a layer's memory."""
    return {
        "layers": (mixer,) * source.num_hidden_layers,
        "d_model": source.hidden_size,
        "inner": inner,
        "d_state": d_state,
        "headdim": headdim,
        "norm_eps": source.norm_eps,
        "vocab_size": source.vocab_size,
        "tied": source.tie_word_embeddings,
        "train_length": source.max_position_embeddings,
    }


def expanded(source: Any, mixer: str) -> dict[str, Any]:
    """The same where ``expand_k`` and ``expand_v`` say how wide the keys and values of all heads are together."""
    inner = int(source.hidden_size * source.expand_v)
    keys = int(source.hidden_size * source.expand_k)
    return sizes_of(source, mixer, inner=inner, d_state=keys // source.num_heads, headdim=inner // source.num_heads)


def layer(config: PublishedConfig, index: int, mixer: nn.Module, rows: Table) -> list[MemoryPart | BesidePart]:
    """A mixer with its ``rows``, and the feed-forward part that all families but RWKV have."""
    prefix = f"model.layers.{index}."
    feed = FeedForward(RMSNorm(config.d_model, config.norm_eps), config.d_model, feed_width(config.source))
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
