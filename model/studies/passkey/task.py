"""What is queried and who answers, as frozen data; together they are the key of a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from model.errors import UserError
from model.experiment import PLAIN, Strategy, flat, key_of
from model.studies.recall import PASSKEYS

FILLERS = ("sentence", "newlines", "text")
"""What surrounds the key: a few sentences over and over, line breaks only, or a document."""

MAX_DIGITS = 20
MAX_TRIALS = 1000
MAX_TOKENS = 200_000_000
"""Tokens of all prompts together: hours of reading; more is a slip of the keyboard."""


LATER_FIELDS = "attention_window", "off"
"""Fields of a reader that came after results had been stored: unset, they are left out of their keys."""
LATER = {"later": True}
"""Marks a field that came after results had been stored: at its default it is left out of their keys."""


@dataclass(frozen=True, kw_only=True)
class PasskeyTask:
    """A grid of questions: ``trials`` keys for every length and depth.

    ``language`` is that of the needle, the query and the repeated sentences; ``digits`` the length of a key.
    ``lengths`` count the tokens of a whole prompt, question included. ``depths`` run from 0 (the key comes first) to 1
    (just before the question). ``filler`` is one of :data:`FILLERS`; for "text", ``document`` is the SHA-256 of the
    document, whose text is never stored. ``question`` is a row of :data:`.questions.QUESTIONS`, ``count``
    how many things it tells, ``shape`` what keys are made of, in ``digits`` symbols.
    """

    language: str
    lengths: tuple[int, ...]
    depths: tuple[float, ...]
    trials: int = 10
    digits: int = 5
    filler: str = "sentence"
    document: str = ""
    seed: int = 0
    question: str = field(default="passkey", metadata=LATER)
    shape: str = field(default="digits", metadata=LATER)
    count: int = field(default=1, metadata=LATER)

    @property
    def cells(self) -> list[tuple[int, float]]:
        """Every (length, depth), short prompts first."""
        return [(length, depth) for length in sorted(self.lengths) for depth in self.depths]

    @property
    def tokens(self) -> int:
        """Tokens of all prompts together."""
        return sum(self.lengths) * len(self.depths) * self.trials

    def check(self) -> None:
        """UserError for a grid that cannot be run; what depends on a tokenizer is checked by ``Prompts``."""
        if self.language not in PASSKEYS:
            raise UserError("passkey.language", value=self.language, known=", ".join(PASSKEYS))
        if self.filler not in FILLERS:
            raise UserError("passkey.filler", value=self.filler, known=", ".join(FILLERS))
        if not 1 <= self.digits <= MAX_DIGITS:
            raise UserError("passkey.digits", value=self.digits, limit=MAX_DIGITS)
        if not 1 <= self.trials <= MAX_TRIALS:
            raise UserError("passkey.trials", value=self.trials, limit=MAX_TRIALS)
        if not self.lengths or not self.depths:
            raise UserError("passkey.empty")
        for depth in self.depths:
            if not 0 <= depth <= 1:
                raise UserError("passkey.depth", value=depth)
        if self.tokens > MAX_TOKENS:
            raise UserError("passkey.too_much", tokens=self.tokens, limit=MAX_TOKENS)

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> PasskeyTask:
        """The task that :func:`dataclasses.asdict` wrote; fields of later versions are ignored."""
        known = {name: values[name] for name in PasskeyTask.__dataclass_fields__ if name in values}
        for name in ("lengths", "depths"):
            known[name] = tuple(known[name])
        return PasskeyTask(**known)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who answers: a model, and the strategy it reads with.

    ``attention_window`` and ``off`` are those of :class:`model.experiment.Experiment`.
    """

    model: str
    weights: str = ""
    train_length: int = 0
    strategy: Strategy = PLAIN
    attention_window: int = 0
    off: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether memory starts empty, no mitigation acts and no part is off."""
        return self.strategy.plain and not self.off

    def baseline(self) -> Reader:
        """The same model with an empty memory, no mitigation and every part on."""
        return replace(self, strategy=PLAIN, off=())

    def to_json(self) -> dict[str, Any]:
        """A dictionary for JSON; :meth:`from_json` reads it back."""
        values = flat(self)
        return {name: value for name, value in values.items() if value or name not in LATER_FIELDS}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> Reader:
        """The reader that :meth:`to_json` wrote; fields of later versions are ignored."""
        known = {name: values[name] for name in Reader.__dataclass_fields__ if name in values}
        known["off"] = tuple(known.get("off", ()))
        return Reader(**known, strategy=Strategy.from_json(values))


def result_key(task: Any, reader: Reader) -> str:
    """Twelve hexadecimal digits that name the result of ``task``, any dataclass, for ``reader``."""
    values = asdict(task)
    for entry in fields(task):
        if entry.metadata.get("later") and values[entry.name] == entry.default:
            del values[entry.name]
    return key_of([values, reader.to_json()])


def doubling_lengths(train_length: int, longest: int, least: int = 1) -> tuple[int, ...]:
    """Half the training length, the training length, and doublings up to ``longest`` times the training length.

    Lengths below ``least`` are left out: a prompt without room for its needle has no query.
    """
    lengths = [train_length // 2, train_length]
    while lengths[-1] * 2 <= train_length * longest:
        lengths.append(lengths[-1] * 2)
    return tuple(length for length in lengths if length >= least) or (lengths[-1],)


def even_depths(count: int) -> tuple[float, ...]:
    """``count`` depths from 0 to 1, evenly spaced; a single one is the middle."""
    return (0.5,) if count == 1 else tuple(round(index / (count - 1), 4) for index in range(count))
