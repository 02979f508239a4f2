"""The table of mixers: one file each, one row each.

A row says where the class is, and what of it must be known before torch is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

    ``title`` is its name in the literature; without one it goes by its name in the table.
    Other mixers have a rate for every channel. ``erases``: the transition is not diagonal, as with a delta rule.
    ``cache``: its memory is the keys and values of attention, which grow with what is read.
    ``bounded``: of that cache, only the keys and values of a window are kept.
    ``cell``: it goes through the second door (:mod:`kernels.cells`), for its state is no linear function of the last.
    ``retains``: a gate or a rate keeps a share of the old state; of a cache, nothing fades. ``delay``: how many tokens
    later the scan gets what a token writes.
    ``rates``: it has parameters A_log, logarithms of decay rates, which may be taught at a learning rate of their own.
    """

    path: str
    title: str = ""
    decay_per_head: bool
    erases: bool = False
    cache: bool = False
    bounded: bool = False
    cell: bool = False
    retains: bool = True
    delay: int = 0
    rates: bool = False

    def make(self, config: ModelConfig) -> nn.Module:
        """A mixer of the sizes of ``config``."""
        mixer: nn.Module = resolve_name(self.path)(config)
        return mixer


MIXERS: dict[str, Mixer] = {
    "mamba2": Mixer(title="Mamba-2", path="model.mixers.mamba2:Mamba2", decay_per_head=True, rates=True),
    "mamba3": Mixer(title="Mamba-3", path="model.mixers.mamba3:Mamba3", decay_per_head=True, delay=1),
    "lightning": Mixer(title="Lightning attention", path="model.mixers.lightning:Lightning", decay_per_head=True),
    "retention": Mixer(title="RetNet", path="model.mixers.retention:Retention", decay_per_head=True),
    "mlstm": Mixer(title="mLSTM", path="model.mixers.mlstm:MLSTM", decay_per_head=True),
    "linear_attention": Mixer(
        title="Linear attention", path="model.mixers.linear_attention:LinearAttention", decay_per_head=True
    ),
    "mamba": Mixer(title="Mamba", path="model.mixers.mamba:Mamba", decay_per_head=False, rates=True),
    "lru": Mixer(title="LRU", path="model.mixers.lru:LRU", decay_per_head=False),
    "s4d": Mixer(title="S4D", path="model.mixers.s4d:S4D", decay_per_head=False),
    "s5": Mixer(title="S5", path="model.mixers.s5:S5", decay_per_head=False),
    "rg_lru": Mixer(title="RG-LRU", path="model.mixers.rg_lru:RGLRU", decay_per_head=False),
    "rwkv4": Mixer(title="RWKV-4", path="model.mixers.rwkv4:RWKV4", decay_per_head=False),
    "gla": Mixer(title="GLA", path="model.mixers.gla:GLA", decay_per_head=False),
    "hgrn2": Mixer(title="HGRN-2", path="model.mixers.hgrn2:HGRN2", decay_per_head=False),
    "rwkv6": Mixer(title="RWKV-6", path="model.mixers.rwkv6:RWKV6", decay_per_head=False),
    "deltanet": Mixer(title="DeltaNet", path="model.mixers.deltanet:DeltaNet", decay_per_head=True, erases=True),
    "gated_deltanet": Mixer(
        title="Gated DeltaNet",
        path="model.mixers.gated_deltanet:GatedDeltaNet",
        decay_per_head=True,
        erases=True,
        rates=True,
    ),
    "kda": Mixer(
        title="Kimi delta attention", path="model.mixers.kda:KDA", decay_per_head=False, erases=True, rates=True
    ),
    "rwkv7": Mixer(title="RWKV-7", path="model.mixers.rwkv7:RWKV7", decay_per_head=False, erases=True),
    "attention_rope": Mixer(
        title="Transformer (RoPE)",
        path="model.mixers.attention:RotaryAttention",
        decay_per_head=False,
        cache=True,
        retains=False,
    ),
    "attention_alibi": Mixer(
        title="Transformer (ALiBi)",
        path="model.mixers.attention:AlibiAttention",
        decay_per_head=False,
        cache=True,
        retains=False,
    ),
    "attention_window": Mixer(
        title="Transformer (window)",
        path="model.mixers.attention:WindowAttention",
        decay_per_head=False,
        cache=True,
        bounded=True,
        retains=False,
    ),
    "rnn": Mixer(title="RNN", path="model.mixers.rnn:RNN", decay_per_head=False, cell=True, retains=False),
    "lstm": Mixer(title="LSTM", path="model.mixers.lstm:LSTM", decay_per_head=False, cell=True),
    "gru": Mixer(title="GRU", path="model.mixers.gru:GRU", decay_per_head=False, cell=True),
    "scrn": Mixer(title="SCRN", path="model.mixers.scrn:SCRN", decay_per_head=False, cell=True),
    "ascrn": Mixer(title="SCRN (adaptive)", path="model.mixers.scrn:AdaptiveSCRN", decay_per_head=False, cell=True),
    "ctrnn": Mixer(title="CT-RNN", path="model.mixers.ct_rnn:CTRNN", decay_per_head=False, cell=True),
    "ltc": Mixer(title="LTC", path="model.mixers.ltc:LTC", decay_per_head=False, cell=True),
    "cfc": Mixer(title="CfC", path="model.mixers.cfc:CfC", decay_per_head=False, cell=True, retains=False),
}
MIXERS |= rows_of("mixers", Mixer, MIXERS)


def title(layers: Iterable[str]) -> str:
    """What a model of ``layers``, names of mixers, is called: each family once."""
    return " + ".join(MIXERS[name].title or name for name in dict.fromkeys(layers))


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


def recurrent(layers: Iterable[str]) -> tuple[str, ...]:
    """Those of ``layers``, names of mixers, whose memory is a state of fixed size and no cache."""
    return tuple(name for name in layers if not MIXERS[name].cache)


def with_state(layers: Sequence[str]) -> tuple[int, ...]:
    """The numbers of those of ``layers``, names of mixers, that have a state of fixed size and no cache."""
    return tuple(number for number, name in enumerate(layers) if not MIXERS[name].cache)


def additive(layers: Iterable[str]) -> bool:
    """Whether every one of ``layers``, names of mixers, has a state that is a sum of what tokens wrote."""
    return not any(MIXERS[name].cell or MIXERS[name].cache for name in layers)


def state_size(config: ModelConfig) -> int:
    """Elements of the recurrent states of a model of ``config``, which caches are none of."""
    return config.d_inner * config.d_state * len(recurrent(config.layers))


def all_cells(layers: Iterable[str]) -> bool:
    """Whether every one of ``layers``, names of mixers, is a cell."""
    return all(MIXERS[name].cell for name in layers)


def retains(layers: Iterable[str]) -> bool:
    """Whether one of ``layers``, names of mixers, keeps a share of its state by a gate or a rate."""
    return any(MIXERS[name].retains for name in layers)


def rates(layers: Iterable[str]) -> bool:
    """Whether one of ``layers``, names of mixers, has logarithms of decay rates among its parameters."""
    return any(MIXERS[name].rates for name in layers)
