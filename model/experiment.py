"""What is run, as frozen data: the model, the document, where the memory starts, which mitigations act.

An Experiment is also the key of its recording: the same experiment is never run twice, and one that was interrupted
is found again and resumes. It holds no text, only the text's hash.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from model.errors import UserError


def key_of(values: Any, digits: int = 12) -> str:
    """Hexadecimal digits that name ``values``, anything that JSON can say; the order of its keys does not matter."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:digits]


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """Where the memory starts and which mitigations act.

    ``initial_state`` is a name of the table of initial states, ``source`` what it starts from (for "carried", the key
    of a recording) and ``seed`` that of its noise. ``mitigations`` holds active (name, value) pairs.
    """

    initial_state: str = "zeros"
    source: str = ""
    mitigations: tuple[tuple[str, float], ...] = ()
    seed: int = 0

    @property
    def plain(self) -> bool:
        """Whether memory starts empty and no mitigation acts: the baseline of every comparison."""
        return self.initial_state == "zeros" and not self.mitigations

    @property
    def text(self) -> str:
        """The strategy as it is typed: ``plain``, ``decay=4``, ``initial_state=fitted window=256``."""
        start = [] if self.initial_state == "zeros" else [f"initial_state={self.initial_state}"]
        return " ".join([*start, *(f"{name}={value:g}" for name, value in self.mitigations)]) or "plain"

    @staticmethod
    def of(
        initial_state: str = "zeros",
        mitigations: Mapping[str, float] | None = None,
        *,
        source: str = "",
        seed: int = 0,
    ) -> Strategy:
        """The strategy of these choices, mitigations in the order in which they act."""
        return Strategy(
            initial_state=initial_state, source=source, mitigations=tuple((mitigations or {}).items()), seed=seed
        )

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Strategy:
        """The strategy among ``values``, as :func:`flat` wrote them; what else they hold is ignored."""
        known = {name: values[name] for name in Strategy.__dataclass_fields__ if name in values}
        known["mitigations"] = tuple((str(name), float(value)) for name, value in known.get("mitigations", ()))
        return Strategy(**known)


PLAIN = Strategy()

LATER = "tokenizer", "attention_window", "off"
"""Fields of an experiment that came later: unset, they leave stored recordings and their keys as they are."""


def flat(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that has a strategy, for JSON and for keys: those of the strategy stand beside them."""
    values = asdict(value)
    return values.pop("strategy") | values


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One reading of one document.

    ``document`` is the SHA-256 of its text, ``tokens`` its length. ``model`` is a name of the model table and
    ``weights`` the fingerprint of its files. ``precision`` is that of matrix products: "float32" or "bfloat16".
    ``control`` also reads the document with a fresh memory of ``train_length`` tokens; ``token_norms`` records the
    exact norm at every token. ``tokenizer`` names one's own tokenizer, "" the model's. ``attention_window``: how many
    tokens attention beside the memories sees at most, 0 for all that it would see. ``off``: parts that are switched
    off, in the words of :mod:`model.interventions.parts`.
    """

    document: str
    tokens: int
    model: str
    weights: str
    train_length: int
    strategy: Strategy = PLAIN
    precision: str = "float32"
    control: bool = True
    token_norms: bool = False
    snapshots: int = 1024
    tokenizer: str = ""
    attention_window: int = 0
    off: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name this experiment and its recording."""
        return key_of(self.to_json())

    @property
    def plain(self) -> bool:
        """Whether memory starts empty, no mitigation acts and no part is off."""
        return self.strategy.plain and not self.off

    def baseline(self) -> Experiment:
        """The same reading with an empty initial state, no mitigation and every part on."""
        return replace(self, strategy=Strategy(seed=self.strategy.seed), off=())

    def to_json(self) -> dict[str, object]:
        """A dictionary for JSON; :meth:`from_json` reads it back."""
        values = flat(self)
        for name in LATER:
            if not values[name]:
                del values[name]
        return values

    @staticmethod
    def from_json(values: Mapping[str, object]) -> Experiment:
        """The experiment that :meth:`to_json` wrote; fields of later versions are ignored."""
        known = {name: values[name] for name in Experiment.__dataclass_fields__ if name in values}
        known["off"] = tuple(known.get("off", ()))  # type: ignore[arg-type]
        return Experiment(**known, strategy=Strategy.from_json(values))  # type: ignore[arg-type]


def parse_mitigations(pairs: list[str]) -> dict[str, float]:
    """``["decay=4", "insertion=0.75"]`` as a dictionary; UserError for anything else."""
    settings = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            settings[name] = float(value)
        except ValueError:
            raise UserError("mitigations.not_a_pair", pair=pair) from None
        if math.isnan(settings[name]):
            raise UserError("mitigations.not_a_pair", pair=pair)
    return settings


def parse_window(text: str | None) -> int | None:
    """A window of attention as it is written: a number of tokens, "full" for 0; UserError for anything else."""
    if text is None or text == "full":
        return None if text is None else 0
    if not (text.isascii() and text.isdecimal()):
        raise UserError("published.attention_window", value=text)
    return int(text)
