"""Falcon-H1, a hybrid: Mamba-2 and full attention side by side in every layer (arXiv 2507.22448).

Its multipliers of what a mixer projects are fixed numbers, so they are multiplied into the projection once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from model.published.config import PublishedConfig
from model.published.fields import kept
from model.published.mamba2 import adopted as adopted_mamba2
from model.published.mamba2 import hybrid_sizes

MIXER = "FalconH1Mixer"


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``FalconH1Config``."""
    layers = source.num_hidden_layers
    found = hybrid_sizes(source, recurrent=("hybrid",))
    return {**found, **kept(source, layers), "logit_scale": source.lm_head_multiplier}


def adopted(config: PublishedConfig, theirs: Any) -> nn.Module:
    """Our mixer with the parameters of the library's, its multipliers included."""
    keys = config.ngroups * config.d_state
    widths = torch.tensor([config.inner, config.inner, keys, keys, config.nheads])  # gate, x, B, C, step
    rates = torch.tensor(config.source.ssm_multipliers).repeat_interleave(widths)
    projection = theirs.in_proj
    rows = projection.weight * (rates * config.source.ssm_in_multiplier)[:, None]
    projection.weight = nn.Parameter(rows.to(projection.weight.dtype), requires_grad=False)
    if projection.bias is not None:
        projection.bias = nn.Parameter((projection.bias * rates).to(projection.bias.dtype), requires_grad=False)
    return adopted_mamba2(config, theirs)
