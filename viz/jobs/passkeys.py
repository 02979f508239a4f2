"""Results of the passkey test, which more than one page shows: where they are, and the job that measures them."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

from model.checkpoints.card import home
from model.studies.passkey import PasskeyResult
from viz.jobs.measurements import Measurement


def kept() -> Path:
    """The folder of results that are visible to everyone who uses this server."""
    return home() / "passkey"


TEST = Measurement("passkey", PasskeyResult, attrgetter("cells"), more=lambda: (kept(),))
"""The test: its results, and the job that runs it."""
