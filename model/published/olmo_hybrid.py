"""OLMo hybrid: Gated DeltaNet, whose erasing may overshoot (beta up to 2), and full attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from model.published import adopt
from model.published.config import PublishedConfig
from model.published.gated_deltanet import core, sizes

MIXER = "OlmoHybridGatedDeltaNet"


def adopted(config: PublishedConfig, theirs: Any) -> nn.Module:
    """Our mixer with the parameters of the library's; queries, keys and values are projected at once."""
    ours = core(config, theirs, theirs.o_norm, strongest=2.0 if theirs.allow_neg_eigval else 1.0)
    ours.keys.proj = adopt.stacked(torch.cat([theirs.q_proj.weight, theirs.k_proj.weight, theirs.v_proj.weight]))
    ours.z_proj, ours.o_proj = adopt.linear(theirs.g_proj), adopt.linear(theirs.o_proj)
    ours.b_proj, ours.a_proj = adopt.linear(theirs.b_proj), adopt.linear(theirs.a_proj)
    return ours


__all__ = ["MIXER", "adopted", "sizes"]
