"""The numbers of a passkey test: right answers per length and depth, with intervals, as a small JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.errors import UserError
from model.json_file import write_json
from model.studies.passkey.task import PasskeyTask, Reader, result_key

FORMAT = 1
WORK = 1 << 20
"""Tokens times channels of all layers that are read at once, over all rows of a batch: bounds memory whatever the
length of the prompts, and the time to the next chance of stopping. Measured fastest on CPUs for the shipped model."""

RECALLED = 0.95
"""Accuracy above which a length counts as recalled (Stuffed Mamba, arXiv 2410.07145, appendix B)."""


def wilson(correct: int, trials: int) -> tuple[float, float]:
    """The interval that holds the true accuracy with 95 % confidence (Wilson 1927); (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    share, z = correct / trials, 1.959963984540054
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / scale
    # At the ends the interval touches them exactly; rounding must not say otherwise.
    return (0.0 if correct == 0 else centre - half), (1.0 if correct == trials else centre + half)


class Cell(NamedTuple):
    """One length and depth: right answers, answers, and the mean probability of a right digit."""

    correct: int
    trials: int
    probability: float

    @property
    def accuracy(self) -> float:
        """Share of keys that were given back whole."""
        return self.correct / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy."""
        return wilson(self.correct, self.trials)


@dataclass(frozen=True, kw_only=True)
class PasskeyResult:
    """Cells that were run; ``seconds`` is how long that took on the machine that did it."""

    task: PasskeyTask
    reader: Reader
    cells: dict[tuple[int, float], Cell] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name this task and reader."""
        return result_key(self.task, self.reader)

    @property
    def complete(self) -> bool:
        """Whether every cell was run."""
        return len(self.cells) == len(self.task.cells)

    @property
    def tokens(self) -> int:
        """Tokens of the prompts that were read."""
        return sum(length * cell.trials for (length, _), cell in self.cells.items())

    @property
    def lengths(self) -> list[int]:
        """The lengths of the task, short first."""
        return sorted(self.task.lengths)

    def accuracy(self) -> np.ndarray:
        """Accuracy (depths, lengths), lengths short first; NaN where nothing was run."""
        grid = np.full((len(self.task.depths), len(self.task.lengths)), math.nan)
        for column, length in enumerate(self.lengths):
            for row, depth in enumerate(self.task.depths):
                if (length, depth) in self.cells:
                    grid[row, column] = self.cells[length, depth].accuracy
        return grid

    def by_length(self) -> dict[int, Cell]:
        """All depths of a length taken together, for the lengths of which every depth was run."""
        pooled = {}
        for length in self.lengths:
            found = [self.cells[length, depth] for depth in self.task.depths if (length, depth) in self.cells]
            if len(found) == len(self.task.depths):
                probability = float(np.mean([cell.probability for cell in found]))
                pooled[length] = Cell(
                    sum(cell.correct for cell in found), sum(cell.trials for cell in found), probability
                )
        return pooled

    @property
    def t_recall(self) -> int | None:
        """The longest length, in tokens, whose accuracy over all depths is above 95 %; None if there is none."""
        recalled = [length for length, cell in self.by_length().items() if cell.accuracy > RECALLED]
        return max(recalled, default=None)

    def save(self, path: Path) -> None:
        """Write the result as JSON, whole or not at all: settings and numbers, no text."""
        path.parent.mkdir(parents=True, exist_ok=True)
        cells = [[length, depth, *cell] for (length, depth), cell in self.cells.items()]
        values = {"format": FORMAT, "task": asdict(self.task), "reader": self.reader.to_json()}
        write_json(path, {**values, "seconds": self.seconds, "cells": cells})

    @staticmethod
    def load(path: Path) -> PasskeyResult:
        """The result that :meth:`save` wrote; UserError if the file is not one."""
        try:
            values = json.loads(path.read_text("utf-8"))
            if values["format"] > FORMAT:
                raise UserError("passkey.newer", name=path.name)
            cells = {
                (int(length), float(depth)): Cell(int(correct), int(trials), float(probability))
                for length, depth, correct, trials, probability in values["cells"]
            }
            return PasskeyResult(
                task=PasskeyTask.from_json(values["task"]),
                reader=Reader.from_json(values["reader"]),
                cells=cells,
                seconds=float(values["seconds"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError("passkey.unreadable", name=path.name) from error

    @staticmethod
    def known(path: Path) -> PasskeyResult | None:
        """The result in the file ``path``; None if there is none, or it is damaged."""
        try:
            return PasskeyResult.load(path) if path.exists() else None
        except UserError:
            return None


Report = Callable[[PasskeyResult, int], None]
"""``report(what there is so far, tokens read)``"""
