"""Several keys, each of a box with a letter, inserted one after another; one of them is queried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model.studies.passkey.words import Item, Words, query_last
from model.studies.recall import NAMES

if TYPE_CHECKING:
    from model.studies.passkey.task import PasskeyTask

SENTENCES = {
    "en": ("\nThe pass key of box {name} is {key}.\n", "\nWhat is the pass key of box {name}? It is {key}"),
    "ja": ("\n{name}の箱の合言葉は{key}です。\n", "\n{name}の箱の合言葉は何ですか。それは{key}"),
}
"""The needle with a key, and its query."""


def write(words: Words, task: PasskeyTask, random: np.random.Generator) -> Item:
    """``task.count`` keys under different letters, and the question for any one."""
    needle, query = SENTENCES[task.language]
    names = [words.ids(NAMES[place]) for place in random.permutation(len(NAMES))[: task.count]]
    keys = [words.key(task.shape, task.digits, random) for _ in names]
    wanted = int(random.integers(task.count))
    needles = [words.fill(needle, name=name, key=key.ids) for name, key in zip(names, keys, strict=True)]
    return query_last(
        np.concatenate(needles), words.fill(query, name=names[wanted], key=keys[wanted].ids), keys[wanted]
    )
