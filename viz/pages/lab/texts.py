"""What the lab trains on, and what it watches: texts of the session, never the same part for both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model.checkpoints.catalogue import tokens_of
from model.documents.document import Document
from model.errors import UserError
from model.training.data import split_held_out
from model.training.trial import Pick, watched_tokens
from sample_data import SAMPLES
from viz.app import session

SAMPLES_TEXT, OWN_TEXT = "samples", "own"
MOST_CHARACTERS = 1_000_000
"""Characters of one training text that are used: a run of the usual size does not read more."""


@dataclass(frozen=True, kw_only=True)
class TrainingText:
    """What is trained on: texts by group, a short description without names, and their ``hash``.

    ``watched``: whether the watched document is among them too; of it only what follows the watched tokens is used.
    """

    groups: dict[str, list[str]]
    words: str
    hash: str
    watched: bool = False


def samples_text(document: Document) -> TrainingText:
    """The samples that are prose or logs, by language, without ``document`` and without what is held out of each."""
    groups: dict[str, list[str]] = {}
    used, left_out = [], ""
    for key, sample in SAMPLES.items():
        found = session.sample_document(key)
        if sample.language is None:
            continue
        if found.sha256 == document.sha256:
            left_out = f" without {sample.file}"
        else:
            groups.setdefault(sample.language, []).append(split_held_out(found.text)[0])
            used.append(found.sha256)
    return TrainingText(groups=groups, words=f"shipped samples{left_out}", hash=_hash(used))


def own_text(keys: Sequence[str], document: Document) -> TrainingText:
    """The uploads ``keys`` as training text, ``document`` perhaps among them; UserError if there are none."""
    found = [session.document(key) for key in keys]
    if not found:
        raise UserError("lab.no_text")
    others = [upload.text for upload in found if upload.sha256 != document.sha256]
    return TrainingText(
        groups={OWN_TEXT: others},
        words=f"{len(found)} uploaded documents",
        hash=_hash([upload.sha256 for upload in found]),
        watched=len(others) < len(found),
    )


def _hash(documents: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(documents).encode()).hexdigest()[:16]


def watched_part(
    base: str, document: Document, train_length: int, picks: tuple[Pick, ...] = ()
) -> tuple[np.ndarray, int]:
    """The tokens (tokens,) int32 of ``document`` that are watched, ``picks`` among them, and the character behind them.

    UserError if there are fewer than two.
    """
    wanted = watched_tokens(train_length, picks)
    # A token of running text is a few characters long; where it is much longer, a little less is watched.
    tokens, offsets = tokens_of(base, document.text[: 16 * wanted])
    if len(tokens) < 2:
        raise UserError("checkpoints.too_short", tokens=len(tokens))
    after = int(offsets[wanted]) if len(tokens) > wanted else min(16 * wanted, len(document.text))
    return tokens[:wanted], after


def streams_of(
    text: TrainingText, base: str, rest: str, stop: Callable[[], bool]
) -> dict[str, list[np.ndarray]] | None:
    """Token streams of ``text`` by group, as the model ``base`` reads them; None if it was stopped.

    ``rest`` of the watched document follows the watched tokens; it is trained on if that document was chosen too.
    """
    streams: dict[str, list[np.ndarray]] = {}
    for group, texts in text.groups.items():
        streams[group] = []
        for words in [*texts, rest] if text.watched and rest else texts:
            if stop():
                return None
            streams[group].append(tokens_of(base, words[:MOST_CHARACTERS])[0])
    return streams
