"""What was measured of one checkpoint, as frozen data and a small JSON file.

Letters: T is the training length. Losses are in nats per token. A part that was not measured yet is None or empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.diagnostics.collapse import MATERIAL
from model.errors import UserError
from model.json_file import write_json
from model.mixers import title
from model.studies.cost.fit import Curve, fit
from model.studies.evidence.result import SPOTS, recalled
from model.studies.gradients import GradientReach

FORMAT = 1
READING, PASSKEY, CONTEXT, GRADIENTS, SPEED = PARTS = ("reading", "passkey", "context", "gradients", "speed")
"""What can be measured of a checkpoint, in this order."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One document, read once: losses ``within`` T, ``beyond`` 8 T, and of the same tokens with a fresh state.

    ``low`` and ``high`` bound the excess beyond 8 T with 95%. ``positions`` are the centres of bins of ``loss`` and
    ``fresh``, the control. ``norms`` are of the state at the multiples SPOTS of T, empty for a cache of attention.
    """

    within: float
    beyond: float
    control: float
    low: float
    high: float
    onset: int | None
    positions: tuple[float, ...]
    loss: tuple[float, ...]
    fresh: tuple[float, ...]
    norms: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Context:
    """Effective context: ``reach`` in tokens, at least that if ``open_ended``; the curve over ``kept`` tokens."""

    reach: float
    open_ended: bool
    kept: tuple[int, ...]
    moved: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Reading ``length`` tokens from the start took ``seconds``."""

    length: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Times of reading, shortest first, and of one token more after the longest, in seconds; on which machine."""

    machine: str
    points: tuple[Timing, ...]
    step: float

    def curve(self) -> Curve | None:
        """The fit a + b L + c L^2 through the times; None for too few points."""
        return fit([point.length for point in self.points], [point.seconds for point in self.points], (0, 1, 2))


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A checkpoint and what is known of it.

    ``readings`` and ``tokens`` are by document; ``passkeys`` are right answers and answers by length. ``trained`` are
    the tokens of its training, None if that is not written down. ``state`` are bytes of its memory by tokens read:
    (tokens, bytes), at T and at the end of a document.
    """

    name: str
    weights: str
    layers: tuple[str, ...]
    train_length: int
    parameters: int
    trained: int | None
    tokens: int
    documents: tuple[tuple[str, str], ...]
    state: tuple[tuple[int, int], ...] = ()
    readings: Mapping[str, Reading] | None = None
    passkeys: Mapping[int, tuple[int, int]] | None = None
    context: Context | None = None
    gradients: GradientReach | None = None
    speed: Speed | None = None

    @property
    def lacking(self) -> tuple[str, ...]:
        """The parts that were not measured yet."""
        done = {
            READING: self.readings is not None and all(sha in self.readings for _, sha in self.documents),
            PASSKEY: self.passkeys is not None,
            CONTEXT: self.context is not None,
            GRADIENTS: self.gradients is not None,
            SPEED: self.speed is not None,
        }
        return tuple(part for part in PARTS if not done[part])

    @property
    def family(self) -> str:
        """What its layers are called in the literature, each kind once."""
        return title(self.layers)

    def mean(self, quantity: str) -> float | None:
        """The mean over documents of "within", "beyond" or "control"; None before the first."""
        found = [getattr(reading, quantity) for reading in (self.readings or {}).values()]
        return float(np.mean(found)) if found else None

    @property
    def excess(self) -> float | None:
        """Mean loss beyond 8 T over that of the fresh state."""
        beyond, control = self.mean("beyond"), self.mean("control")
        return None if beyond is None or control is None else beyond - control

    @property
    def collapses(self) -> bool:
        """Whether the excess matters and lasts: more than 5% of the control's loss, with an onset in a document."""
        control = self.mean("control")
        return self.onset is not None and control is not None and (self.excess or 0.0) > MATERIAL * control

    @property
    def onset(self) -> int | None:
        """The earliest onset of all documents, in tokens."""
        onsets = [reading.onset for reading in (self.readings or {}).values() if reading.onset is not None]
        return min(onsets, default=None)

    @property
    def growth(self) -> float | None:
        """The state norm at the last spot read over that at T, the geometric mean of documents; None for a cache."""
        found = []
        for reading in (self.readings or {}).values():
            known = [norm for norm in reading.norms if norm is not None]
            start = reading.norms[SPOTS.index(1)] if reading.norms else None
            if not known or not start or known[-1] <= 0:
                return None
            found.append(known[-1] / start)
        return float(np.exp(np.mean(np.log(found)))) if found else None

    @property
    def grows(self) -> bool:
        """Whether its memory takes more bytes at the end of a document than after T tokens."""
        return bool(self.state) and self.state[-1][1] > self.state[0][1]

    @property
    def recall(self) -> int | None:
        """The longest text, in tokens, up to which more than 95% of keys are answered; 0 if none, None if untested."""
        return None if self.passkeys is None else recalled(self.passkeys) or 0

    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions, loss and control by position, means over documents, each (bins,); empty before the first."""
        found = list((self.readings or {}).values())
        if not found:
            return np.empty(0), np.empty(0), np.empty(0)
        bins = min(len(reading.positions) for reading in found)
        loss = np.mean([reading.loss[:bins] for reading in found], axis=0)
        fresh = np.mean([reading.fresh[:bins] for reading in found], axis=0)
        return np.array(found[0].positions[:bins]), loss, fresh

    def save(self, path: Path) -> None:
        """Write the result as JSON, whole or not at all: settings and numbers, no text."""
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["readings"] = {sha: asdict(reading) for sha, reading in (self.readings or {}).items()}
        values["passkeys"] = None if self.passkeys is None else {str(at): two for at, two in self.passkeys.items()}
        values["gradients"] = self.gradients.values() if self.gradients else None
        for part in (CONTEXT, SPEED):
            values[part] = asdict(values[part]) if values[part] else None
        write_json(path, {"format": FORMAT, **values})

    @staticmethod
    def load(path: Path) -> Architecture:
        """The result that :meth:`save` wrote; UserError if the file is not one."""
        try:
            values: dict[str, Any] = json.loads(path.read_text("utf-8"))
            if values.pop("format") > FORMAT:
                raise UserError("architectures.newer", name=path.name)
            context, speed = values["context"], values["speed"]
            passkeys = values["passkeys"]
            values |= {
                "layers": tuple(values["layers"]),
                "documents": tuple((str(name), str(sha)) for name, sha in values["documents"]),
                "state": tuple((int(tokens), int(size)) for tokens, size in values["state"]),
                "readings": {sha: Reading(**_tuples(one)) for sha, one in values["readings"].items()} or None,
                "passkeys": passkeys and {int(at): (int(right), int(of)) for at, (right, of) in passkeys.items()},
                "context": Context(**_tuples(context)) if context else None,
                "gradients": GradientReach.from_json(values["gradients"]) if values["gradients"] else None,
                "speed": Speed(**{**speed, "points": tuple(Timing(**one) for one in speed["points"])})
                if speed
                else None,
            }
            return Architecture(**values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError("architectures.unreadable", name=path.name) from error


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
