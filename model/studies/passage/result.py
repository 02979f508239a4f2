"""What is known of a marked passage, as frozen data and small JSON files: opened without torch.

Losses are in nats per token, shares are parts of the state (see :mod:`model.studies.passage.follow`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model.diagnostics.collapse import MATERIAL, batch_interval
from model.errors import UserError
from model.json_file import unsealed, write_sealed
from model.studies.ask.result import NextToken

FORMAT = 1
MOST_TOKENS = 1024
"""Tokens of a passage: it is read again at every moment that is looked at."""
PROBES = 16
"""Moments at which the passage comes again."""
SHARES = 64
"""Moments at which its share of the state is taken."""
FORGOTTEN = 0.01
"""Share of the state below which a passage counts as forgotten."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """The tokens ``start`` to ``stop`` of a document, counted from 0, ``stop`` not among them."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Tokens of the passage."""
        return self.stop - self.start

    def check(self, tokens: int) -> None:
        """UserError for a passage that is not within a document of ``tokens`` tokens, or too long."""
        if not 0 <= self.start < self.stop <= tokens:
            raise UserError("passage.outside", start=self.start + 1, stop=self.stop, tokens=tokens)
        if self.length > MOST_TOKENS:
            raise UserError("passage.too_long", tokens=self.length, most=MOST_TOKENS)


class Difference(NamedTuple):
    """A mean difference of losses, in nats per token, with its 95% interval (batch means); NaN where it is unknown."""

    mean: float
    low: float
    high: float

    @staticmethod
    def of(values: Any) -> Difference:
        """The difference that JSON holds as a list, None for NaN."""
        return Difference(*map(number, values))

    @staticmethod
    def between(one: np.ndarray, other: np.ndarray) -> Difference:
        """``one`` - ``other``, losses (tokens,), over the tokens that both have."""
        interval = batch_interval(one.astype(np.float64) - other.astype(np.float64))
        return Difference(interval.mean, interval.low, interval.high)


class Recalled(NamedTuple):
    """The answer to the query of a key: mean probability of its symbols, and whether greedy decoding says it whole."""

    probability: float
    right: bool

    @staticmethod
    def of(values: Any) -> Recalled | None:
        """The answer that JSON holds as a list; None for none."""
        return None if values is None else Recalled(number(values[0]), bool(values[1]))


