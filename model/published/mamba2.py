"""Mamba-2 (arXiv 2405.21060) of the library, alone and in hybrids; and the original layout of state-spaces."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from model.mixers.mamba2 import Mamba2, Mamba2GateAfterNorm, Mamba2WithoutNorm
from model.published import adopt
from model.published.config import PublishedConfig, refuse_unless
from model.published.fields import kept, limit, outer, refuse_all_but_silu

MIXER = "Mamba2Mixer"


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``Mamba2Config``."""
    refuse_all_but_silu(source)
    return {
        "layers": ("mamba2",) * source.num_hidden_layers,
        "inner": source.num_heads * source.head_dim,
        "d_state": source.state_size,
        "headdim": source.head_dim,
        "ngroups": source.n_groups,
        "d_conv": source.conv_kernel,
        **outer(source, eps="layer_norm_epsilon"),
        "step_limit": limit(source.time_step_limit),
        "gate_after_norm": getattr(source, "norm_before_gate", False),
    }


def hybrid_sizes(source: Any, recurrent: Iterable[str] = ("linear_attention",)) -> dict[str, Any]:
    """Our fields from a configuration that calls them ``mamba_*``, as Bamba's, Falcon-H1's and Granite's do."""
    refuse_all_but_silu(source)
    kinds = list(source.layer_types)
    layers = sum(kind in recurrent for kind in kinds)
    refuse_unless(layers > 0, "layer_types without linear_attention")
    return {
        "layers": ("mamba2",) * layers,
        "inner": source.mamba_n_heads * source.mamba_d_head,
        "d_state": source.mamba_d_state,
        "headdim": source.mamba_d_head,
        "ngroups": source.mamba_n_groups,
        "d_conv": source.mamba_d_conv,
        **outer(source),
        "step_limit": limit(source.time_step_limit),
        **kept(source, len(kinds) - kinds.count("linear_attention")),
    }


def adopted(config: PublishedConfig, theirs: Any) -> Any:
    """Our mixer with the parameters of the library's."""
    kind: type[Mamba2] = Mamba2
    if not hasattr(theirs.norm, "weight"):
        kind = Mamba2WithoutNorm
    elif getattr(theirs.norm, "norm_before_gate", config.gate_after_norm):
        kind = Mamba2GateAfterNorm
    with torch.device("meta"):
        ours: Any = kind(config)
    ours.in_proj, ours.out_proj = adopt.linear(theirs.in_proj), adopt.linear(theirs.out_proj)
    ours.conv_weight, ours.conv_bias = adopt.taps(theirs.conv1d)
    ours.dt_bias, ours.A_log, ours.D = (adopt.own(getattr(theirs, name)) for name in ("dt_bias", "A_log", "D"))
    has_norm = kind is not Mamba2WithoutNorm
    ours.norm = adopt.norm(theirs.norm.weight, theirs.norm.variance_epsilon) if has_norm else nn.Identity()
    return ours
