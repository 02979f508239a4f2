"""The explored states that the states of a recording are compared with."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from model.checkpoints.catalogue import available
from model.diagnostics.explored import Explored
from model.recording.reader import Recording


def reference_of(recording: Recording) -> Explored | None:
    """The explored states of the model that made ``recording``; None if they are not available."""
    card = available().get(recording.experiment.model)
    if card is None or card.explored is None or card.weights != recording.experiment.weights:
        return None
    known = _loaded(card.explored, card.explored.stat().st_mtime_ns)
    return known if known.sketch.shape[1:] == recording.array("sketch").shape[1:] else None


@lru_cache(maxsize=4)
def _loaded(file: Path, changed: int) -> Explored:
    return Explored.load(file)
