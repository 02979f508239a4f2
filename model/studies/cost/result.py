"""What was measured, as frozen data and a small JSON file, and the curves through it.

Letters: L is the length in tokens. ``seconds`` are those of reading L tokens from the start, ``step`` those of one more
token after them, both the quickest of a few where a reading is short enough to be repeated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from model.errors import UserError
from model.experiment import key_of
from model.json_file import write_json
from model.studies.cost.fit import BETWEEN, Crossing, Curve, crossing, fit

FORMAT = 1
PLAIN, RECORDED, TRANSFORMER = READERS = ("plain", "recorded", "transformer")
"""The model without telemetry, the same with it, and the Transformer."""
POWERS = {
    ("seconds", True): (0, 1),
    ("seconds", False): (0, 1, 2),
    ("step", True): (0,),
    ("step", False): (0, 1),
}
"""Terms of a fit by quantity, and by whether what the reader remembers is bounded."""


@dataclass(frozen=True, kw_only=True)
class CostTask:
    """Which model on which machine: ``weights`` is a fingerprint, ``device`` "cpu" or "cuda"."""

    model: str
    weights: str
    device: str
    machine: str

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name this task."""
        return key_of(asdict(self))


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What both models are: parameters, and bytes of memory.

    ``state`` are the bytes of the recurrent state. Attention beside it, or in its place, keeps ``attention`` bytes of
    each of the last ``window`` tokens, at most, or of every token if that is None; 0 where there is none.
    ``kept_per_token`` are the bytes that the Transformer keeps of every token. ``threads`` is what a CPU ran with,
    ``segment`` the tokens that were read at a time.
    """

    parameters: int
    transformer: int
    state: int
    kept_per_token: int
    layers: int
    d_model: int
    vocab_size: int
    threads: int
    segment: int
    attention: int = 0
    window: int | None = 0

    @property
    def crossing(self) -> float | None:
        """The length from which the Transformer's cache is larger than what the model remembers; None if never."""
        spare = self.kept_per_token - self.attention
        within = self.state / spare if spare > 0 else math.inf
        if self.window is None:
            return within if math.isfinite(within) else None
        return within if within <= self.window else self.memory(PLAIN, self.window) / self.kept_per_token

    def bounded(self, reader: str) -> bool:
        """Whether what ``reader`` remembers stops growing at some length."""
        return reader != TRANSFORMER and self.window is not None

    def memory(self, reader: str, length: int) -> int:
        """Bytes that ``reader`` remembers after ``length`` tokens, weights not counted: exact, at any length."""
        if reader == TRANSFORMER:
            return self.kept_per_token * length
        return self.state + self.attention * (length if self.window is None else min(length, self.window))


@dataclass(frozen=True, kw_only=True)
class Point:
    """One reader at one length. ``held`` are bytes, ``spent`` all seconds that the point took; ``step`` may be None."""

    reader: str
    length: int
    seconds: float
    step: float | None
    held: int
    repeats: int
    spent: float


@dataclass(frozen=True, kw_only=True)
class CostResult:
    """All points; ``budget`` is that of the last run in seconds, ``complete`` whether it was not cancelled."""

    task: CostTask
    sizes: Sizes | None = None
    points: tuple[Point, ...] = ()
    budget: float = 0.0
    complete: bool = False

    def of(self, reader: str) -> list[Point]:
        """The points of ``reader``, shortest first."""
        return sorted((point for point in self.points if point.reader == reader), key=lambda point: point.length)

    def with_point(self, point: Point) -> CostResult:
        """The same with one point more."""
        return replace(self, points=(*self.points, point))

    def curve(self, reader: str, quantity: str) -> Curve | None:
        """The fit of "seconds" or "step" of ``reader``; None if too few lengths were measured."""
        found = [(point.length, getattr(point, quantity)) for point in self.of(reader)]
        known = [(length, value) for length, value in found if value is not None]
        bounded = reader != TRANSFORMER if self.sizes is None else self.sizes.bounded(reader)
        powers = POWERS[quantity, bounded]
        return fit([length for length, _ in known], [value for _, value in known], powers)

    def crossing(self, quantity: str, reader: str = PLAIN) -> Crossing | None:
        """From where on ``reader`` costs less than the Transformer: "seconds", "step" or "memory"; None if unknown."""
        if quantity == "memory":
            return None if self.sizes is None else Crossing(length=self.sizes.crossing, kind=BETWEEN)
        ours, theirs = self.curve(reader, quantity), self.curve(TRANSFORMER, quantity)
        return crossing(ours, theirs) if ours and theirs else None

    def save(self, path: Path) -> None:
        """Write the result as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"format": FORMAT, **asdict(self)})

    @staticmethod
    def load(path: Path) -> CostResult:
        """The result that :meth:`save` wrote; UserError if the file is not one."""
        try:
            values = json.loads(path.read_text("utf-8"))
            if values["format"] > FORMAT:
                raise UserError("cost.newer", name=path.name)
            return CostResult(
                task=CostTask(**_known(CostTask, values["task"])),
                sizes=Sizes(**_known(Sizes, values["sizes"])) if values["sizes"] else None,
                points=tuple(Point(**_known(Point, point)) for point in values["points"]),
                budget=float(values["budget"]),
                complete=bool(values["complete"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError("cost.unreadable", name=path.name) from error


def _known(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in kind.__dataclass_fields__ if name in values}
