"""What is asked about a document's remembrance, and the numbers, as frozen data and a small JSON file.

Letters: T is the length of a whole span, n the number of its last tokens that are kept, both in tokens.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model.diagnostics.collapse import half_width
from model.errors import UserError
from model.json_file import write_json
from model.studies.passkey import Reader
from model.studies.passkey.task import result_key

FORMAT = 1
NOTICEABLE = 0.05
"""Share of the probability that must move before a prediction is said to depend on something."""
MAX_ENDS = 1000
MAX_TOKENS = 200_000_000
"""Tokens of all passes together: hours of reading; more is a slip of the keyboard."""


def kept_lengths(length: int, train_length: int, points: int = 16) -> tuple[int, ...]:
    """About ``points`` numbers of kept tokens for spans of ``length``, ascending, without ``length`` itself.

    They are spread evenly in the logarithm up to half the span, and ``train_length`` is one of them. Two more
    forget only the first quarter and the first sixteenth of the span: a memory that leans on the first tokens
    shows there, and the logarithm of n has no room for it.
    """
    even = np.geomspace(1, max(1, length / 2), points - 3).round().astype(int).tolist()
    kept = {*even, train_length, length - length // 4, length - length // 16}
    return tuple(sorted(n for n in kept if 1 <= n < length))


@dataclass(frozen=True, kw_only=True)
class EffectiveContextTask:
    """Where a document is asked: ``ends`` end points, each with the ``length`` tokens before it.

    ``document`` is the SHA-256 of its text, which is never stored. ``lengths`` are the numbers of kept tokens at
    which the distance is measured, ascending.
    """

    document: str
    length: int
    lengths: tuple[int, ...]
    ends: int = 16

    @property
    def tokens_per_end(self) -> int:
        """Tokens that are read for one end point: the whole span, and what is kept of it each time."""
        return self.length + sum(n for n in self.lengths if n < self.length)

    @property
    def tokens(self) -> int:
        """Tokens that are read for all end points."""
        return self.ends * self.tokens_per_end

    def check(self) -> None:
        """UserError for what cannot be run on any document."""
        if not self.lengths or min(self.lengths) < 1 or max(self.lengths) > self.length:
            raise UserError("effective_context.lengths", length=self.length)
        if not 1 <= self.ends <= MAX_ENDS:
            raise UserError("effective_context.ends", value=self.ends, limit=MAX_ENDS)
        if self.tokens > MAX_TOKENS:
            raise UserError("effective_context.too_much", tokens=self.tokens, limit=MAX_TOKENS)

    def end_points(self, tokens: int) -> list[int]:
        """Where the spans end in a document of ``tokens``: evenly from the first possible place to its end.

        UserError if the document is too short for that many different places.
        """
        spare = tokens - self.length
        if spare < self.ends - 1:
            raise UserError("effective_context.too_short", tokens=tokens, least=self.length + self.ends - 1)
        return [tokens - spare * place // max(1, self.ends - 1) for place in range(self.ends)][::-1]

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> EffectiveContextTask:
        """The task that :func:`dataclasses.asdict` wrote; fields of later versions are ignored."""
        known = {name: values[name] for name in EffectiveContextTask.__dataclass_fields__ if name in values}
        return EffectiveContextTask(**{**known, "lengths": tuple(known["lengths"])})


class Curve(NamedTuple):
    """Effective remembrance by kept tokens: mean over end points and its 95% interval, each array (lengths,)."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, kw_only=True)
class EffectiveContextResult:
    """What was measured: for each end point that is done, the distance at each of ``task.lengths``.

    ``seconds`` is how long that took on the machine that did it.
    """

    task: EffectiveContextTask
    reader: Reader
    distances: dict[int, tuple[float, ...]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name this task and reader."""
        return result_key(self.task, self.reader)

    @property
    def complete(self) -> bool:
        """Whether every end point is done."""
        return len(self.distances) >= self.task.ends

    @property
    def tokens(self) -> int:
        """Tokens that were read for what is done."""
        return len(self.distances) * self.task.tokens_per_end

    def curve(self) -> Curve:
        """The mean over the end points that are done, with Student's t interval, cut to what a share can be.

        NaN before the first end point is done; with one there is no interval yet, so it is 0 to 1.
        """
        count, points = len(self.distances), len(self.task.lengths)
        if not count:
            return Curve(*np.full((3, points), math.nan))
        values = np.array(list(self.distances.values()))
        mean = values.mean(axis=0)
        if count == 1:
            return Curve(mean, np.zeros(points), np.ones(points))
        half = half_width(values)
        return Curve(mean, np.maximum(mean - half, 0), np.minimum(mean + half, 1))

    def reach(self, share: float = NOTICEABLE) -> float:
        """The kept tokens from which on forgetting all older ones moves less than ``share`` of the probability.

        Between two tested numbers the mean is taken to fall evenly in the logarithm. The last tested number if even
        there it is not below ``share``, 0 if it is below from the first on.
        """
        lengths, mean = self.task.lengths, self.curve().mean
        above = np.flatnonzero(mean >= share)
        if not len(above):
            return 0.0
        last = int(above[-1])
        if last == len(lengths) - 1:
            return float(lengths[last])
        fallen = (mean[last] - share) / (mean[last] - mean[last + 1])
        return float(lengths[last] * (lengths[last + 1] / lengths[last]) ** fallen)

    def open_ended(self, share: float = NOTICEABLE) -> bool:
        """Whether the memory may reach farther than :meth:`reach` says.

        At n = T nothing is forgotten and every curve is at 0. In the far half of a span that pulls it down, whatever
        the model: the memory that serves for comparison has itself forgotten, or never read, what is older.
        """
        return self.reach(share) > self.task.length / 2

    def moved(self, kept: int) -> float | None:
        """The mean share that moves when ``kept`` tokens are kept; None if that was not measured."""
        if kept not in self.task.lengths or not self.distances:
            return None
        return float(self.curve().mean[self.task.lengths.index(kept)])

    def save(self, path: Path) -> None:
        """Write the result as JSON, whole or not at all: settings and numbers, no text."""
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {"format": FORMAT, "task": asdict(self.task), "reader": self.reader.to_json(), "seconds": self.seconds}
        write_json(path, {**values, "distances": [[end, *row] for end, row in self.distances.items()]})

    @staticmethod
    def load(path: Path) -> EffectiveContextResult:
        """The result that :meth:`save` wrote; UserError if the file is not one."""
        try:
            values = json.loads(path.read_text("utf-8"))
            if values["format"] > FORMAT:
                raise UserError("effective_context.newer", name=path.name)
            task = EffectiveContextTask.from_json(values["task"])
            distances = {int(end): tuple(map(float, row)) for end, *row in values["distances"]}
            if any(len(row) != len(task.lengths) for row in distances.values()):
                raise ValueError("a distance for every length")
            return EffectiveContextResult(
                task=task,
                reader=Reader.from_json(values["reader"]),
                distances=distances,
                seconds=float(values["seconds"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError("effective_context.unreadable", name=path.name) from error
