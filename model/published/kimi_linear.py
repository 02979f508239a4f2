"""Kimi Linear, a hybrid: Kimi delta attention, latent attention and experts (arXiv 2510.26692)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from model.mixers.kda import KDA
from model.published import adopt
from model.published.config import PublishedConfig, refuse_unless
from model.published.fields import outer, recurrent, refuse_all_but_silu

MIXER = "KimiLinearDeltaAttention"


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``KimiLinearConfig`` or a ``BailingHybridConfig``."""
    refuse_all_but_silu(source)
    kinds = list(source.layer_types)
    attention = len(kinds) - kinds.count("linear_attention")
    return {
        **recurrent(source, "kda"),
        "inner": source.linear_num_heads * source.linear_head_dim,
        "d_state": source.linear_head_dim,
        "headdim": source.linear_head_dim,
        "d_conv": source.linear_conv_kernel_dim,
        **outer(source),
        "attention_layers": attention,
        "kept_per_token": attention * (source.kv_lora_rank + source.qk_rope_head_dim),
        "kept_tokens": None if attention else 0,
    }


def core(config: PublishedConfig, theirs: Any, *, lowest: float | None = None) -> Any:
    """Our mixer with what all layouts have in common; gates are projected as each has it."""
    refuse_unless(theirs.o_norm.activation == "sigmoid", f"output gate {theirs.o_norm.activation}")
    with torch.device("meta"):
        ours: Any = KDA(config, lowest=lowest)
    ours.keys.proj = adopt.stacked(torch.cat([theirs.q_proj.weight, theirs.k_proj.weight, theirs.v_proj.weight]))
    ours.b_proj, ours.o_proj = adopt.linear(theirs.b_proj), adopt.linear(theirs.o_proj)
    ours.keys.conv_weight, ours.keys.conv_bias = adopt.taps(theirs.conv1d)
    ours.dt_bias, ours.A_log = (adopt.own(getattr(theirs.forget_gate, name).flatten()) for name in ("dt_bias", "A_log"))
    ours.norm = adopt.norm(theirs.o_norm.weight, theirs.o_norm.variance_epsilon)
    return ours


def adopted(config: PublishedConfig, theirs: Any) -> nn.Module:
    """Our mixer with the parameters of the library's, whose gates are projected in two steps."""
    ours = core(config, theirs)
    gate = theirs.forget_gate
    ours.f_proj = nn.Sequential(adopt.linear(gate.f_a_proj), adopt.linear(gate.f_b_proj))
    ours.g_proj = nn.Sequential(adopt.linear(theirs.g_a_proj), adopt.linear(theirs.g_b_proj))
    return ours
