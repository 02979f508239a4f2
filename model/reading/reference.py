"""Explored states of a published model, from a reference text that the user chooses.

The texts that the model was trained on are not here. Its memory within a training length is seen on another text:
windows of the training length, each from an empty memory. Which text that was stands beside the states.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from model.checkpoints.card import ModelCard
from model.checkpoints.catalogue import load_model, load_tokenizer_of
from model.errors import UserError
from model.json_file import write_json
from model.tokenizer import encode

WINDOWS = 24
"""Windows by default: of a large model each takes a while, and states of one window count as one."""


class Reference(NamedTuple):
    """What explored states were recorded from: ``names`` of the texts, and how many ``windows`` of them."""

    names: tuple[str, ...]
    windows: int


def reference_of(card: ModelCard) -> Reference | None:
    """What the explored states of ``card`` come from; None if it has none, or is not a published model."""
    if not card.published or card.explored is None:
        return None
    try:
        values = json.loads(_file(card).read_text("utf-8"))
        return Reference(tuple(map(str, values["names"])), int(values["windows"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


SAMPLE = "equipment_spec_en"
"""The shipped sample that stands in where the user names no text."""


class _StoppedError(Exception):
    """The user does not want it any more."""


def record_explored(
    card: ModelCard,
    texts: Sequence[tuple[str, str]],
    *,
    windows: int = WINDOWS,
    precision: str = "float32",
    report: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Record the explored states of ``card`` from ``texts``, (name, text) each; False if ``stop()`` turned true.

    UserError if no text is as long as a training sequence of the model.
    """
    from model.reading.explore import explore

    tokenizer = load_tokenizer_of(card.name)
    streams = [(name, encode(tokenizer, text, whole=True)[0]) for name, text in texts]
    long_enough = [(name, stream) for name, stream in streams if len(stream) >= card.train_length]
    if not long_enough:
        longest = max((len(stream) for _, stream in streams), default=0)
        raise UserError("published.too_short", tokens=longest, needed=card.train_length)

    def watched(done: int, total: int) -> None:
        report(done, total)
        if stop():
            raise _StoppedError

    used = [stream for _, stream in long_enough]
    try:
        model = load_model(card.name, precision)
        explored = explore(model, used, card.train_length, windows=windows, report=watched)
    except _StoppedError:
        return False
    card.explored_file.parent.mkdir(parents=True, exist_ok=True)
    about = {"names": [name for name, _ in long_enough], "windows": len(set(explored.window.tolist()))}
    write_json(_file(card), about)
    partial = card.explored_file.with_suffix(".partial")
    explored.save(partial)
    partial.replace(card.explored_file)
    return True


def _file(card: ModelCard) -> Path:
    return card.explored_file.with_suffix(".json")
