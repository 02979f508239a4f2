"""The nth occurrence: the same sentence is inserted with several codes, and the one at a given place is queried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model.studies.passkey.words import Item, Words, query_last

if TYPE_CHECKING:
    from model.studies.passkey.task import PasskeyTask

SENTENCES = {
    "en": ("\nThe code is {key}.\n", "\nCounting from the first, code number {place} was {key}"),
    "ja": ("\n暗号は{key}です。\n", "\n最初から数えて{place}番目の暗号は{key}"),
}
"""The needle with a code, and its query."""


def write(words: Words, task: PasskeyTask, random: np.random.Generator) -> Item:
    """``task.count`` codes, and the question for one by its place among them."""
    needle, query = SENTENCES[task.language]
    keys = [words.key(task.shape, task.digits, random) for _ in range(task.count)]
    wanted = int(random.integers(task.count))
    place = words.symbols("digits")[wanted + 1 : wanted + 2]
    together = np.concatenate([words.fill(needle, key=key.ids) for key in keys])
    return query_last(together, words.fill(query, place=place, key=keys[wanted].ids), keys[wanted])
