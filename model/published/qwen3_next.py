"""Qwen3-Next: Gated DeltaNet, full attention and experts; projections lie side by side for each head of keys."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from model.published import adopt
from model.published.config import PublishedConfig
from model.published.gated_deltanet import core, sizes

MIXER = "Qwen3NextGatedDeltaNet"


def adopted(config: PublishedConfig, theirs: Any) -> nn.Module:
    """Our mixer with the parameters of the library's, whose rows are sorted by what they project."""
    ours = core(config, theirs, theirs.norm)
    shared = config.nheads // config.ngroups
    values = shared * config.headdim
    wide = theirs.in_proj_qkvz.weight.unflatten(0, (config.ngroups, -1))
    q, k, v, z = (part.flatten(0, 1) for part in wide.split([config.d_state, config.d_state, values, values], dim=1))
    b, a = (part.flatten(0, 1) for part in theirs.in_proj_ba.weight.unflatten(0, (config.ngroups, -1)).chunk(2, dim=1))
    ours.keys.proj, ours.z_proj = adopt.stacked(torch.cat([q, k, v])), adopt.stacked(z)
    ours.b_proj, ours.a_proj = adopt.stacked(b), adopt.stacked(a)
    ours.o_proj = adopt.linear(theirs.out_proj)
    return ours


__all__ = ["MIXER", "adopted", "sizes"]
