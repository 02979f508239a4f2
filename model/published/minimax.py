"""MiniMax-01, a hybrid: lightning attention (one fixed decay a head) and full attention (arXiv 2501.08313)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from model.mixers.lightning import Lightning
from model.published import adopt
from model.published.config import PublishedConfig
from model.published.fields import kept, outer, recurrent, refuse_all_but_silu

MIXER = "MiniMaxLightningAttention"
PAIR = True


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``MiniMaxConfig``."""
    refuse_all_but_silu(source)
    kinds = list(source.layer_types)
    head_dim = source.head_dim or source.hidden_size // source.num_attention_heads
    return {
        **recurrent(source, "lightning"),
        "inner": source.num_attention_heads * head_dim,
        "d_state": head_dim,
        "headdim": head_dim,
        **outer(source),
        **kept(source, kinds.count("full_attention")),
    }


def adopted(config: PublishedConfig, theirs: Any) -> nn.Module:
    """Our mixer with the parameters of the library's."""
    with torch.device("meta"):
        ours = Lightning(config)
    for name in ("qkv_proj", "output_gate", "out_proj"):
        setattr(ours, name, adopt.linear(getattr(theirs, name)))
    ours.norm = adopt.norm(theirs.norm.weight, theirs.norm.variance_epsilon)
    slope = theirs.get_slope_rate(device=theirs.norm.weight.device)
    ours.log_decay = adopt.own(-slope.flatten())
    return ours
