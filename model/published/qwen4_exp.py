"""Qwen4-Exp: Gated DeltaNet, attention to tokens that an indexer selects, experts, several residual streams.

Embeddings of n-grams with a convolution of their own stand beside some layers; their windows are the library's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from model.published.config import PublishedConfig, refuse_unless
from model.published.gated_deltanet import Gate
from model.published.gated_deltanet import adopted as adopted_gated_deltanet
from model.published.gated_deltanet import sizes as gated_deltanet_sizes

MIXER = "Qwen4ExpTextGatedDeltaNet"
GATES: dict[str, Gate] = {"silu": F.silu, "sigmoid": torch.sigmoid}


def sizes(source: Any) -> dict[str, Any]:
    """Our fields from a ``Qwen4ExpTextConfig``; an indexer keeps a key of every token too."""
    found = gated_deltanet_sizes(source)
    indexed = list(source.layer_types).count("indexed_attention")
    refuse_unless(indexed == 0 or source.indexer_head_dim is not None, "indexed_attention without an indexer")
    return {**found, "kept_per_token": found["kept_per_token"] + indexed * (source.indexer_head_dim or 0)}


def adopted(config: PublishedConfig, theirs: Any) -> nn.Module:
    """Our mixer with the parameters of the library's."""
    gate = config.source.output_gate_type or config.source.hidden_act
    return adopted_gated_deltanet(config, theirs, GATES[gate])
