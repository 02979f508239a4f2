"""Synthetic copying: a sequence of symbols is shown, and has to be written again (Ruiz & Gu, arXiv 2507.02782)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.studies.passkey.words import Item, Words, query_last

if TYPE_CHECKING:
    import numpy as np

    from model.studies.passkey.task import PasskeyTask

SENTENCES = {
    "en": ("\nCopy this sequence: {key}\n", "\nThe sequence once more: {key}"),
    "ja": ("\n次の並びを書き写してください。{key}\n", "\n並びをもう一度書くと、{key}"),
}
"""The needle with the sequence, and its query."""


def write(words: Words, task: PasskeyTask, random: np.random.Generator) -> Item:
    """A sequence of ``task.count`` symbols."""
    needle, query = SENTENCES[task.language]
    key = words.key(task.shape, task.count, random)
    return query_last(words.fill(needle, key=key.ids), words.fill(query, key=key.ids), key)
