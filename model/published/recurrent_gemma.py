"""RecurrentGemma (Botev et al. 2024, arXiv 2404.07839): RG-LRU layers, and attention to the last 2,048 tokens between.

What local attention keeps is bounded, so the model's memory is: recurrent states, and a window of keys and values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from model.arch.layers import RMSNorm
from model.mixers.rg_lru import RGLRU
from model.published.config import PublishedConfig, refuse_unless
from model.published.lm import Anatomy, BesidePart, MemoryPart, Table, linear, taps, under
from model.published.parts import ACTIVATIONS, Attention, AttentionSizes, FeedForward

RECURRENT = "linear_attention"
"""What the library calls a recurrent layer."""


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``RecurrentGemmaConfig``."""
    refuse_unless(source.rope_parameters.get("rope_type", "default") == "default", "rope_type")
    refuse_unless(source.hidden_activation == "gelu_pytorch_tanh" and source.hidden_activation in ACTIVATIONS, "act")
    kinds = source.layers_block_type
    refuse_unless(RECURRENT in kinds, "no recurrent layer")
    attention = len(kinds) - kinds.count(RECURRENT)
    return {
        "layers": ("rg_lru",) * kinds.count(RECURRENT),
        "d_model": source.hidden_size,
        "inner": source.lru_width,
        "d_state": 1,
        "headdim": 1,
        "d_conv": source.conv1d_width,
        "norm_eps": source.rms_norm_eps,
        "vocab_size": source.vocab_size,
        "tied": source.tie_word_embeddings,
        "kept_per_token": 2 * attention * source.num_key_value_heads * source.head_dim,
        "kept_tokens": source.attention_window_size,
    }


def from_zero(weight: Tensor) -> Tensor:
    """The scale of a norm that is stored as its distance from one."""
    return weight.float() + 1


def anatomy(config: PublishedConfig) -> Anatomy:
    """Layers of a temporal part, RG-LRU or attention, and a feed-forward part."""
    source = config.source
    parts: list[MemoryPart | BesidePart] = []
    for index, kind in enumerate(source.layers_block_type):
        norm: Table = {"norm.weight": ("temporal_pre_norm.weight", from_zero)}
        prefix = f"model.layers.{index}."
        if kind == RECURRENT:
            mixer = RGLRU(config, blocks=source.num_attention_heads)
            parts.append(MemoryPart(_norm(config), mixer, under(prefix, norm | _recurrent_rows())))
        else:
            parts.append(BesidePart(_attention(config), under(prefix, norm | _attention_rows(source.attention_bias))))
        feed = FeedForward(
            _norm(config), config.d_model, source.intermediate_size // 2, source.hidden_activation, bias=True
        )
        rows: Table = {"norm.weight": ("channel_pre_norm.weight", from_zero)}
        for name in ("gate_proj", "up_proj", "down_proj"):
            rows |= linear(name, f"mlp_block.{name}", bias=True)
        parts.append(BesidePart(feed, under(prefix, rows)))
    outer: Table = {"embedding.weight": "model.embed_tokens.weight", "lm_head": "lm_head.weight"}
    outer["norm.weight"] = ("model.final_norm.weight", from_zero)
    scale = torch.tensor(config.d_model**0.5, dtype=torch.bfloat16, device="cpu").item()  # rounded, as in training
    return Anatomy(parts, _norm(config), outer, embedding_scale=scale, logit_cap=source.logits_soft_cap)


def _norm(config: PublishedConfig) -> RMSNorm:
    return RMSNorm(config.d_model, config.norm_eps)


def _attention(config: PublishedConfig) -> Attention:
    source = config.source
    rotated = int(source.head_dim * source.rope_parameters.get("partial_rotary_factor", 1.0))
    shape = AttentionSizes(
        heads=source.num_attention_heads,
        kv_heads=source.num_key_value_heads,
        head_dim=source.head_dim,
        rotated=rotated,
        theta=source.rope_parameters["rope_theta"],
        window=source.attention_window_size,
    )
    return Attention(_norm(config), config.d_model, shape, bias=source.attention_bias, out_bias=True)


def _recurrent_rows() -> Table:
    block = "temporal_block"
    rows: Table = {"mixer.conv_weight": (f"{block}.conv_1d.weight", taps), "mixer.conv_bias": f"{block}.conv_1d.bias"}
    for name in ("linear_x", "linear_y", "linear_out"):
        rows |= linear(f"mixer.{name}", f"{block}.{name}", bias=True)
    gates = [f"{gate}_gate_{part}" for gate in ("input", "recurrent") for part in ("weight", "bias")]
    return rows | {f"mixer.{name}": f"{block}.rg_lru.{name}" for name in (*gates, "recurrent_param")}


def _attention_rows(bias: bool) -> Table:
    rows: Table = {}
    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        rows |= linear(name, f"temporal_block.{name}", bias=bias or name == "o_proj")
    return rows
