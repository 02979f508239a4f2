"""Parts of a model that are switched off, to see which of them remembers.

    recurrence    every mixer adds nothing to the residual stream
    attention     every attention layer adds nothing to it
    layer:3       the mixer of layer 3 adds nothing to it
    head:3.5      of layer 3, what the scan reads for head 5 is zero: y_t = 0

Layers are counted among the recurrent ones, heads as they are recorded (groups of channels where a head is one
channel), both from 0. A memory that is off still reads and remembers, so its states are recorded as ever. Around what
is off everything runs on: a mixer's skip connection beside the scan (D x in Mamba-2) goes with its layer and stays
without its heads, and a feed-forward part in the same layer stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.config import ModelConfig
from model.errors import UserError
from model.mixers import MIXERS, recurrent

if TYPE_CHECKING:
    from kernels.types import Memory as ScanMemory
    from kernels.types import Scan, ScanInputs, ScanOutput
    from model.arch.lm import LanguageModel

WORD = re.compile(
    r"(?P<whole>recurrence|attention)|layer:(?P<layer>\d{1,4})|head:(?P<of>\d{1,4})\.(?P<head>\d{1,5})", re.ASCII
)
WHOLES = "recurrence", "attention"


@dataclass(frozen=True, kw_only=True)
class Off:
    """What is off: all ``recurrence``, ``attention``, ``layers`` by number, ``heads`` as (layer, head)."""

    recurrence: bool = False
    attention: bool = False
    layers: frozenset[int] = frozenset()
    heads: frozenset[tuple[int, int]] = frozenset()

    @staticmethod
    def of(words: Iterable[str]) -> Off:
        """What ``words`` switch off; UserError for one that is none of these."""
        found = [_matched(word) for word in words]
        wholes = {match["whole"] for match in found}
        return Off(
            recurrence="recurrence" in wholes,
            attention="attention" in wholes,
            layers=frozenset(int(match["layer"]) for match in found if match["layer"]),
            heads=frozenset((int(match["of"]), int(match["head"])) for match in found if match["head"]),
        )

    @property
    def words(self) -> tuple[str, ...]:
        """The same in words, each once and in one order, whatever order they were said in."""
        layers = [f"layer:{layer}" for layer in sorted(self.layers)]
        heads = [f"head:{layer}.{head}" for layer, head in sorted(self.heads)]
        return tuple([word for word in WHOLES if getattr(self, word)] + layers + heads)

    def check(self, config: ModelConfig) -> None:
        """UserError for a part that a model of ``config`` does not have."""
        count, heads = len(config.layers), config.recorded_heads
        beside = getattr(config, "kept_per_token", 0) or recurrent(config.layers) != config.layers
        if self.attention and not beside:
            raise UserError("parts.no_attention")
        if self.recurrence and not recurrent(config.layers):
            raise UserError("parts.no_recurrence")
        for word, layer, head in [(f"layer:{layer}", layer, 0) for layer in self.layers] + [
            (f"head:{layer}.{head}", layer, head) for layer, head in self.heads
        ]:
            if layer >= count or head >= heads:
                raise UserError("parts.no_such", part=word, layers=count - 1, heads=heads - 1)

    def applied(self, model: LanguageModel, scans: Sequence[Scan]) -> tuple[LanguageModel, list[Scan]]:
        """``model`` and its ``scans``, one a layer, without these parts."""
        caches = frozenset(number for number, name in enumerate(model.config.layers) if MIXERS[name].cache)
        layers = frozenset(range(len(scans))) - caches if self.recurrence else self.layers
        if self.attention:
            layers |= caches
        if layers or self.attention:
            model = model.without(layers, attention=self.attention)
        muted = []
        for layer, scan in enumerate(scans):
            heads = sorted(head for of, head in self.heads if of == layer)
            muted.append(mute(scan, heads, model.config.recorded_heads) if heads else scan)
        return model, muted


def _matched(word: str) -> re.Match[str]:
    match = WORD.fullmatch(word)
    if match is None:
        raise UserError("parts.unknown", part=word)
    return match


def mute(scan: Scan, heads: Sequence[int], recorded: int) -> Scan:
    """``scan`` whose y is zero for ``heads``, counted as ``recorded`` heads of neighbours."""

    def scan_muted(inputs: ScanInputs, memory: ScanMemory, token_norms: bool = False) -> ScanOutput:
        output = scan(inputs, memory, token_norms)
        y = output.y.unflatten(2, (recorded, -1)).clone()
        y[:, :, list(heads)] = 0
        return output._replace(y=y.flatten(2, 3))

    return scan_muted
