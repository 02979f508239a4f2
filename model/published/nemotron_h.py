"""Nemotron-H, a hybrid: a layer is Mamba-2, attention, a feed-forward part or experts (arXiv 2504.03624)."""

from __future__ import annotations

from typing import Any

from model.published.config import refuse_unless
from model.published.mamba2 import adopted, kept, limit

MIXER = "NemotronHMamba2Mixer"


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``NemotronHConfig``."""
    refuse_unless(source.mamba_hidden_act in ("silu", "swish"), f"mamba_hidden_act = {source.mamba_hidden_act}")
    kinds = list(source.layer_types)
    refuse_unless("linear_attention" in kinds, "layer_types without linear_attention")
    return {
        "layers": ("mamba2",) * kinds.count("linear_attention"),
        "d_model": source.hidden_size,
        "inner": source.mamba_num_heads * source.mamba_head_dim,
        "d_state": source.ssm_state_size,
        "headdim": source.mamba_head_dim,
        "ngroups": source.n_groups,
        "d_conv": source.conv_kernel,
        "norm_eps": source.layer_norm_epsilon,
        "vocab_size": source.vocab_size,
        "tied": source.tie_word_embeddings,
        "step_limit": limit((source.time_step_min, float("inf"))),
        **kept(source, kinds.count("full_attention")),
    }


__all__ = ["MIXER", "adopted", "sizes"]
