"""HGRN-2 in the layout of flash-linear-attention (arXiv 2404.07904): a mixer and a feed-forward part in every layer."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from model.arch.layers import RMSNorm
from model.mixers.hgrn2 import HGRN2
from model.published.config import PublishedConfig, refuse_unless
from model.published.fla import OUTER, filled, layer, sizes_of
from model.published.lm import Anatomy, BesidePart, Made, MemoryPart, Table, linear

DEFAULTS = {
    "hidden_size": 2048,
    "num_hidden_layers": 24,
    "num_heads": None,
    "expand_ratio": 128,
    "use_lower_bound": True,
    "hidden_ratio": 4,
    "intermediate_size": None,
    "hidden_act": "swish",
    "norm_eps": 1e-6,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
"""What a configuration means by leaving a field out."""


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from an ``HGRN2Config``."""
    filled(source, DEFAULTS, {"attn": None, "use_short_conv": False, "elementwise_affine": True})
    refuse_unless(source.hidden_act == "swish", f"hidden_act = {source.hidden_act}")
    width = source.hidden_size
    keys = source.expand_ratio or width // source.num_heads
    heads = width // keys
    return sizes_of(source, "hgrn2", inner=width, d_state=keys, headdim=width // heads)


def bound_of(index: int, bounds: Tensor) -> Tensor:
    """The lower bound of layer ``index`` from those of all layers: shares of one, added up from the second layer on."""
    shares = bounds.float().softmax(0)
    return shares[1 : index + 1].sum(0)


def anatomy(config: PublishedConfig) -> Anatomy:
    """Layers of a mixer and a feed-forward part."""
    parts: list[MemoryPart | BesidePart] = []
    for index in range(len(config.layers)):
        rows: Table = {"norm.weight": "attn_norm.weight", "mixer.norm.weight": "attn.g_norm.weight"}
        for name in ("q_proj", "f_proj", "i_proj", "o_proj"):
            rows |= linear(f"mixer.{name}", f"attn.{name}")
        memory, feed = layer(config, index, HGRN2(config), rows)
        assert isinstance(memory, MemoryPart)
        bounded = config.source.use_lower_bound
        memory.weights["mixer.lower_bound"] = (
            Made(("model.lower_bounds",), partial(bound_of, index)) if bounded else None
        )
        parts += [memory, feed]
    return Anatomy(parts, RMSNorm(config.d_model, config.norm_eps), OUTER)
