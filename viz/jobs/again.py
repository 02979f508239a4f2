"""What a job needs to read a recording again."""

from __future__ import annotations

from pathlib import Path

from model.checkpoints.catalogue import model_card
from model.errors import UserError
from model.recording.reader import Recording
from viz.app import session


def source_of(recording: Recording) -> Path | None:
    """What the carried state of a recording comes from; UserError if it is not here, or the model is another now."""
    experiment = recording.experiment
    if model_card(experiment.model).weights != experiment.weights:
        raise UserError("reading.other_weights", model=experiment.model)
    source = session.find(experiment.strategy.source)
    if experiment.strategy.source and source is None:
        raise UserError("reading.no_source")
    return None if source is None else source.path
