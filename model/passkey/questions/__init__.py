"""The table of questions: what is hidden in a text and how it is asked for. One file each, one row each.

A row's function writes one item (:class:`model.passkey.words.Item`) for a task from a random generator. All items of
a task have equally many tokens, so that every prompt of a cell is exactly as long as it says. Titles and help are in
``messages/recall.toml``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.passkey.questions import passkey
from model.passkey.words import Item, Words

if TYPE_CHECKING:
    import numpy as np

    from model.passkey.task import PasskeyTask


@dataclass(frozen=True, kw_only=True)
class Question:
    """One row: ``write(words, task, random)``; whether ``task.count`` says how many things are told, and its range."""

    write: Callable[[Words, PasskeyTask, np.random.Generator], Item]
    low: int = 1
    high: int = 1


QUESTIONS: dict[str, Question] = {
    "passkey": Question(write=passkey.write),
}
