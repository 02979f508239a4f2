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
    ``cell``: it goes through the second door (:mod:`kernels.cells`), for its state is no linear function of the last.
    ``retains``: a gate or a rate keeps a share of the old state.
    """

    path: str
    decay_per_head: bool
    erases: bool = False
    cell: bool = False
    retains: bool = True

    def make(self, config: ModelConfig) -> nn.Module:
        """A mixer of the sizes of ``config``."""
        mixer: nn.Module = resolve_name(self.path)(config)
        return mixer


MIXERS: dict[str, Mixer] = {
    "mamba2": Mixer(path="model.mixers.mamba2:Mamba2", decay_per_head=True),
    "lightning": Mixer(path="model.mixers.lightning:Lightning", decay_per_head=True),
    "retention": Mixer(path="model.mixers.retention:Retention", decay_per_head=True),
    "mlstm": Mixer(path="model.mixers.mlstm:MLSTM", decay_per_head=True),
    "mamba": Mixer(path="model.mixers.mamba:Mamba", decay_per_head=False),
    "rg_lru": Mixer(path="model.mixers.rg_lru:RGLRU", decay_per_head=False),
    "rwkv4": Mixer(path="model.mixers.rwkv4:RWKV4", decay_per_head=False),
    "gla": Mixer(path="model.mixers.gla:GLA", decay_per_head=False),
    "hgrn2": Mixer(path="model.mixers.hgrn2:HGRN2", decay_per_head=False),
    "rwkv6": Mixer(path="model.mixers.rwkv6:RWKV6", decay_per_head=False),
    "deltanet": Mixer(path="model.mixers.deltanet:DeltaNet", decay_per_head=True, erases=True),
    "gated_deltanet": Mixer(path="model.mixers.gated_deltanet:GatedDeltaNet", decay_per_head=True, erases=True),
    "kda": Mixer(path="model.mixers.kda:KDA", decay_per_head=False, erases=True),
    "rwkv7": Mixer(path="model.mixers.rwkv7:RWKV7", decay_per_head=False, erases=True),
    "rnn": Mixer(path="model.mixers.rnn:RNN", decay_per_head=False, cell=True, retains=False),
    "lstm": Mixer(path="model.mixers.lstm:LSTM", decay_per_head=False, cell=True),
    "gru": Mixer(path="model.mixers.gru:GRU", decay_per_head=False, cell=True),
    "scrn": Mixer(path="model.mixers.scrn:SCRN", decay_per_head=False, cell=True),
    "ascrn": Mixer(path="model.mixers.scrn:AdaptiveSCRN", decay_per_head=False, cell=True),
    "ctrnn": Mixer(path="model.mixers.ct_rnn:CTRNN", decay_per_head=False, cell=True),
    "ltc": Mixer(path="model.mixers.ltc:LTC", decay_per_head=False, cell=True),
    "cfc": Mixer(path="model.mixers.cfc:CfC", decay_per_head=False, cell=True, retains=False),
}
MIXERS |= rows_of("mixers", Mixer, MIXERS)


def erases(layers: Iterable[str]) -> bool:
    """Whether one of ``layers``, names of mixers, erases, so that what single tokens wrote is no sum any more."""
    return any(MIXERS[name].erases for name in layers)


def decay_per_head(layers: Iterable[str]) -> bool:
    """Whether every one of ``layers``, names of mixers, forgets at one rate per head, which some mitigations need.

    What they need it for, the loop of a cell does in another way.
    """
    return all(MIXERS[name].decay_per_head or MIXERS[name].cell for name in layers)


def nonlinear(layers: Iterable[str]) -> bool:
    """Whether one of ``layers``, names of mixers, is a cell, whose state is no linear function of the last."""
    return any(MIXERS[name].cell for name in layers)


def all_cells(layers: Iterable[str]) -> bool:
    """Whether every one of ``layers``, names of mixers, is a cell."""
    return all(MIXERS[name].cell for name in layers)


def retains(layers: Iterable[str]) -> bool:
    """Whether one of ``layers``, names of mixers, keeps a share of its state by a gate or a rate."""
    return any(MIXERS[name].retains for name in layers)
