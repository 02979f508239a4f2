"""Nemotron-H, a hybrid: a layer is Mamba-2, attention, a feed-forward part or experts (arXiv 2504.03624)."""

from __future__ import annotations

from typing import Any

from model.published.fields import kept, limit, outer, recurrent, refuse_all_but_silu
from model.published.mamba2 import adopted

MIXER = "NemotronHMamba2Mixer"


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``NemotronHConfig``."""
    refuse_all_but_silu(source, "mamba_hidden_act")
    kinds = list(source.layer_types)
    return {
        **recurrent(source, "mamba2"),
        "inner": source.mamba_num_heads * source.mamba_head_dim,
        "d_state": source.ssm_state_size,
        "headdim": source.mamba_head_dim,
        "ngroups": source.n_groups,
        "d_conv": source.conv_kernel,
        **outer(source, eps="layer_norm_epsilon"),
        "step_limit": limit((source.time_step_min, float("inf"))),
        **kept(source, kinds.count("full_attention")),
    }


__all__ = ["MIXER", "adopted", "sizes"]
