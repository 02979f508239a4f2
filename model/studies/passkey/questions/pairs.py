"""Key-value pairs in their shortest form, [name=value]; one name is queried, as in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model.studies.passkey.words import Item, Key, Words, query_last
from model.studies.recall import NAMES, PAIR

if TYPE_CHECKING:
    from model.studies.passkey.task import PasskeyTask


def write(words: Words, task: PasskeyTask, random: np.random.Generator) -> Item:
    """``task.count`` pairs, and the question for any one."""
    names, values, needle = needles(words, task, random)
    wanted = int(random.integers(task.count))
    return query_last(needle, words.fill(PAIR.query, name=names[wanted], key=values[wanted].ids)[:-1], values[wanted])


def needles(
    words: Words, task: PasskeyTask, random: np.random.Generator
) -> tuple[list[np.ndarray], list[Key], np.ndarray]:
    """The names (1,) and values of ``task.count`` pairs, and the tokens of them all."""
    names = [words.ids(NAMES[place]) for place in random.permutation(len(NAMES))[: task.count]]
    values = [words.key(task.shape, task.digits, random) for _ in names]
    pairs = [words.fill(PAIR.needle, name=name, key=value.ids) for name, value in zip(names, values, strict=True)]
    return names, values, np.concatenate(pairs)
