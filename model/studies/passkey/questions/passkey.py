"""One key in a sentence, queried at the end (the passkey test of Stuffed Mamba, arXiv 2410.07145, appendix B)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.studies.passkey.words import Item, Words, query_last
from model.studies.recall import PASSKEYS

if TYPE_CHECKING:
    import numpy as np

    from model.studies.passkey.task import PasskeyTask


def write(words: Words, task: PasskeyTask, random: np.random.Generator) -> Item:
    """A sentence with the key twice, and the query for it."""
    form = PASSKEYS[task.language]
    key = words.key(task.shape, task.digits, random)
    return query_last(words.fill(form.needle, key=key.ids), words.fill(form.query, key=key.ids), key)
