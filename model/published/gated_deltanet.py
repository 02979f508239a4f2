"""Gated DeltaNet (arXiv 2412.06464) in hybrids with full attention, as in Qwen3.5, whose projections are separate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.mixers.gated_deltanet import GatedDeltaNet
from model.published import adopt
from model.published.config import PublishedConfig
from model.published.fields import kept, outer, recurrent, refuse_all_but_silu

Gate = Callable[[Tensor], Tensor]
MIXER = "Qwen3_5GatedDeltaNet"


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a configuration that calls them ``linear_*``, as Qwen's and OLMo's do."""
    refuse_all_but_silu(source)
    kinds = list(source.layer_types)
    heads = source.linear_num_value_heads
    return {
        **recurrent(source, "gated_deltanet"),
        "inner": heads * source.linear_value_head_dim,
        "d_state": source.linear_key_head_dim,
        "headdim": source.linear_value_head_dim,
        "ngroups": source.linear_num_key_heads,
        "d_conv": source.linear_conv_kernel_dim,
        **outer(source),
        **kept(source, len(kinds) - kinds.count("linear_attention")),
    }


def core(config: PublishedConfig, theirs: Any, norm: Any, *, strongest: float = 1.0, gate: Gate = F.silu) -> Any:
    """Our mixer with what all layouts have in common: convolution, decay and the norm before the gate."""
    with torch.device("meta"):
        ours: Any = GatedDeltaNet(config, strongest=strongest, gate=gate)
    ours.keys.conv_weight, ours.keys.conv_bias = adopt.taps(theirs.conv1d)
    ours.dt_bias, ours.A_log = adopt.own(theirs.dt_bias), adopt.own(theirs.A_log)
    ours.norm = adopt.norm(norm.weight, norm.variance_epsilon)
    return ours


def adopted(config: PublishedConfig, theirs: Any, gate: Gate = F.silu) -> nn.Module:
    """Our mixer with the parameters of the library's."""
    ours = core(config, theirs, theirs.norm, gate=gate)
    ours.keys.proj = adopt.linear(theirs.in_proj_qkv)
    for name in ("z", "b", "a"):
        setattr(ours, f"{name}_proj", adopt.linear(getattr(theirs, f"in_proj_{name}")))
    ours.o_proj = adopt.linear(theirs.out_proj)
    return ours
