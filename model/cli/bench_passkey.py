"""How much faster forked states answer a grid than the protocol as it is written, and whether the answers are the same.

The protocol reads every prompt of every cell from its start, the trials of a cell side by side. Forking has as many
rows side by side. Both run in one process, the forked run before and after the other, so a machine that slows down in
between favours neither. A few cells are run both ways before, so neither pays for what is loaded, compiled and taken
from the system once in a process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from model.checkpoints.catalogue import DEFAULT, load_tokenizer_of
from model.studies.passkey.cell_by_cell import run_passkey
from model.studies.passkey.fork import run_forked
from model.studies.passkey.prompts import Prompts
from model.studies.passkey.result import PasskeyResult
from model.studies.passkey.run import open_reader, reader_of
from model.studies.passkey.task import PasskeyTask, doubling_lengths, even_depths

ROUNDING = 1e-3
"""Difference of a cell's mean probability up to which two runs in float32 count as the same."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """What is answered: lengths from half to ``longest`` times the training length, even depths, trials."""

    model: str = DEFAULT
    longest: int = 64
    depths: int = 10
    trials: int = 20
    language: str = "en"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """``speedup`` is ``cell_by_cell_seconds`` over ``forked_seconds``; ``identical`` speaks of every cell's answers."""

    speedup: float
    identical: bool
    forked_seconds: float
    cell_by_cell_seconds: float
    largest_difference: float
    lengths: tuple[int, ...]
    depths: int
    trials: int
    model: str


def compare(grid: Grid, echo: Callable[[str], None] = lambda line: None) -> Comparison:
    """Run ``grid`` both ways."""
    reader = reader_of(grid.model)
    task = PasskeyTask(
        language=grid.language,
        lengths=doubling_lengths(reader.train_length, grid.longest),
        depths=even_depths(grid.depths),
        trials=grid.trials,
    )
    prompts = Prompts(task, load_tokenizer_of(grid.model))
    model, scans_over, state = open_reader(reader, None)
    begun = PasskeyResult(task=task, reader=reader)

    few = replace(task, depths=(0.0, 0.5))
    run_forked(
        model,
        Prompts(few, prompts.tokenizer),
        PasskeyResult(task=few, reader=reader),
        scans_over=scans_over,
        state=state,
    )
    few = replace(task, lengths=task.lengths[:4], depths=(0.0, 0.5))
    small, none = Prompts(few, prompts.tokenizer), PasskeyResult(task=few, reader=reader)
    run_passkey(model, small, none, scans=scans_over(), state=state, rows=grid.trials)

    def timed(name: str, run: Callable[[], PasskeyResult]) -> tuple[PasskeyResult, float]:
        begin = time.perf_counter()
        found = run()
        spent = time.perf_counter() - begin
        echo(f"{name}: {spent:.1f} s")
        return found, spent

    def forked() -> PasskeyResult:
        return run_forked(model, prompts, begun, scans_over=scans_over, state=state, watched=False)

    def by_cell() -> PasskeyResult:
        return run_passkey(model, prompts, begun, scans=scans_over(), state=state, rows=grid.trials)

    found, first = timed("forked", forked)
    right, spent = timed("cell by cell", by_cell)
    _, second = timed("forked again", forked)
    ours = (first + second) / 2
    apart = max(abs(found.cells[place].probability - cell.probability) for place, cell in right.cells.items())
    same = all(found.cells[place][:2] == cell[:2] for place, cell in right.cells.items())
    return Comparison(
        speedup=spent / ours,
        identical=same and apart <= ROUNDING,
        forked_seconds=ours,
        cell_by_cell_seconds=spent,
        largest_difference=apart,
        lengths=task.lengths,
        depths=grid.depths,
        trials=grid.trials,
        model=grid.model,
    )
