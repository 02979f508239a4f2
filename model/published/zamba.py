"""Zamba, a hybrid: Mamba in every layer, before some of them one shared attention block (arXiv 2405.16712)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from model.mixers.mamba import GroupedMamba
from model.published import adopt
from model.published.config import PublishedConfig
from model.published.fields import kept, outer, refuse_all_but_silu

MIXER = "ZambaMambaMixer"


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``ZambaConfig``."""
    refuse_all_but_silu(source, "hidden_mamba_act")
    return {
        "layers": ("mamba",) * source.num_hidden_layers,
        "inner": source.mamba_expand * source.hidden_size,
        "d_state": source.mamba_d_state,
        "headdim": 1,
        "ngroups": source.n_mamba_heads,
        "d_conv": source.mamba_d_conv,
        **outer(source),
        **kept(source, list(source.layers_block_type).count("hybrid")),
    }


def adopted(config: PublishedConfig, theirs: Any) -> nn.Module:
    """Our mixer with the parameters of the library's, which lays channels and gates alternately."""
    with torch.device("meta"):
        ours = GroupedMamba(config, rank=int(theirs.time_step_rank))
    projection = theirs.in_proj
    for name in ("weight", "bias"):
        rows = getattr(projection, name)
        if rows is not None:
            setattr(projection, name, nn.Parameter(torch.cat([rows[0::2], rows[1::2]]), requires_grad=False))
    ours.in_proj, ours.out_proj = adopt.linear(projection), adopt.linear(theirs.out_proj)
    ours.conv_weight, ours.conv_bias = adopt.taps(theirs.conv1d)
    ours.x_proj_weight, ours.dt_proj_weight = theirs.x_proj_weight, theirs.dt_proj_weight
    ours.dt_bias, ours.D = adopt.own(theirs.dt_proj_bias.flatten()), adopt.own(theirs.D.flatten())
    ours.A_log = adopt.own(theirs.A_log.flatten(0, 1))
    return ours
