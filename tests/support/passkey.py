"""A passkey task, a result with given cells, and a document to hide keys in."""

from __future__ import annotations

from model.experiment import Strategy
from model.studies.passkey import (
    Cell,
    PasskeyResult,
    PasskeyTask,
    Reader,
    doubling_lengths,
    even_depths,
)

DOCUMENT = "圧力計の点検記録。Pump 7 was checked 🙂 twice.\n異常は見つからなかった。\n" * 40


def a_task(**changes) -> PasskeyTask:
    settings = {"language": "en", "lengths": (120, 240), "depths": (0.0, 0.5, 1.0), "trials": 2, "digits": 2}
    return PasskeyTask(**{**settings, **changes})


def empty(task: PasskeyTask) -> PasskeyResult:
    return PasskeyResult(task=task, reader=Reader(model="tiny"))


def a_result(accuracies: list[list[int | None]], **changes) -> PasskeyResult:
    """Right answers of ten, (depths, lengths); None was not run."""
    depths, lengths = even_depths(len(accuracies)), doubling_lengths(64, 2 ** (len(accuracies[0]) - 2))
    task = a_task(lengths=lengths, depths=depths, trials=10)
    cells = {
        (length, depth): Cell(right, 10, right / 10)
        for depth, row in zip(depths, accuracies, strict=True)
        for length, right in zip(lengths, row, strict=True)
        if right is not None
    }
    return PasskeyResult(
        task=task, reader=Reader(model="tiny", train_length=64, strategy=Strategy(**changes)), cells=cells, seconds=2.5
    )
