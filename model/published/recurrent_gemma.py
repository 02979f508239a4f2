"""RecurrentGemma (Botev et al. 2024, arXiv 2404.07839): RG-LRU layers, and attention to the last 2,048 tokens between.

What local attention keeps is bounded, so the model's memory is: recurrent states, and a window of keys and values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from model.mixers.rg_lru import RGLRU
from model.published import adopt
from model.published.config import PublishedConfig, refuse_unless
from model.published.fields import outer

MIXER = "RecurrentGemmaRecurrentBlock"
PAIR = True


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``RecurrentGemmaConfig``."""
    refuse_unless(source.hidden_activation == "gelu_pytorch_tanh", f"hidden_activation = {source.hidden_activation}")
    kinds = list(source.layers_block_type)
    refuse_unless("linear_attention" in kinds, "layers_block_type without recurrent")
    attention = len(kinds) - kinds.count("linear_attention")
    return {
        "layers": ("rg_lru",) * kinds.count("linear_attention"),
        "inner": source.lru_width,
        "d_state": 1,
        "headdim": 1,
        "d_conv": source.conv1d_width,
        **outer(source),
        "attention_layers": attention,
        "kept_per_token": 2 * attention * source.num_key_value_heads * source.head_dim,
        "kept_tokens": source.attention_window_size,
        "logit_cap": source.logits_soft_cap,
    }


def adopted(config: PublishedConfig, theirs: Any) -> nn.Module:
    """Our mixer with the parameters of the library's."""
    with torch.device("meta"):
        ours = RGLRU(config, blocks=config.source.num_attention_heads)
    for name in ("linear_x", "linear_y", "linear_out"):
        setattr(ours, name, adopt.linear(getattr(theirs, name)))
    ours.conv_weight, ours.conv_bias = adopt.taps(theirs.conv_1d)
    gates = [f"{gate}_gate_{part}" for gate in ("input", "recurrent") for part in ("weight", "bias")]
    for name in (*gates, "recurrent_param"):
        setattr(ours, name, adopt.own(getattr(theirs.rg_lru, name)))
    return ours
