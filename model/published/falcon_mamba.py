"""Falcon-Mamba (arXiv 2410.05355): Mamba with norms of delta, B and C inside the mixer."""

from __future__ import annotations

from typing import Any

from torch import nn

from model.published.config import PublishedConfig
from model.published.mamba import adopted as adopted_mamba
from model.published.mamba import sizes

MIXER = "FalconMambaMixer"


def adopted(config: PublishedConfig, theirs: Any) -> nn.Module:
    """Our mixer with the parameters of the library's."""
    return adopted_mamba(config, theirs, inner_eps=config.source.mixer_rms_eps)


__all__ = ["MIXER", "adopted", "sizes"]
