"""What a report says, as numbers: the strategies of one document, from its recordings or from a diagnosis.

Losses are in nats per token, T is the training length. None stands for what was not measured: a report says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from model.diagnostics.collapse import BEYOND, MATERIAL
from model.diagnostics.summary import verdict
from model.errors import UserError
from model.experiment import Experiment, Strategy
from model.recording.reader import Recording
from model.recording.schema import NORM, POSITION
from model.studies.diagnose import Diagnosis, Recall, Sentence, StrategyResult
from model.studies.evidence.result import Estimate

NOTHING_WRONG = ("holds",)
"""Verdicts after which no remedy is needed, by how they begin."""


class Span(NamedTuple):
    """A number with its 95% interval, which is None where it is not known."""

    mean: float
    low: float | None = None
    high: float | None = None

    @staticmethod
    def of(estimate: Estimate | None) -> Span | None:
        """The same of an ``estimate``."""
        return None if estimate is None else Span(estimate.mean, estimate.low, estimate.high)

    @property
    def above(self) -> bool:
        """Whether it is above zero with 95% confidence."""
        return self.low is not None and self.low > 0

    @property
    def below(self) -> bool:
        """Whether it is below zero with 95% confidence."""
        return self.high is not None and self.high < 0


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One strategy on the document; the fields are those of :class:`model.studies.diagnose.StrategyResult`.

    ``control`` is the loss of the tokens beyond 8 T with a fresh state, ``growth`` that of the state norm, and
    ``recording`` what it was read into, None if that is not at hand.
    """

    key: str
    model: str
    weights: str
    strategy: Strategy
    plain: bool
    post_trained: str = ""
    within: float | None = None
    beyond: float | None = None
    control: float | None = None
    excess: Span | None = None
    removed: Span | None = None
    cost: Span | None = None
    helps: bool = False
    tie: bool = False
    onset: int | None = None
    unexplored: float | None = None
    growth: float | None = None
    recall: Recall | None = None
    tokens_per_second: float | None = None
    failure: Sentence | None = None
    recording: Recording | None = None

    @property
    def share(self) -> float | None:
        """The excess as a share of the loss with a fresh state."""
        return None if self.excess is None or not self.control else self.excess.mean / self.control

    @cached_property
    def largest_norm(self) -> float | None:
        """The largest state norm beyond T, averaged over all heads; None where nothing was read there."""
        if self.recording is None:
            return None
        beyond = self.recording.array(POSITION) > self.recording.train_length
        return float(self.recording.array(NORM)[beyond].mean(axis=(1, 2)).max()) if beyond.any() else None


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one document: its readings, the plain one first, and the ``best`` remedy, if there is one."""

    document: str
    document_name: str
    characters: int
    tokens: int
    pages: int | None
    train_length: int
    verdict: Sentence | None
    readings: tuple[Reading, ...]
    best: Reading | None
    diagnosis: Diagnosis | None = None

    @property
    def far(self) -> int:
        """The token from which on a position is far beyond the training length."""
        return BEYOND * self.train_length

    @property
    def plain(self) -> Reading | None:
        """The model as it is; None if that was not read."""
        return next((reading for reading in self.readings if reading.plain), None)

    @property
    def others(self) -> tuple[Reading, ...]:
        """The strategies beside the plain model."""
        return tuple(reading for reading in self.readings if not reading.plain)

    @property
    def case(self) -> str:
        """The verdict by its name; empty without a plain reading."""
        return "" if self.verdict is None else self.verdict.key.partition(".")[2]

    @property
    def healthy(self) -> bool:
        """Whether the plain memory needs no remedy."""
        return self.case.startswith(NOTHING_WRONG)

    @property
    def used(self) -> Reading | None:
        """What would be used: the recommended strategy, or the plain model if that needs none."""
        if self.best is not None:
            return self.best
        advised = self.diagnosis is not None and self.diagnosis.best is not None and self.diagnosis.best.plain
        return self.plain if self.healthy or advised else None

    @property
    def limit(self) -> float | None:
        """The mean loss above which a document is suspicious: what counts as a material excess over a fresh state."""
        used = self.used or self.plain
        return None if used is None or used.control is None else (1 + MATERIAL) * used.control


def of_recordings(recordings: Sequence[Recording]) -> Facts:
    """The facts of ``recordings``, which are of one document; UserError if they are not, or there are none."""
    if not recordings:
        raise UserError("report.nothing")
    experiments = [recording.experiment for recording in recordings]
    if len({(experiment.document, experiment.train_length) for experiment in experiments}) > 1:
        raise UserError("report.unlike")
    unique = {recording.key: recording for recording in recordings}.values()
    ordered = sorted(unique, key=lambda recording: not recording.experiment.plain)
    base = _read(ordered[0], None) if ordered[0].experiment.plain else None
    readings = tuple(_read(recording, base) for recording in ordered)
    helping = [reading for reading in readings if reading.helps]
    first = ordered[0]
    return Facts(
        document=first.experiment.document,
        document_name=first.document_name,
        characters=first.meta.characters,
        tokens=min(recording.read_tokens for recording in ordered),
        pages=None,
        train_length=first.train_length,
        verdict=None if base is None or not first.summary else Sentence(*verdict(first.summary)),
        readings=readings,
        best=min(helping, key=lambda reading: _net(reading, base), default=None),
    )


def _net(reading: Reading, base: Reading | None) -> float:
    """Excess and loss added within T together: what a strategy leaves and what it costs."""
    assert reading.excess is not None
    added = 0.0 if base is None or reading.within is None or base.within is None else reading.within - base.within
    return reading.excess.mean + added


def _read(recording: Recording, base: Reading | None) -> Reading:
    """A recording as a reading, compared with the plain one, ``base``, if there is one."""
    summary: Mapping[str, Any] = recording.summary
    experiment: Experiment = recording.experiment
    mean = summary.get("excess_loss")
    excess = None if mean is None else Span(mean, summary.get("excess_low"), summary.get("excess_high"))
    within = summary.get("loss_within")
    removed = cost = None
    helps = False
    if base is not None and not experiment.plain:
        if excess is not None and base.excess is not None and base.excess.above:
            removed = Span(1 - excess.mean / base.excess.mean)
            helps = excess.high is not None and base.excess.low is not None and excess.high < base.excess.low
        if within is not None and base.within:
            cost = Span(within / base.within - 1)
    return Reading(
        key=recording.key,
        model=experiment.model,
        weights=experiment.weights,
        strategy=experiment.strategy,
        plain=experiment.plain,
        within=within,
        beyond=summary.get("loss_beyond"),
        control=summary.get("control_loss_beyond"),
        excess=excess,
        removed=removed,
        cost=cost,
        helps=helps,
        onset=summary.get("collapse_onset"),
        unexplored=summary.get("unexplored_fraction"),
        growth=summary.get("norm_growth"),
        tokens_per_second=summary.get("tokens_per_second"),
        recording=recording,
    )


def of_diagnosis(diagnosis: Diagnosis, recordings: Mapping[str, Recording]) -> Facts:
    """The facts of ``diagnosis``; ``recordings`` by key are those of its readings that are at hand."""
    if not diagnosis.strategies:
        raise UserError("report.nothing")
    readings = tuple(_diagnosed(result, recordings.get(result.recording)) for result in diagnosis.strategies)
    return Facts(
        document=diagnosis.document,
        document_name=diagnosis.document_name,
        characters=diagnosis.characters,
        tokens=diagnosis.tokens,
        pages=diagnosis.pages,
        train_length=diagnosis.train_length,
        verdict=diagnosis.verdict,
        readings=tuple(sorted(readings, key=lambda reading: not reading.plain)),
        best=next((one for one in readings if one.key == diagnosis.recommended and not one.plain), None),
        diagnosis=diagnosis,
    )


def _diagnosed(result: StrategyResult, recording: Recording | None) -> Reading:
    """A result of a diagnosis as a reading."""
    summary: Mapping[str, Any] = {} if recording is None else recording.summary
    known = result.loss_beyond is not None and result.excess is not None
    return Reading(
        key=result.recording,
        model=result.model,
        weights=result.weights,
        strategy=result.strategy,
        plain=result.plain,
        post_trained=result.post_trained,
        within=result.loss_within,
        beyond=result.loss_beyond,
        control=result.loss_beyond - result.excess.mean if known else None,  # type: ignore[operator, union-attr]
        excess=Span.of(result.excess),
        removed=Span.of(result.removed),
        cost=Span.of(result.cost),
        helps=result.helps,
        tie=result.tie,
        onset=result.onset,
        unexplored=summary.get("unexplored_fraction"),
        growth=summary.get("norm_growth"),
        recall=result.recall,
        tokens_per_second=result.tokens_per_second,
        failure=result.failure,
        recording=recording,
    )
