"""The table of mixers: one file each, one row each.

A row says where the class is, and what of it must be known before torch is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from model.plugins import rows_of

if TYPE_CHECKING:
    from torch import nn

    from model.config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Mixer:
    """One row: ``path`` is "module:class"; ``decay_per_head`` says that a head forgets at one rate.

    Other mixers have a rate for every channel. ``erases``: the transition is not diagonal, as with a delta rule.
    ``linear``: the memory is a linear recurrence, which the scan runs; a cache of keys is none.
    """

    path: str
    decay_per_head: bool
    erases: bool = False
    linear: bool = True

    def make(self, config: ModelConfig) -> nn.Module:
        """A mixer of the sizes of ``config``."""
        mixer: nn.Module = resolve_name(self.path)(config)
        return mixer


MIXERS: dict[str, Mixer] = {
    "mamba2": Mixer(path="model.mixers.mamba2:Mamba2", decay_per_head=True),
    "lightning": Mixer(path="model.mixers.lightning:Lightning", decay_per_head=True),
    "retention": Mixer(path="model.mixers.retention:Retention", decay_per_head=True),
    "mlstm": Mixer(path="model.mixers.mlstm:MLSTM", decay_per_head=True),
    "linear_attention": Mixer(path="model.mixers.linear_attention:LinearAttention", decay_per_head=True),
    "mamba": Mixer(path="model.mixers.mamba:Mamba", decay_per_head=False),
    "lru": Mixer(path="model.mixers.lru:LRU", decay_per_head=False),
    "s4d": Mixer(path="model.mixers.s4d:S4D", decay_per_head=False),
    "s5": Mixer(path="model.mixers.s5:S5", decay_per_head=False),
    "rg_lru": Mixer(path="model.mixers.rg_lru:RGLRU", decay_per_head=False),
    "rwkv4": Mixer(path="model.mixers.rwkv4:RWKV4", decay_per_head=False),
    "gla": Mixer(path="model.mixers.gla:GLA", decay_per_head=False),
    "hgrn2": Mixer(path="model.mixers.hgrn2:HGRN2", decay_per_head=False),
    "rwkv6": Mixer(path="model.mixers.rwkv6:RWKV6", decay_per_head=False),
    "deltanet": Mixer(path="model.mixers.deltanet:DeltaNet", decay_per_head=True, erases=True),
    "gated_deltanet": Mixer(path="model.mixers.gated_deltanet:GatedDeltaNet", decay_per_head=True, erases=True),
    "kda": Mixer(path="model.mixers.kda:KDA", decay_per_head=False, erases=True),
    "rwkv7": Mixer(path="model.mixers.rwkv7:RWKV7", decay_per_head=False, erases=True),
    "attention_rope": Mixer(path="model.mixers.attention:RotaryAttention", decay_per_head=False, linear=False),
    "attention_alibi": Mixer(path="model.mixers.attention:AlibiAttention", decay_per_head=False, linear=False),
    "attention_window": Mixer(path="model.mixers.attention:WindowAttention", decay_per_head=False, linear=False),
}
MIXERS |= rows_of("mixers", Mixer, MIXERS)


def erases(layers: Iterable[str]) -> bool:
    """Whether one of ``layers``, names of mixers, erases, so that what single tokens wrote is no sum any more."""
    return any(MIXERS[name].erases for name in layers)


def decay_per_head(layers: Iterable[str]) -> bool:
    """Whether every one of ``layers``, names of mixers, forgets at one rate per head, which some mitigations need."""
    return all(MIXERS[name].decay_per_head for name in layers)


def linear(layers: Iterable[str]) -> bool:
    """Whether every one of ``layers``, names of mixers, is a linear recurrence that the scan runs."""
    return all(MIXERS[name].linear for name in layers)
