"""The numbers of the evidence, with their intervals, as frozen data and a small JSON file.

An interval is a 95% one, over documents, unless something else is said. Means are given Student's t. A share is a
ratio of means over documents, sum(x) / sum(y), whose interval is Student's t on the residuals x - r y (the ratio
estimator of Cochran 1977, Sampling Techniques, chapter 6): a document on which y happens to be small must not decide.
Growth is averaged as a logarithm. The longest recalled length is drawn from the posterior of the accuracies.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from model.diagnostics.collapse import half_width
from model.errors import UserError
from model.json_file import write_json
from model.studies.evidence.family import EvidenceTask, Member
from model.studies.gradients import GradientReach
from model.studies.passkey import Reader
from model.studies.passkey.result import RECALLED

FORMAT = 1
SPOTS = (0.5, 1, 2, 4, 8, 16, 32, 64)
"""Multiples of the training length at which the states are looked at."""
DRAWS = 4000


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval, and how many ``count`` documents or questions it rests on."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, kw_only=True)
class DocumentReading:
    """What one reader shows on one document, losses in nats per token.

    ``within`` the training length, ``beyond`` 8 of them, ``control`` the same tokens with a fresh memory; ``largest``
    is the published criterion's ratio. ``norms`` and ``stds`` are those of the state at :data:`SPOTS`. None where the
    document was too short or there was no query.
    """

    within: float
    beyond: float | None = None
    control: float | None = None
    largest: float | None = None
    norms: tuple[float | None, ...] = ()
    stds: tuple[float | None, ...] = ()

    def at(self, quantity: str, spot: float) -> float | None:
        """The "norm" or "std" of the state at ``spot`` training lengths."""
        values = self.norms if quantity == "norm" else self.stds
        return values[SPOTS.index(spot)] if values else None


@dataclass(frozen=True, kw_only=True)
class EvidenceResult:
    """Readings by reader and document, and right answers by reader and length; ``seconds`` is what they took.

    ``extensions`` are losses by evaluation length (see :mod:`model.studies.extension`), ``reaches`` how far gradients
    reach back, ``contexts`` effective contexts in tokens; all by reader and document.
    """

    task: EvidenceTask
    members: tuple[Member, ...]
    readings: dict[tuple[Reader, str], DocumentReading] = field(default_factory=dict)
    recalls: dict[tuple[Reader, int], tuple[int, int]] = field(default_factory=dict)
    extensions: dict[tuple[Reader, str], tuple[float, ...]] = field(default_factory=dict)
    reaches: dict[tuple[Reader, str], GradientReach] = field(default_factory=dict)
    contexts: dict[tuple[Reader, str], float] = field(default_factory=dict)
    complete: bool = False
    seconds: float = 0.0

    def member(self, role: str) -> Member | None:
        """The model with that role, if it is here."""
        return next((member for member in self.members if member.role == role), None)

    def of(self, member: Member, mitigations: Mapping[str, float] | None = None, initial: str = "zeros") -> list[Any]:
        """The readings of ``member`` with these settings, one per document of the task; None where one is missing."""
        wanted = tuple((mitigations or {}).items())
        found = {
            document: reading
            for (reader, document), reading in self.readings.items()
            if (reader.model, reader.weights) == (member.name, member.weights)
            and reader.strategy.initial_state == initial
            and dict(reader.strategy.mitigations) == dict(wanted)
        }
        return [found.get(sha) for _, sha in self.task.documents]

    def extension(self, member: Member) -> list[tuple[float, ...] | None]:
        """The losses of ``member`` by evaluation length, one per document of the task; None where one is missing."""
        return [_of_plain(self.extensions, member, sha) for _, sha in self.task.documents]

    def reach(self, member: Member) -> list[GradientReach | None]:
        """How far the gradient reaches back in ``member``, one per document of the task; None where one is missing."""
        return [_of_plain(self.reaches, member, sha) for _, sha in self.task.documents]

    def context(self, member: Member) -> list[float | None]:
        """The effective context of ``member`` in tokens, one per document of the task; None where one is missing."""
        return [_of_plain(self.contexts, member, sha) for _, sha in self.task.documents]

    def answers(self, member: Member) -> dict[int, tuple[int, int]]:
        """Right answers and answers of ``member`` by length, short first."""
        found = {
            length: counts
            for (reader, length), counts in self.recalls.items()
            if (reader.model, reader.weights) == (member.name, member.weights)
        }
        return dict(sorted(found.items()))

    def save(self, path: Path) -> None:
        """Write the result as JSON, whole or not at all: settings and numbers, no text."""
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {
            "format": FORMAT,
            "task": asdict(self.task),
            "complete": self.complete,
            "seconds": round(self.seconds, 1),
            "members": [asdict(member) for member in self.members],
            "readings": [[who.to_json(), sha, asdict(reading)] for (who, sha), reading in self.readings.items()],
            "extensions": [[who.to_json(), sha, list(losses)] for (who, sha), losses in self.extensions.items()],
            "reaches": [[who.to_json(), sha, reach.values()] for (who, sha), reach in self.reaches.items()],
            "contexts": [[who.to_json(), sha, tokens] for (who, sha), tokens in self.contexts.items()],
            "recalls": [[who.to_json(), length, *counts] for (who, length), counts in self.recalls.items()],
        }
        write_json(path, values)

    @staticmethod
    def load(path: Path) -> EvidenceResult:
        """The result that :meth:`save` wrote; UserError if the file is not one."""
        try:
            values = json.loads(path.read_text("utf-8"))
            if values["format"] > FORMAT:
                raise UserError("evidence.newer", name=path.name)
            readings = {
                (Reader.from_json(who), str(sha)): DocumentReading(
                    **{**numbers, "norms": tuple(numbers["norms"]), "stds": tuple(numbers["stds"])}
                )
                for who, sha, numbers in values["readings"]
            }
            return EvidenceResult(
                task=EvidenceTask.from_json(values["task"]),
                members=tuple(Member(**member) for member in values["members"]),
                readings=readings,
                recalls={
                    (Reader.from_json(who), int(length)): (int(correct), int(trials))
                    for who, length, correct, trials in values["recalls"]
                },
                extensions={
                    (Reader.from_json(who), str(sha)): tuple(map(float, losses))
                    for who, sha, losses in values.get("extensions", ())
                },
                reaches={
                    (Reader.from_json(who), str(sha)): GradientReach.from_json(found)
                    for who, sha, found in values.get("reaches", ())
                },
                contexts={
                    (Reader.from_json(who), str(sha)): float(tokens) for who, sha, tokens in values.get("contexts", ())
                },
                complete=bool(values["complete"]),
                seconds=float(values["seconds"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError("evidence.unreadable", name=path.name) from error


def _of_plain(found: Mapping[tuple[Reader, str], Any], member: Member, sha: str) -> Any:
    """What ``found`` has of the plain reader of ``member`` on the document ``sha``; None if nothing."""
    for (reader, document), value in found.items():
        if document == sha and reader.plain and (reader.model, reader.weights) == (member.name, member.weights):
            return value
    return None


def mean_of(values: Iterable[float]) -> Estimate | None:
    """The mean of one value per document; None if fewer than two are finite."""
    kept = np.array([value for value in values if math.isfinite(value)], np.float64)
    if len(kept) < 2:
        return None
    half = float(half_width(kept))
    mean = float(kept.mean())
    return Estimate(mean, mean - half, mean + half, len(kept))


def ratio_of(above: Sequence[float], below: Sequence[float]) -> Estimate | None:
    """sum(above) / sum(below) over documents; None if ``below`` is not above zero with 95% confidence."""
    x, y = np.array(above, np.float64), np.array(below, np.float64)
    kept = np.isfinite(x) & np.isfinite(y)
    x, y = x[kept], y[kept]
    base = mean_of(y.tolist())
    if base is None or base.low <= 0:
        return None
    ratio = float(x.sum() / y.sum())
    half = float(half_width(x - ratio * y)) / base.mean
    return Estimate(ratio, ratio - half, ratio + half, len(x))


def growth_of(values: Iterable[float]) -> Estimate | None:
    """The geometric mean of one positive ratio per document."""
    found = mean_of([math.log(value) for value in values if value > 0])
    if found is None:
        return None
    return Estimate(math.exp(found.mean), math.exp(found.low), math.exp(found.high), found.count)


def slope_of(x: Sequence[float], curves: Iterable[Sequence[float]]) -> Estimate | None:
    """The mean over documents of the least-squares slope of each of ``curves`` against ``x``."""
    centred = np.array(x) - np.mean(x)
    return mean_of([float(centred @ np.array(curve)) / float(centred @ centred) for curve in curves])


def surely_failed(correct: int, trials: int) -> bool:
    """Whether an accuracy above 95% has become improbable: less than 2.5% of the posterior is there."""
    from scipy.special import betaincc

    return bool(betaincc(correct + 0.5, trials - correct + 0.5, RECALLED) < 0.025)


def recall_draws(answers: Mapping[int, tuple[int, int]], seed: int = 0) -> np.ndarray:
    """Draws of the logarithm (base 2) of the longest recalled length, (DRAWS,).

    It is the last length before the first whose accuracy is not above 95%; half the shortest tested if there is none.
    Accuracies are drawn from their posterior under Jeffreys' prior, Beta(right + 1/2, wrong + 1/2).
    """
    lengths = sorted(answers)
    passed = np.ones(DRAWS, bool)
    found = np.full(DRAWS, math.log2(lengths[0] / 2))
    for place, length in enumerate(lengths):
        passed &= _accuracies(*answers[length], seed + place) > RECALLED
        found[passed] = math.log2(length)
    return found


def _accuracies(correct: int, trials: int, seed: int) -> np.ndarray:
    return np.random.default_rng((seed, correct, trials)).beta(correct + 0.5, trials - correct + 0.5, DRAWS)


def recalled(answers: Mapping[int, tuple[int, int]]) -> int | None:
    """The last length before the first whose accuracy is not above 95%, in tokens; None if there is none."""
    longest = None
    for length, (correct, trials) in sorted(answers.items()):
        if correct <= RECALLED * trials:
            break
        longest = length
    return longest


def drawn(draws: np.ndarray, mean: float, count: int) -> Estimate:
    """``mean`` with the interval that holds 95% of ``draws``, widened to ``mean`` where that is outside."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(mean, min(float(low), mean), max(float(high), mean), count)
