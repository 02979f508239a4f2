"""The answer of a diagnosis as frozen data and a small JSON file: what each strategy gives and costs, and what to do.

Nothing here is in a language: a :class:`Sentence` is the key of a message and the values that fill it. Losses are in
nats per token; an Estimate is a number with its 95% interval. T is the training length of the diagnosed model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from model.diagnostics.collapse import BEYOND
from model.errors import UserError
from model.experiment import Strategy
from model.json_file import write_json
from model.messages import message
from model.studies.evidence.result import Estimate
from model.studies.passkey.result import Cell

FORMAT = 1
FOLDER = "diagnoses"
"""The folder of diagnoses, in that of the recordings."""
HIGH, MEDIUM, LOW = LEVELS = ("high", "medium", "low")
"""How sure a diagnosis is."""


class Sentence(NamedTuple):
    """A message and what fills it: values of JSON, or a Sentence that is said in the same language."""

    key: str
    values: dict[str, Any]

    @staticmethod
    def of(error: UserError) -> Sentence:
        """The sentence of ``error``."""
        values = {name: Sentence.of(value) if isinstance(value, UserError) else value for name, value in _of(error)}
        return Sentence(error.key, values)

    def words(self, language: str, **more: object) -> str:
        """What it says in ``language``; ``more`` are values that depend on the language."""
        values = {
            name: value.words(language) if isinstance(value, Sentence) else value for name, value in self.values.items()
        }
        return message(self.key, language, **values, **more)

    def to_json(self) -> dict[str, Any]:
        """A dictionary for JSON; :meth:`from_json` reads it back."""
        values = {
            name: value.to_json() if isinstance(value, Sentence) else value for name, value in self.values.items()
        }
        return {"key": self.key, "values": values}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Sentence:
        """The sentence that :meth:`to_json` wrote."""
        filled = {
            name: Sentence.from_json(value) if isinstance(value, dict) else value
            for name, value in values["values"].items()
        }
        return Sentence(str(values["key"]), filled)


def _of(error: UserError) -> list[tuple[str, Any]]:
    return [
        (name, value if isinstance(value, bool | int | float | str | UserError) else str(value))
        for name, value in error.values.items()
    ]


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Passkeys that were recalled: ``correct`` of ``trials`` from texts of ``length`` tokens, over several depths.

    ``result`` is the key of the passkey test.
    """

    result: str
    length: int
    correct: int
    trials: int

    @property
    def cell(self) -> Cell:
        """The same as a cell of the passkey test; the probability of its digits is not kept."""
        return Cell(self.correct, self.trials, math.nan)

    @property
    def accuracy(self) -> float:
        """Share of the keys far beyond the training length that were given back whole."""
        return self.cell.accuracy

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the accuracy."""
        return self.cell.interval


@dataclass(frozen=True, kw_only=True)
class StrategyResult:
    """What one strategy gives and costs on the document; None where it is not known.

    ``recording`` is the key of its recording. ``model`` and ``weights`` are those that read; ``post_trained`` names the
    interventions by which these weights were made from those of the diagnosed model's base, "" for the diagnosed ones.

    ``loss_within``: mean over windows of T tokens, each read from the strategy's initial state, spread over the
    document. ``loss_beyond``: mean from 8 T on. ``excess``: that less the loss of the same tokens with a fresh state
    of the same weights. ``removed``: share of the plain reading's excess that is gone; None where that does not
    matter, or is not clearly above zero. ``cost``: by what share the loss within T is above that of the plain reading.
    ``gain``: excess removed less loss added within T. ``behind``: by how much the gain is below that of the best
    strategy, paired by blocks; None for the best one itself. ``tie``: whether that interval includes zero; the best is
    no tie.

    ``onset``: first token from which the long memory costs; None if there is none, or the reading failed. ``speed``:
    tokens per second over those of the plain reading. ``failure`` says why there are no numbers.

    ``blocks`` are the means of the excess over consecutive blocks from 8 T on, ``windows`` the mean losses of the
    windows within T: all intervals come from them.
    """

    recording: str
    model: str
    weights: str
    strategy: Strategy
    post_trained: str = ""
    loss_within: float | None = None
    loss_beyond: float | None = None
    excess: Estimate | None = None
    removed: Estimate | None = None
    cost: Estimate | None = None
    gain: Estimate | None = None
    behind: Estimate | None = None
    tie: bool = False
    onset: int | None = None
    recall: Recall | None = None
    tokens_per_second: float | None = None
    speed: float | None = None
    failure: Sentence | None = None
    blocks: tuple[float, ...] = ()
    windows: tuple[float, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether it is the diagnosed model as it is."""
        return self.strategy.plain and not self.post_trained

    @property
    def helps(self) -> bool:
        """Whether its gain over the plain reading is above zero with 95% confidence."""
        return self.gain is not None and self.gain.low > 0

    @property
    def text(self) -> str:
        """The strategy as it is typed: ``plain``, ``decay=4``, ``initial_state=fitted``, or the name of the weights."""
        if self.post_trained:
            return self.model if self.strategy.plain else f"{self.model} {self.strategy.text}"
        return self.strategy.text

    def to_json(self) -> dict[str, Any]:
        """A dictionary for JSON; :meth:`from_json` reads it back."""
        return {**asdict(self), "failure": None if self.failure is None else self.failure.to_json()}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> StrategyResult:
        """The result that :meth:`to_json` wrote; fields of later versions are ignored."""
        known = {name: values[name] for name in StrategyResult.__dataclass_fields__ if name in values}
        for name in ("excess", "removed", "cost", "gain", "behind"):
            known[name] = None if known.get(name) is None else Estimate(**known[name])
        known["strategy"] = Strategy.from_json(known["strategy"])
        known["recall"] = None if known.get("recall") is None else Recall(**known["recall"])
        known["failure"] = None if known.get("failure") is None else Sentence.from_json(known["failure"])
        for name in ("blocks", "windows"):
            known[name] = tuple(map(float, known.get(name, ())))
        return StrategyResult(**known)


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """How sure the recommendation is: "high", "medium" or "low", and why."""

    level: str
    reasons: tuple[Sentence, ...]


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All strategies on one document, and what follows from them.

    ``key`` names the question: the same document, weights and strategies. ``document`` is the SHA-256 of the text,
    ``pages`` how many it has, None where it has none. ``verdict`` is that of the plain reading. ``strategies`` are
    sorted, the best gain first; ``planned`` is how many there are to read. ``recommended`` is the recording of the
    strategy to use, None where nothing helps or nothing can be judged. ``alternative`` is that of another one that
    helps and recalls clearly more passkeys from far back, if there is one. ``steps`` are what to do next, the first of
    them the decision. ``split`` is the length, in tokens, of the parts into which the document can be split instead,
    and ``split_pages`` the same in pages. ``recallable``: whether the plain model recalls passkeys from texts of its
    training length at all, None if that was not tested; where it is False no strategy has a recall. ``complete`` is
    False for a diagnosis that still runs, or was cancelled.
    """

    key: str
    document: str
    document_name: str
    characters: int
    tokens: int
    pages: int | None
    model: str
    weights: str
    train_length: int
    planned: int
    verdict: Sentence
    strategies: tuple[StrategyResult, ...] = ()
    recommended: str | None = None
    alternative: str | None = None
    steps: tuple[Sentence, ...] = ()
    split: int | None = None
    split_pages: int | None = None
    recallable: bool | None = None
    confidence: Confidence = field(default_factory=lambda: Confidence(level=LOW, reasons=()))
    complete: bool = False
    seconds: float = 0.0

    @property
    def beyond(self) -> int:
        """The token from which on a position is far beyond the training length."""
        return BEYOND * self.train_length

    @property
    def case(self) -> str:
        """The verdict by its name: "holds", "costs", "collapses", "unclear", "too_short", "broken" ..."""
        return self.verdict.key.partition(".")[2]

    @property
    def plain(self) -> StrategyResult | None:
        """The plain reading; None before it is there."""
        return next((result for result in self.strategies if result.plain), None)

    @property
    def best(self) -> StrategyResult | None:
        """The recommended strategy; None where there is none."""
        return self.of(self.recommended)

    def of(self, recording: str | None) -> StrategyResult | None:
        """The strategy with that recording; None if there is none."""
        return next((result for result in self.strategies if result.recording == recording), None)

    @property
    def ties(self) -> tuple[StrategyResult, ...]:
        """Strategies as good as the recommended one, which is not among them.

        They are those with the best gain and those that cannot be distinguished from it; none where the recommended
        strategy is no such one, and all of them where nothing is recommended.
        """
        equal = [result for place, result in enumerate(self.strategies) if result.tie or (place == 0 and result.blocks)]
        if self.recommended is not None and self.recommended not in [result.recording for result in equal]:
            return ()
        return tuple(result for result in equal if result.recording != self.recommended)

    def to_json(self) -> dict[str, Any]:
        """A dictionary for JSON; :meth:`from_json` reads it back."""
        said = {
            "verdict": self.verdict.to_json(),
            "strategies": [result.to_json() for result in self.strategies],
            "steps": [step.to_json() for step in self.steps],
            "confidence": {
                "level": self.confidence.level,
                "reasons": [reason.to_json() for reason in self.confidence.reasons],
            },
        }
        return {"format": FORMAT, **asdict(self), **said}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Diagnosis:
        """The diagnosis that :meth:`to_json` wrote; fields of later versions are ignored."""
        known = {name: values[name] for name in Diagnosis.__dataclass_fields__ if name in values}
        known["verdict"] = Sentence.from_json(known["verdict"])
        known["strategies"] = tuple(map(StrategyResult.from_json, known["strategies"]))
        known["steps"] = tuple(map(Sentence.from_json, known["steps"]))
        sure = known["confidence"]
        known["confidence"] = Confidence(
            level=str(sure["level"]), reasons=tuple(map(Sentence.from_json, sure["reasons"]))
        )
        return Diagnosis(**known)

    def save(self, path: Path) -> None:
        """Write the diagnosis as JSON, whole or not at all: settings and numbers, no text."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, self.to_json())


def file_of(out: Path, key: str) -> Path:
    """The file of the diagnosis ``key`` in the folder of recordings ``out``."""
    return out / FOLDER / f"{key}.json"


def load(path: str | Path) -> Diagnosis:
    """The diagnosis in the file ``path``; UserError if it is none, or of a later version."""
    path = Path(path)
    try:
        values = json.loads(path.read_text("utf-8"))
        if values["format"] > FORMAT:
            raise UserError("diagnose.newer", name=path.name)
        return Diagnosis.from_json(values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError("diagnose.unreadable", name=path.name) from error
