"""From names to a result: which task it is on this machine, and measuring what is missing of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from model.checkpoints.catalogue import model_card
from model.errors import UserError
from model.machine import expected_device, free_memory, processor_name
from model.studies.cost.plan import go_through
from model.studies.cost.result import CostResult, CostTask, Point

SECONDS = 60.0
"""The default budget."""
SHARE = 0.5
"""Of the free memory that may be used by default."""
Report = Callable[[str, int, int], None]
"""``report(reader, length, tokens read of it)``"""


def begin(model: str, device: str = "auto") -> CostResult:
    """An empty result for ``model`` on this machine; UserError if there is no such model."""
    card = model_card(model)
    found = expected_device(device)
    return CostResult(task=CostTask(model=model, weights=card.weights, device=found, machine=processor_name(found)))


def measure_cost(
    begun: CostResult,
    *,
    seconds: float = SECONDS,
    memory: int | None = None,
    report: Report = lambda reader, length, read: None,
    keep: Callable[[CostResult], None] = lambda result: None,
    stop: Callable[[], bool] = lambda: False,
) -> CostResult:
    """Measure what ``begun`` lacks within ``seconds`` in all and ``memory`` bytes, half of what is free if None.

    ``keep`` gets the result after every point, ``report`` is called after every segment. When ``stop()`` turns true,
    the points that are finished are returned, at most one segment later.
    """
    from model.studies.cost.measure import Subjects

    if not (math.isfinite(seconds) and seconds > 0) or (memory is not None and memory <= 0):
        raise UserError("cost.budget", seconds=seconds)
    subjects = Subjects(begun.task)
    room = int(SHARE * free_memory(begun.task.device)) if memory is None else memory
    result = replace(begun, sizes=subjects.sizes, budget=seconds, complete=False)

    def measure(reader: str, length: int) -> Point | None:
        return None if stop() else subjects.measure(reader, length, stop, report)

    result = go_through(result, measure, seconds=seconds, memory=room, keep=keep)
    result = replace(result, complete=not stop())
    keep(result)
    return result
