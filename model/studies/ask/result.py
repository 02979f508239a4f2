"""What is asked of a state and what came of it, as frozen data and a small JSON file: opened without torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from model.errors import UserError
from model.experiment import key_of
from model.json_file import unsealed, write_sealed

FORMAT = 1
NGRAM = 4
"""Tokens of a group that may come again."""
REPEATS = 0.5
"""Repetition from which on a continuation counts as repeating itself."""
LEAST = 3
"""Continuations that repeat themselves, less those that do not, before a document has a place from which on they do."""
TABLE = 20
"""Tokens in the table of the next ones."""
SHORT = 64
"""Tokens of the continuations along the document, at most."""
MOST_LENGTH = 2000
MOST_TEXT = 20_000
MOST_SEED = 2**32 - 1


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked: ``text`` is read on from the state, empty for nothing, and ``length`` tokens continue it.

    ``temperature`` 0 takes the most probable token each time; above it, ``top_p`` cuts the distribution and ``seed``
    chooses among what is left.
    """

    text: str = ""
    length: int = SHORT
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name this question."""
        return key_of(asdict(self))

    def check(self) -> None:
        """UserError for what cannot be asked."""
        if not 1 <= self.length <= MOST_LENGTH:
            raise UserError("question.length", value=self.length, most=MOST_LENGTH)
        if not 0 <= self.temperature <= 10:
            raise UserError("question.temperature", value=self.temperature)
        if not 0 < self.top_p <= 1:
            raise UserError("question.top_p", value=self.top_p)
        if not 0 <= self.seed <= MOST_SEED:
            raise UserError("question.seed", value=self.seed, most=MOST_SEED)
        if len(self.text) > MOST_TEXT:
            raise UserError("question.text", characters=len(self.text), most=MOST_TEXT)


@dataclass(frozen=True, kw_only=True)
class NextToken:
    """A token that may come next: its id, its text, its probability, and its rank, the most probable being 1."""

    token: int
    text: str
    probability: float
    rank: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came from the state after ``moment`` tokens.

    ``next`` are the most probable next tokens, after the question if there is one. ``follows`` is the token of the
    document that really follows the moment, as the state expects it before the question; None at the end.
    ``tokens`` and ``text`` are the continuation, fewer than were asked for only where the numbers overflowed;
    ``entropy`` (nats) is that of the model's own distribution, at temperature 1, before each of them. ``decoded``: the
    model's tokens have texts here; otherwise their ids stand for them.
    """

    moment: int
    next: tuple[NextToken, ...]
    follows: NextToken | None
    tokens: tuple[int, ...]
    text: str
    entropy: tuple[float, ...]
    decoded: bool = True

    @property
    def repetition(self) -> float:
        """Share of the continuation's groups of four tokens that it held before; NaN if it has no such group."""
        return repetition(self.tokens)

    @property
    def mean_entropy(self) -> float:
        """Mean of :attr:`entropy` over the continuation, in nats; NaN without one."""
        return float(np.mean(self.entropy)) if self.entropy else math.nan

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Answer:
        """The answer that :func:`dataclasses.asdict` gave; KeyError, TypeError or ValueError for anything else."""
        follows = values["follows"]
        return Answer(
            moment=int(values["moment"]),
            next=tuple(NextToken(**each) for each in values["next"]),
            follows=None if follows is None else NextToken(**follows),
            tokens=tuple(map(int, values["tokens"])),
            text=str(values["text"]),
            entropy=tuple(map(float, values["entropy"])),
            decoded=bool(values["decoded"]),
        )


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What is known of one question to one recording: answers by moment."""

    recording: str
    question: Question
    answers: dict[int, Answer] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Store the answers in ``folder``, whole or not at all."""
        file = answers_file(folder, self.recording, self.question)
        file.parent.mkdir(parents=True, exist_ok=True)
        found = [asdict(self.answers[moment]) for moment in sorted(self.answers)]
        write_sealed(file, {"format": FORMAT, "question": asdict(self.question), "answers": found})

    @staticmethod
    def load(folder: Path, recording: str, question: Question) -> Answers:
        """What ``folder`` has; without answers if that is nothing, or cannot be read."""
        found: dict[int, Answer] = {}
        try:
            values = unsealed(json.loads(answers_file(folder, recording, question).read_text("utf-8")), required=True)
            if values["format"] == FORMAT and values["question"] == asdict(question):
                found = {int(each["moment"]): Answer.from_json(each) for each in values["answers"]}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass  # it is asked again
        return Answers(recording=recording, question=question, answers=found)


