"""Recall and forgetting against the size of the state: the published fits, and fits of our own with intervals.

    T_forget = 5.172 N - 4.469                         T_recall = 4.756 (1.365^N - 1) - 0.742

in thousands of tokens, with N the millions of numbers in the state (Stuffed Mamba, arXiv 2410.07145, 5.2 and 5.3).
They rest on five models at most, of 1.6 to 12.9 million numbers, and say nothing outside: at half a million the second
is below zero. Ours have ten to a hundred thousand. So our recall is fitted by the same kind of curve without the
published offsets, T = 2^(a + b N), in our range, and the two are never joined; our T_forget by a line.

T_recall is the longest length of which keys are recalled with more than 95 % accuracy. T_forget is the shortest
training length at which a model of that size learns to forget: beyond it, the largest loss stays below twice the
largest within it (section 4.2). With a few training lengths it is only known to lie between two of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from model.diagnostics.collapse import PUBLISHED_LIMIT
from model.studies.evidence.family import Member
from model.studies.evidence.findings import MissingError, criterion_of, recall_estimate, series
from model.studies.evidence.result import DRAWS, Estimate, EvidenceResult, recall_draws
from model.studies.passkey import PasskeyResult
from model.studies.passkey.compare import recall_draws as tested_draws
from model.studies.passkey.compare import recall_interval

REPORTED = (1.6, 12.9)
"""Millions of numbers in the smallest and the largest state of the published fits."""
REPORTED_DOUBLING = 1e6 * math.log(2) / math.log(1.365)
"""Numbers in the state by which the published T_recall doubles, where its offset no longer counts."""
REPORTED_ZERO = 1e6 * math.log(1 + 0.742 / 4.756) / math.log(1.365)
"""Numbers in the state below which the published T_recall is negative."""
LEAST = 3
"""State sizes that a fit of ours takes."""


def reported_forget(millions: float) -> float:
    """The published T_forget, in tokens, of a state of so many ``millions`` of numbers."""
    return 1000 * (5.172 * millions - 4.469)


def reported_recall(millions: float) -> float:
    """The published T_recall, in tokens, of a state of so many ``millions`` of numbers."""
    return 1000 * (4.756 * (1.365**millions - 1) - 0.742)


class Point(NamedTuple):
    """A model's T_recall: ``estimate`` in tokens, and ``draws`` (DRAWS,) of its logarithm to base 2.

    Where no length is recalled, half the shortest that was tested stands for it.
    """

    name: str
    state_size: int
    train_length: int
    estimate: Estimate
    draws: np.ndarray


def points_of_series(result: EvidenceResult) -> list[Point]:
    """The capacity series over state sizes at one training length, as far as keys were tested; small states first."""
    found: list[Point] = []
    for member in series(result, "state_size") if result.member("base") else []:
        answers = result.answers(member)
        if answers:
            estimate = recall_estimate(result, member)
            draws = recall_draws(answers, seed=100 * len(found))
            found.append(Point(member.name, member.state_size, member.train_length, estimate, draws))
    return found


def points_of_tests(results: Iterable[PasskeyResult], sizes: Mapping[str, int]) -> list[Point]:
    """The models of ``results``, each once, whose state has one of ``sizes`` (by name) and a length that is whole."""
    found: dict[str, Point] = {}
    for result in results:
        name, interval = result.reader.model, recall_interval(result)
        if name in sizes and name not in found and interval is not None:
            none = result.lengths[0] / 2
            low, high = (max(float(end), none) for end in interval)
            estimate = Estimate(max(float(result.t_recall or 0), none), low, high, result.task.trials)
            draws = np.log2(np.maximum(tested_draws(result), none))
            found[name] = Point(name, sizes[name], result.reader.train_length, estimate, draws)
    return sorted(found.values(), key=lambda point: (point.state_size, point.name))


def follows(points: Sequence[Point]) -> list[bool]:
    """For each of ``points`` whether the published T_recall of its size is within its interval."""
    return [point.estimate.low <= reported_recall(point.state_size / 1e6) <= point.estimate.high for point in points]


@dataclass(frozen=True, eq=False, kw_only=True)
class Fit:
    """y = a + b N with N in numbers of the state; ``lines`` (DRAWS + 1, 2) are (a, b), the best one first."""

    lines: np.ndarray

    @property
    def slope(self) -> tuple[float, float, float]:
        """b, and the interval that holds 95 % of its draws."""
        low, high = np.quantile(self.lines[1:, 1], [0.025, 0.975])
        return float(self.lines[0, 1]), float(low), float(high)

    def at(self, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """y at ``sizes`` (n,), and the ends of its 95 % interval."""
        values = self.lines[:, :1] + self.lines[:, 1:] * sizes
        low, high = np.quantile(values[1:], [0.025, 0.975], axis=0)
        return values[0], low, high


def line(sizes: Sequence[int], best: Sequence[float], draws: Sequence[np.ndarray]) -> Fit | None:
    """Least squares through ``best`` and through each of ``draws`` of it; None for fewer than three sizes."""
    if len(set(sizes)) < LEAST:
        return None
    design = np.stack([np.ones(len(sizes)), np.array(sizes, float)], axis=1)
    values = np.concatenate([np.array(best, float)[None], np.stack(draws, axis=1)])
    return Fit(lines=values @ np.linalg.pinv(design).T)


def recall_fit(points: Sequence[Point]) -> Fit | None:
    """log2 T_recall as a line over the size of the state, which makes T_recall an exponential."""
    sizes = [point.state_size for point in points]
    return line(sizes, [math.log2(point.estimate.mean) for point in points], [point.draws for point in points])


class Forgets(NamedTuple):
    """Whether a model learned to forget: the published ``ratio``, and True or False where its interval is clear."""

    member: Member
    ratio: Estimate
    learned: bool | None


def forgetting(result: EvidenceResult) -> list[Forgets]:
    """The base and its capacity series by the published criterion, as far as their documents were read."""
    found = []
    for member in result.members:
        if member.role not in ("base", "series"):
            continue
        try:
            ratio = criterion_of(result, member)
        except MissingError:
            continue
        learned = True if ratio.high < PUBLISHED_LIMIT else False if ratio.low > PUBLISHED_LIMIT else None
        found.append(Forgets(member, ratio, learned))
    return found


def forget_brackets(found: Sequence[Forgets]) -> dict[int, tuple[int, int]]:
    """By state size, the longest training length that did not teach forgetting and the shortest above that did."""
    brackets = {}
    for size in sorted({one.member.state_size for one in found}):
        lengths = [(one.member.train_length, one.learned) for one in found if one.member.state_size == size]
        failed = max((length for length, learned in lengths if learned is False), default=0)
        passed = min((length for length, learned in lengths if learned and length > failed), default=0)
        if failed and passed:
            brackets[size] = failed, passed
    return brackets


def forget_fit(brackets: Mapping[int, tuple[int, int]]) -> Fit | None:
    """T_forget as a line over the size of the state; draws lie anywhere between the two known lengths."""
    random = np.random.default_rng(0)
    draws = [random.uniform(low, high, DRAWS) for low, high in brackets.values()]
    return line(list(brackets), [(low + high) / 2 for low, high in brackets.values()], draws)
