"""Several keys, each of a box with a letter, told one after another; one of them is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model.studies.passkey.words import Item, Words, asked_at_end
from model.studies.recall import NAMES

if TYPE_CHECKING:
    from model.studies.passkey.task import PasskeyTask

SENTENCES = {
    "en": ("\nThe pass key of box {name} is {key}.\n", "\nWhat is the pass key of box {name}? It is {key}"),
    "ja": ("\n{name}の箱の合言葉は{key}です。\n", "\n{name}の箱の合言葉は何ですか。それは{key}"),
}
"""How a key is told, and how it is asked for."""


def write(words: Words, task: PasskeyTask, random: np.random.Generator) -> Item:
    """``task.count`` keys under different letters, and the question for any one."""
    tell, ask = SENTENCES[task.language]
    names = [words.ids(NAMES[place]) for place in random.permutation(len(NAMES))[: task.count]]
    keys = [words.key(task.shape, task.digits, random) for _ in names]
    wanted = int(random.integers(task.count))
    told = [words.fill(tell, name=name, key=key.ids) for name, key in zip(names, keys, strict=True)]
    return asked_at_end(np.concatenate(told), words.fill(ask, name=names[wanted], key=keys[wanted].ids), keys[wanted])
