"""Jamba, a hybrid: layers of Mamba and of full attention, experts in every other one (arXiv 2403.19887)."""

from __future__ import annotations

from typing import Any

from torch import nn

from model.published import adopt
from model.published.config import PublishedConfig
from model.published.fields import kept, outer, recurrent, refuse_all_but_silu
from model.published.mamba import adopted as adopted_mamba

MIXER = "JambaMambaMixer"


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``JambaConfig``."""
    refuse_all_but_silu(source)
    kinds = list(source.layer_types)
    return {
        **recurrent(source, "mamba"),
        "inner": source.mamba_expand * source.hidden_size,
        "d_state": source.mamba_d_state,
        "headdim": 1,
        "d_conv": source.mamba_d_conv,
        **outer(source),
        **kept(source, kinds.count("full_attention")),
    }


def adopted(config: PublishedConfig, theirs: Any) -> nn.Module:
    """Our mixer with the parameters of the library's, the weights of the norms of delta, B and C included."""
    ours = adopted_mamba(config, theirs, inner_eps=config.norm_eps)
    ours.inner_weights = nn.ParameterList(
        adopt.own(norm.weight) for norm in (theirs.dt_layernorm, theirs.b_layernorm, theirs.c_layernorm)
    )
    return ours
