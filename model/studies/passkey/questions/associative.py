"""Multi-query associative recall (Arora et al. 2023, arXiv 2312.04927): pairs are inserted, and every name is queried.

All values have to be right. Each is queried after the right values of those before it, which is the same: where one
of them is wrong, the whole answer is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model.studies.passkey.questions import pairs
from model.studies.passkey.words import Item, Words
from model.studies.recall import PAIR

if TYPE_CHECKING:
    from model.studies.passkey.task import PasskeyTask


def write(words: Words, task: PasskeyTask, random: np.random.Generator) -> Item:
    """``task.count`` pairs, and the questions for all of them in another order."""
    names, values, needle = pairs.needles(words, task, random)
    order = random.permutation(task.count)
    queries = [words.fill(PAIR.query, name=names[place], key=values[place].ids) for place in order]
    ends = np.cumsum([len(ids) for ids in queries]) - 1  # the bracket that closes each
    scored = (ends[:, None] - task.digits + np.arange(task.digits)).ravel()
    return Item(needle, np.concatenate(queries)[:-1], scored, " ".join(values[place].text for place in order))