def answers_file(folder: Path, recording: str, question: Question) -> Path:
    """Where the answers of the recording with the key ``recording`` are stored."""
    return folder / recording / f"{question.key}.json"


def repetition(tokens: Sequence[int], size: int = NGRAM) -> float:
    """Share of the groups of ``size`` tokens in ``tokens`` that occurred in it before; NaN if it has no group.

    The same as one minus the share of distinct groups, which measures repetition in generated text (Welleck et al.
    2020, arXiv 1908.04319).
    """
    groups = [tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1)]
    return 1 - len(set(groups)) / len(groups) if groups else math.nan


def moments_along(tokens: int, train_length: int, count: int = 16) -> list[int]:
    """About ``count`` moments along a document of ``tokens``: half even, half even in the logarithm of the position.

    The logarithm starts at an eighth of the training length, so some moments are within it.
    """
    first = min(tokens, max(4, train_length // 8))
    even = np.linspace(tokens / (count - count // 2), tokens, count - count // 2)
    early = np.geomspace(first, tokens, count // 2)
    return sorted({int(moment) for moment in np.rint(np.concatenate([even, early])) if moment >= 1})


@dataclass(frozen=True, kw_only=True)
class Along:
    """How continuations change along a document: means within the training length and beyond it.

    ``repeats_from`` is the moment from which on most continuations repeat themselves (:data:`REPEATS`): each one beyond
    the training length votes, and the start is the minimum of the running sum of their votes, as for a collapse onset
    (Page 1954, Biometrika 41:100). None unless they win by :data:`LEAST` votes, or if continuations within the training
    length repeat themselves too.
    """

    moments: tuple[int, ...]
    repetition: tuple[float, ...]
    entropy: tuple[float, ...]
    within_repetition: float
    within_entropy: float
    beyond_repetition: float
    beyond_entropy: float
    repeats_from: int | None

    def repetition_since(self, moment: int) -> float:
        """Mean repetition of the continuations from ``moment`` on; NaN without any."""
        shares = zip(self.moments, self.repetition, strict=True)
        return _mean(np.array([share for there, share in shares if there >= moment], float))

    @staticmethod
    def of(answers: Sequence[Answer], train_length: int) -> Along:
        """The summary of ``answers``; means are NaN where there is nothing to average."""
        ordered = sorted(answers, key=lambda answer: answer.moment)
        repeated = np.array([answer.repetition for answer in ordered], float)
        nats = np.array([answer.mean_entropy for answer in ordered], float)
        within = np.array([answer.moment <= train_length for answer in ordered], bool)
        inside = _mean(repeated[within])
        beyond = np.flatnonzero(~within & np.isfinite(repeated))
        balance = np.concatenate([[0], np.cumsum(np.where(repeated[beyond] >= REPEATS, 1, -1))])
        first = len(beyond) - int(np.argmin(balance[::-1]))  # of equal minima the last, which claims least
        found = not inside >= REPEATS and balance[-1] - balance[first] >= LEAST
        return Along(
            moments=tuple(answer.moment for answer in ordered),
            repetition=tuple(repeated.tolist()),
            entropy=tuple(nats.tolist()),
            within_repetition=inside,
            within_entropy=_mean(nats[within]),
            beyond_repetition=_mean(repeated[~within]),
            beyond_entropy=_mean(nats[~within]),
            repeats_from=ordered[beyond[first]].moment if found else None,
        )


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
