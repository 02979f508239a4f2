"""The table of questions: what is inserted into a text, and the query for it. One file each, one row each.

A row's function writes one item (:class:`..words.Item`) for a task from a random generator. All items of
a task have equally many tokens, so that every prompt of a cell is exactly as long as it says. Titles and help are in
``messages/recall.toml``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.errors import UserError
from model.studies.passkey.questions import associative, copying, keys, occurrence, pairs, passkey, word
from model.studies.passkey.words import SHAPES, Item, Words

if TYPE_CHECKING:
    import numpy as np

    from model.studies.passkey.task import PasskeyTask


@dataclass(frozen=True, kw_only=True)
class Question:
    """One row: ``write(words, task, random)``, and how many things ``task.count`` may be inserted, low to high.

    ``sized`` and ``shaped``: whether ``task.digits`` and ``task.shape`` matter to it.
    """

    write: Callable[[Words, PasskeyTask, np.random.Generator], Item]
    low: int = 1
    high: int = 1
    sized: bool = True
    shaped: bool = True


QUESTIONS: dict[str, Question] = {
    "passkey": Question(write=passkey.write),
    "keys": Question(write=keys.write, low=2, high=26),
    "pairs": Question(write=pairs.write, high=26),
    "word": Question(write=word.write, sized=False, shaped=False),
    "copying": Question(write=copying.write, high=64, sized=False),
    "associative": Question(write=associative.write, high=26),
    "occurrence": Question(write=occurrence.write, low=2, high=9),
}


def check_question(task: PasskeyTask) -> None:
    """UserError for a question that there is not, a shape of key, or a number of things that it cannot insert."""
    if task.question not in QUESTIONS:
        raise UserError("recall.unknown", value=task.question, known=", ".join(QUESTIONS))
    if task.shape not in SHAPES:
        raise UserError("recall.shape", value=task.shape, known=", ".join(SHAPES))
    row = QUESTIONS[task.question]
    if not row.low <= task.count <= row.high:
        raise UserError("recall.count", name=task.question, value=task.count, low=row.low, high=row.high)