def number(value: Any) -> float:
    """A number of JSON, where null stands for what is not finite."""
    return math.nan if value is None else float(value)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """How the model reads on from a state at a moment, perhaps without a part of it.

    ``layer`` and ``head`` say whose state was removed; both are -1 where the passage's own part was, from all heads,
    and None where nothing was. ``loss`` is that of the next tokens of the document, ``again`` that of the passage if it
    came again here; ``loss_change`` and ``again_change`` are what they gain by the removal, paired by tokens. ``next``
    are the most probable next tokens, ``recalled`` the answer where the passage holds a key.
    """

    layer: int | None = None
    head: int | None = None
    loss: float
    again: float
    loss_change: Difference
    again_change: Difference
    next: tuple[NextToken, ...] = ()
    recalled: Recalled | None = None

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Effect:
        """The effect that :func:`dataclasses.asdict` gave."""
        made = {
            "loss": number(values["loss"]),
            "again": number(values["again"]),
            "loss_change": Difference.of(values["loss_change"]),
            "again_change": Difference.of(values["again_change"]),
            "next": tuple(NextToken(**each) for each in values["next"]),
            "recalled": Recalled.of(values["recalled"]),
        }
        return Effect(**{**values, **made})


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadTable:
    """Where a passage is in the state after ``moment`` tokens; arrays are (layers, heads).

    ``share``: the part of the head's own state that the passage wrote, along that state. ``weight``: the same as a part
    of the layer's state, so a layer's add up to its share of the passage; their mean over the layers adds up to the
    passage's share of the whole. ``norm``: Frobenius norm of the head's state. ``ahead``: how many next tokens were
    read. ``whole`` is the reading as it is, ``without`` that without heads, those with the largest weight; both are
    None and empty where a mitigation keeps more than the state.
    """

    passage: Passage
    moment: int
    share: np.ndarray
    weight: np.ndarray
    norm: np.ndarray
    ahead: int
    whole: Effect | None = None
    without: tuple[Effect, ...] = ()

    @property
    def total(self) -> float:
        """The passage's share of the whole state: the mean over layers."""
        return float(self.weight.sum() / len(self.weight))

    def effect(self, layer: int, head: int) -> Effect | None:
        """The reading without that head; (-1, -1): without the passage's own part of all. None if it was not read."""
        return next((each for each in self.without if (each.layer, each.head) == (layer, head)), None)

    def save(self, folder: Path) -> None:
        """Store the table in ``folder``, which is of one recording."""
        values = {name: getattr(self, name).tolist() for name in ("share", "weight", "norm")}
        effects = [asdict(each) for each in self.without]
        whole = None if self.whole is None else asdict(self.whole)
        about = {"format": FORMAT, "passage": asdict(self.passage), "moment": self.moment, "ahead": self.ahead}
        _write(heads_file(folder, self.passage, self.moment), {**about, **values, "whole": whole, "without": effects})

    @staticmethod
    def load(folder: Path, passage: Passage, moment: int) -> HeadTable | None:
        """What is stored of that passage and moment; None if nothing is, or it cannot be read."""
        try:
            values = _read(heads_file(folder, passage, moment))
            arrays = {name: np.array(values[name], np.float64) for name in ("share", "weight", "norm")}
            return HeadTable(
                passage=passage,
                moment=moment,
                ahead=int(values["ahead"]),
                whole=None if values["whole"] is None else Effect.from_json(values["whole"]),
                without=tuple(map(Effect.from_json, values["without"])),
                **arrays,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the model still knows of the passage when it comes again ``distance`` tokens after its end.

    ``loss`` is that of the repeated passage, ``without`` the same after the same text without the passage, ``fresh``
    with a fresh state. ``remembered`` = without - loss and ``gain`` = fresh - loss, paired by tokens.
    """

    distance: int
    loss: float
    without: float
    fresh: float
    remembered: Difference
    gain: Difference
    recalled: Recalled | None = None

    @property
    def helps(self) -> bool:
        """Whether having read the passage lowers its loss by 5% or more, to no more than with a fresh state.

        The intervals do not matter here: they are of a mean over tokens, and a few tokens may hold what counts.
        """
        return self.remembered.mean >= MATERIAL * self.without and self.gain.mean >= 0

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Probe:
        """The probe that :func:`dataclasses.asdict` gave."""
        return Probe(
            distance=int(values["distance"]),
            loss=number(values["loss"]),
            without=number(values["without"]),
            fresh=number(values["fresh"]),
            remembered=Difference.of(values["remembered"]),
            gain=Difference.of(values["gain"]),
            recalled=Recalled.of(values["recalled"]),
        )


@dataclass(frozen=True, kw_only=True)
class Forgetting:
    """How one reading forgets a passage, by the tokens after its end.

    ``shares`` maps each distance to the passage's share of every layer's state, empty where a mitigation makes it no
    sum of what tokens wrote. ``probes`` are sorted by distance; ``planned`` is how many there will be.
    """

    passage: Passage
    shares: dict[int, tuple[float, ...]] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    planned: int = 0

    @property
    def complete(self) -> bool:
        """Whether every moment was looked at."""
        return 0 < self.planned <= len(self.probes)

    def share(self) -> tuple[np.ndarray, np.ndarray]:
        """Distances (n,) and the passage's share of the whole state there (n,): the mean over layers."""
        distances = sorted(self.shares)
        return np.array(distances, float), np.array([np.mean(self.shares[each]) for each in distances], float)

    def half_life(self) -> float | None:
        """Tokens after the end until half of the share there is left, for the first time; None if that is not seen."""
        distance, share = self.share()
        return crossed(distance, share, share[0] / 2) if len(share) and share[0] > 0 else None

    def forgotten(self) -> float | None:
        """Tokens after the end from which on the share stays below :data:`FORGOTTEN`; None if it does not."""
        distance, share = self.share()
        above = np.flatnonzero(share >= FORGOTTEN)
        if not len(share) or (len(above) and above[-1] == len(share) - 1):
            return None
        last = int(above[-1]) if len(above) else 0
        return crossed(distance[last:], share[last:], FORGOTTEN)

    def lost(self) -> int | None:
        """The first probed distance from which on having read the passage never helps; None if it does at the last."""
        return self._ends([probe.helps for probe in self.probes])

    def unanswered(self) -> int | None:
        """The same of the query for its key: from where on the answer is never right; None without a query, too."""
        if not any(probe.recalled for probe in self.probes):
            return None
        return self._ends([probe.recalled is not None and probe.recalled.right for probe in self.probes])

    def _ends(self, holds: Sequence[bool]) -> int | None:
        """The probed distance from which on ``holds``, one a probe, is False; None if the last one is not."""
        if not holds or holds[-1]:
            return None
        last = max((place for place, here in enumerate(holds) if here), default=-1)
        return self.probes[last + 1].distance

    def save(self, folder: Path) -> None:
        """Store what there is in ``folder``, which is of one reading."""
        shares = {str(distance): list(self.shares[distance]) for distance in sorted(self.shares)}
        probes = [asdict(probe) for probe in self.probes]
        about = {"format": FORMAT, "passage": asdict(self.passage), "planned": self.planned}
        _write(forgetting_file(folder, self.passage), {**about, "shares": shares, "probes": probes})

    @staticmethod
    def load(folder: Path, passage: Passage) -> Forgetting:
        """What is stored of ``passage``; empty if nothing is, or it cannot be read."""
        try:
            values = _read(forgetting_file(folder, passage))
            shares = {int(distance): tuple(map(number, row)) for distance, row in values["shares"].items()}
            probes = tuple(map(Probe.from_json, values["probes"]))
            return Forgetting(passage=passage, shares=shares, probes=probes, planned=int(values["planned"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return Forgetting(passage=passage)


def crossed(x: np.ndarray, y: np.ndarray, level: float) -> float | None:
    """Where ``y`` over ``x``, both (n,), first goes below ``level``, between two points on a line; None if nowhere."""
    below = np.flatnonzero(y < level)
    if not len(below):
        return None
    there = int(below[0])
    if there == 0:
        return float(x[0])
    step = (y[there - 1] - level) / (y[there - 1] - y[there])
    return float(x[there - 1] + step * (x[there] - x[there - 1]))


def distances_after(rest: int, count: int) -> list[int]:
    """About ``count`` distances from 0 to ``rest`` tokens, even in the logarithm."""
    spaced = np.geomspace(4, max(rest, 4), max(2, count - 1))
    return sorted({0, rest, *(int(each) for each in np.rint(spaced) if each <= rest)})


def planned(passage: Passage, tokens: int) -> list[int]:
    """The distances from the passage's end, in tokens, at which it comes again in a document of ``tokens`` tokens."""
    return distances_after(tokens - passage.stop, PROBES)


def forgetting_file(folder: Path, passage: Passage) -> Path:
    """Where the forgetting of ``passage`` is stored."""
    return folder / f"{passage.start}-{passage.stop}.json"


def heads_file(folder: Path, passage: Passage, moment: int) -> Path:
    """Where the heads that hold ``passage`` after ``moment`` tokens are stored."""
    return folder / f"{passage.start}-{passage.stop}-at-{moment}.json"


def _write(file: Path, values: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(file, values)


def _read(file: Path) -> dict[str, Any]:
    values = unsealed(json.loads(file.read_text("utf-8")), required=True)
    if values["format"] != FORMAT:
        raise ValueError("another format")
    return values


def mean(losses: np.ndarray) -> float:
    """The mean of ``losses`` (tokens,) that are known; NaN without any."""
    known = losses[np.isfinite(losses)]
    return float(known.mean(dtype=np.float64)) if len(known) else math.nan
