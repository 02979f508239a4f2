"""The nth occurrence: the same sentence is told with several codes, and the one at a given place is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model.studies.passkey.words import Item, Words, asked_at_end

if TYPE_CHECKING:
    from model.studies.passkey.task import PasskeyTask

SENTENCES = {
    "en": ("\nThe code is {key}.\n", "\nCounting from the first, code number {place} was {key}"),
    "ja": ("\n暗号は{key}です。\n", "\n最初から数えて{place}番目の暗号は{key}"),
}
"""How a code is told, and how it is asked for."""


def write(words: Words, task: PasskeyTask, random: np.random.Generator) -> Item:
    """``task.count`` codes, and the question for one by its place among them."""
    tell, ask = SENTENCES[task.language]
    keys = [words.key(task.shape, task.digits, random) for _ in range(task.count)]
    wanted = int(random.integers(task.count))
    place = words.symbols("digits")[wanted + 1 : wanted + 2]
    told = np.concatenate([words.fill(tell, key=key.ids) for key in keys])
    return asked_at_end(told, words.fill(ask, place=place, key=keys[wanted].ids), keys[wanted])
