"""Bamba, a hybrid: layers of Mamba-2 with a few layers of full attention between (ibm-ai-platform/Bamba-9B).

The attention layers keep the keys and values of every token, so the memory of the whole model grows with the document.
That part is no recurrent memory: no mitigation acts on it, no map shows it, and it alone may recall what a state lost.
"""

from __future__ import annotations

from typing import Any

from model.arch.layers import RMSNorm
from model.mixers.mamba2 import Mamba2
from model.published.config import PublishedConfig, refuse_unless
from model.published.lm import Anatomy, BesidePart, MemoryPart, Table, linear, under
from model.published.mamba2 import limit, mixer_weights
from model.published.parts import ACTIVATIONS, Attention, AttentionSizes, FeedForward

RECURRENT = "linear_attention"
"""What the library calls a recurrent layer."""


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``BambaConfig``."""
    refuse_unless(source.rope_parameters.get("rope_type", "default") == "default", "rope_type")
    refuse_unless(source.hidden_act in ACTIVATIONS, "hidden_act")
    kinds = source.layers_block_type
    refuse_unless(RECURRENT in kinds, "no recurrent layer")
    attention = len(kinds) - kinds.count(RECURRENT)
    return {
        "layers": ("mamba2",) * kinds.count(RECURRENT),
        "d_model": source.hidden_size,
        "inner": source.mamba_n_heads * source.mamba_d_head,
        "d_state": source.mamba_d_state,
        "headdim": source.mamba_d_head,
        "ngroups": source.mamba_n_groups,
        "d_conv": source.mamba_d_conv,
        "norm_eps": source.rms_norm_eps,
        "vocab_size": source.vocab_size,
        "tied": source.tie_word_embeddings,
        "bias": source.mamba_proj_bias,
        "step_limit": limit(source.time_step_limit),
        "kept_per_token": 2 * attention * source.num_key_value_heads * _head_dim(source),
        "kept_tokens": None if attention else 0,
    }


def _head_dim(source: Any) -> int:
    return getattr(source, "head_dim", None) or source.hidden_size // source.num_attention_heads


def anatomy(config: PublishedConfig) -> Anatomy:
    """Layers of a mixer or attention, and a feed-forward part."""
    source = config.source
    parts: list[MemoryPart | BesidePart] = []
    for index, kind in enumerate(source.layers_block_type):
        prefix = f"model.layers.{index}."
        norm: Table = {"norm.weight": "input_layernorm.weight"}
        if kind == RECURRENT:
            rows = mixer_weights("mamba", bias=source.mamba_proj_bias, conv_bias=source.mamba_conv_bias)
            parts.append(MemoryPart(_norm(config), Mamba2(config), under(prefix, norm | rows)))
        else:
            rows = norm
            for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
                rows |= linear(name, f"self_attn.{name}", bias=source.attention_bias)
            parts.append(BesidePart(_attention(config), under(prefix, rows)))
        feed = FeedForward(
            _norm(config), config.d_model, source.intermediate_size, source.hidden_act, bias=source.mlp_bias
        )
        rows = {"norm.weight": "pre_ff_layernorm.weight"}
        for name in ("gate_proj", "up_proj", "down_proj"):
            rows |= linear(name, f"feed_forward.{name}", bias=source.mlp_bias)
        parts.append(BesidePart(feed, under(prefix, rows)))
    outer: Table = {"embedding.weight": "model.embed_tokens.weight", "lm_head": "lm_head.weight"}
    outer["norm.weight"] = "model.final_layernorm.weight"
    return Anatomy(parts, _norm(config), outer)


def _norm(config: PublishedConfig) -> RMSNorm:
    return RMSNorm(config.d_model, config.norm_eps)


def _attention(config: PublishedConfig) -> Attention:
    source = config.source
    shape = AttentionSizes(
        heads=source.num_attention_heads,
        kv_heads=source.num_key_value_heads,
        head_dim=_head_dim(source),
        rotated=int(_head_dim(source) * source.rope_parameters.get("partial_rotary_factor", 1.0)),
        theta=source.rope_parameters["rope_theta"],
        window=None,
    )
    return Attention(_norm(config), config.d_model, shape, bias=source.attention_bias, out_bias=source.attention_bias)
