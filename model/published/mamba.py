"""Mamba (arXiv 2312.00752) of the library, and Falcon-Mamba, which has norms inside the mixer."""

from __future__ import annotations

from typing import Any

import torch

from model.mixers.mamba import Mamba
from model.published import adopt
from model.published.config import PublishedConfig
from model.published.fields import outer, refuse_all_but_silu

MIXER = "MambaMixer"


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``MambaConfig`` or a ``FalconMambaConfig``."""
    refuse_all_but_silu(source)
    return {
        "layers": ("mamba",) * source.num_hidden_layers,
        "inner": source.intermediate_size,
        "d_state": source.state_size,
        "headdim": 1,
        "d_conv": source.conv_kernel,
        **outer(source, eps="layer_norm_epsilon"),
    }


def adopted(config: PublishedConfig, theirs: Any, inner_eps: float | None = None) -> Any:
    """Our mixer with the parameters of the library's."""
    with torch.device("meta"):
        ours: Any = Mamba(config, rank=int(theirs.time_step_rank), inner_eps=inner_eps)
    for name in ("in_proj", "x_proj", "out_proj"):
        setattr(ours, name, adopt.linear(getattr(theirs, name)))
    ours.dt_bias = adopt.own(theirs.dt_proj.bias)
    ours.dt_proj = adopt.linear(theirs.dt_proj)
    ours.dt_proj.bias = None  # added in float32, as ``dt_bias``
    ours.conv_weight, ours.conv_bias = adopt.taps(theirs.conv1d)
    ours.A_log, ours.D = adopt.own(theirs.A_log), adopt.own(theirs.D)
    return ours
