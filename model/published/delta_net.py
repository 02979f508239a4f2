"""DeltaNet and Gated DeltaNet in the layout of flash-linear-attention (arXiv 2406.06484, 2412.06464).

A mixer and a feed-forward part in every layer; queries, keys and values are projected and convolved apart.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from model.arch.layers import RMSNorm
from model.mixers.deltanet import DeltaNet
from model.mixers.gated_deltanet import GatedDeltaNet
from model.published.config import PublishedConfig, refuse_unless
from model.published.fla import OUTER, expanded, filled, layer, sizes_of
from model.published.lm import Anatomy, BesidePart, Made, MemoryPart, Table, linear

DEFAULTS = {
    "hidden_size": 2048,
    "hidden_ratio": 4,
    "intermediate_size": None,
    "conv_size": 4,
    "allow_neg_eigval": False,
    "hidden_act": "swish",
    "norm_eps": 1e-6,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
"""What a configuration of either means by leaving a field out."""
PLAIN_DEFAULTS = {"num_hidden_layers": 24, "num_heads": 16, "expand_k": 1.0, "expand_v": 1.0}
GATED_DEFAULTS = {
    "num_hidden_layers": 21,
    "num_heads": 6,
    "num_v_heads": None,
    "head_dim": 256,
    "expand_v": 2.0,
}

ONLY = {"attn": None, "use_short_conv": True, "attnres_block_size": None}
"""Variants that this module does not compute: every one of these fields must be as here."""
PLAIN_ONLY = {"use_gate": False, "use_beta": True, "qk_norm": "l2", "qk_activation": "silu"}
GATED_ONLY = {"use_gate": True}


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``DeltaNetConfig`` or a ``GatedDeltaNetConfig``."""
    gated = source.model_type == "gated_deltanet"
    defaults, only = (GATED_DEFAULTS, GATED_ONLY) if gated else (PLAIN_DEFAULTS, PLAIN_ONLY)
    filled(source, DEFAULTS | defaults, ONLY | only)
    refuse_unless(source.hidden_act == "swish", f"hidden_act = {source.hidden_act}")
    if not gated:
        return {**expanded(source, "deltanet"), "d_conv": source.conv_size}
    values = int(source.head_dim * source.expand_v)
    heads = source.num_v_heads or source.num_heads
    found = sizes_of(source, "gated_deltanet", inner=heads * values, d_state=source.head_dim, headdim=values)
    return {**found, "ngroups": source.num_heads, "d_conv": source.conv_size}


def anatomy(config: PublishedConfig) -> Anatomy:
    """Layers of a mixer and a feed-forward part."""
    strongest = 2.0 if config.source.allow_neg_eigval else 1.0
    rows: Table = {
        "norm.weight": "attn_norm.weight",
        "mixer.norm.weight": "attn.o_norm.weight",
        "mixer.keys.proj.weight": Made(tuple(f"attn.{name}_proj.weight" for name in "qkv"), one_under_another),
        "mixer.keys.conv_weight": Made(tuple(f"attn.{name}_conv1d.weight" for name in "qkv"), taps),
        "mixer.keys.conv_bias": None,
    }
    rows |= linear("mixer.b_proj", "attn.b_proj") | linear("mixer.o_proj", "attn.o_proj")
    if config.layers[0] == "gated_deltanet":
        rows |= linear("mixer.z_proj", "attn.g_proj") | linear("mixer.a_proj", "attn.a_proj")
        rows |= {"mixer.dt_bias": "attn.dt_bias", "mixer.A_log": "attn.A_log"}
    parts: list[MemoryPart | BesidePart] = []
    for index in range(len(config.layers)):
        kind: type[nn.Module] = GatedDeltaNet if config.layers[index] == "gated_deltanet" else DeltaNet
        parts += layer(config, index, kind(config, strongest=strongest), rows)
    return Anatomy(parts, RMSNorm(config.d_model, config.norm_eps), OUTER)


def one_under_another(*matrices: Tensor) -> Tensor:
    """Matrices (out, in) as one."""
    return torch.cat(matrices)


def taps(*convolutions: Tensor) -> Tensor:
    """Depthwise convolutions (channels, 1, taps) as one, (taps, channels)."""
    return torch.cat(convolutions).squeeze(1).T
