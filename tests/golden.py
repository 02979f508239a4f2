"""The golden numbers: what the shipped model does on two samples and in one passkey cell. ``python -m tests.golden``.

They were written before the tree was rebuilt, and a change that moves them has changed the science. Run the command
only when the shipped weights or a published definition change, and say so in the commit.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from model.checkpoints.catalogue import DEFAULT
from model.documents.document import Document, read_path
from model.reading.prepare import prepare
from model.reading.runner import run
from model.studies.passkey.result import PasskeyResult
from model.studies.passkey.run import measure, reader_of
from model.studies.passkey.task import PasskeyTask
from sample_data import SAMPLES, sample_path

FILE = Path(__file__).with_name("golden.json")
DOCUMENTS = ("equipment_spec_en", "plant_log_ja")
SPOTS = (256, 2048, 16384, 61440)
"""Tokens at which the norm of every layer is looked at: the training length, and 8, 64 and 240 times that."""
FIGURES = ("loss_within", "loss_beyond", "control_loss_beyond", "collapse_onset", "unexplored_fraction", "norm_growth")


def of_document(sample: str) -> dict[str, Any]:
    """Losses, onset, unexplored share and norms (layer by spot, mean over heads) of one sample, read from scratch."""
    text = read_path(sample_path(sample)).text
    with tempfile.TemporaryDirectory() as folder:
        recording = run(prepare(Document.of(text, SAMPLES[sample].file), DEFAULT), Path(folder))
        rows = np.searchsorted(recording.array("position"), SPOTS)
        norms = recording.array("norm")[rows].mean(axis=-1).T  # (layers, spots)
        figures = {name: recording.summary[name] for name in FIGURES}
    return figures | {"tokens": recording.experiment.tokens, "norms": norms.tolist()}


def of_passkey() -> dict[str, Any]:
    """Hits and digit accuracy of two cells: one within the training length, one far beyond."""
    task = PasskeyTask(language="en", lengths=(256, 4096), depths=(0.5,), trials=10)
    result = measure(PasskeyResult(task=task, reader=reader_of(DEFAULT)))
    return {
        f"{length}": {"hits": cell.correct, "probability": cell.probability}
        for (length, _), cell in result.cells.items()
    }


def golden() -> dict[str, Any]:
    """All of them."""
    return {"documents": {sample: of_document(sample) for sample in DOCUMENTS}, "passkey": of_passkey()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(golden(), indent=1) + "\n")
