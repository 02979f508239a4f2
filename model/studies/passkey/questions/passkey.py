"""One key in a sentence, asked for at the end (the passkey test of Stuffed Mamba, arXiv 2410.07145, appendix B)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.studies.passkey.words import Item, Words, asked_at_end
from model.studies.recall import PASSKEYS

if TYPE_CHECKING:
    import numpy as np

    from model.studies.passkey.task import PasskeyTask


def write(words: Words, task: PasskeyTask, random: np.random.Generator) -> Item:
    """A key told twice in one sentence, and the question for it."""
    form = PASSKEYS[task.language]
    key = words.key(task.shape, task.digits, random)
    return asked_at_end(words.fill(form.tell, key=key.ids), words.fill(form.ask, key=key.ids), key)
