"""The passkey protocol as it is written: cell by cell, prompts in batches through the one loop of segments.

Short lengths come first. :mod:`.fork`, which does the work for the app, is held against this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from kernels.types import Scan
from model.arch.lm import LanguageModel
from model.reading.stream import SEGMENT
from model.state import State
from model.studies.passkey.answer import answer, cell_of
from model.studies.passkey.prompts import Prompts
from model.studies.passkey.result import WORK, PasskeyResult, Report


def run_passkey(
    model: LanguageModel,
    prompts: Prompts,
    begun: PasskeyResult,
    *,
    scans: Sequence[Scan] | None = None,
    state: State | None = None,
    rows: int | None = None,
    report: Report = lambda result, done: None,
    stop: Callable[[], bool] = lambda: False,
) -> PasskeyResult:
    """Run the cells of ``begun.task`` that ``begun`` lacks, from ``state`` (of one row) through ``scans`` (per layer).

    ``begun`` is an empty result, or one that was cancelled. ``report`` is called first, and after every segment of a
    batch. When ``stop()`` turns true, the cells that are finished are returned, at most one segment later.
    ``rows`` prompts are read side by side; without it, as many as are fastest on a CPU.
    """
    task, result = begun.task, begun
    channels = len(model.config.layers) * model.config.d_inner
    started = time.monotonic()
    done = begun.tokens
    report(result, done)
    for length in begun.lengths:
        missing = [depth for depth in task.depths if (length, depth) not in begun.cells]
        places = [(depth, trial) for depth in missing for trial in range(task.trials)]
        answers: dict[float, list[np.ndarray]] = {depth: [] for depth in missing}
        together = rows or max(1, WORK // (channels * min(length, SEGMENT)))
        for first in range(0, len(places), together):
            here = places[first : first + together]
            batch = [prompts.prompt(length, depth, trial) for depth, trial in here]

            def passed(tokens: int, before: int = done, so_far: PasskeyResult = result) -> bool:
                report(so_far, before + tokens)
                return stop()

            found = answer(model, batch, scans, state, passed)
            if found is None:
                return result
            done += length * len(batch)
            for (depth, _), digits in zip(here, found, strict=True):
                answers[depth].append(digits)
            cells = {(length, depth): cell_of(given) for depth, given in answers.items() if len(given) == task.trials}
            seconds = begun.seconds + time.monotonic() - started
            result = replace(result, cells={**result.cells, **cells}, seconds=seconds)
            report(result, done)
    return result
