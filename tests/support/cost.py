"""Costs that were made up: sizes, points on known curves, and a clockwork in place of models."""

from __future__ import annotations

from collections.abc import Callable

from model.studies.cost import READERS, CostResult, CostTask, Point, Sizes
from model.studies.cost.plan import LEAST

GIGABYTE = 1_000_000_000
TASK = CostTask(model="tiny", weights="w", device="cpu", machine="a machine")
SIZES = Sizes(
    parameters=500_000,
    transformer=499_000,
    state=140_000,
    kept_per_token=2048,
    layers=2,
    d_model=128,
    vocab_size=2048,
    threads=2,
    segment=512,
)


def seconds_of(reader: str, length: int) -> float:
    """A recurrent model takes a constant time per token, a Transformer less at first and more later."""
    if reader == "transformer":
        return 0.002 + 1e-5 * length + 2e-9 * length**2
    return 0.005 + (3e-5 if reader == "recorded" else 2e-5) * length


def a_point(reader: str, length: int) -> Point:
    """The point of ``reader`` at ``length`` on those curves."""
    seconds = seconds_of(reader, length)
    repeats = max(1, min(9, round(LEAST / seconds)))
    step = None if reader == "recorded" else 0.001 + (1e-7 * length if reader == "transformer" else 0)
    held = SIZES.memory(reader, length)
    return Point(
        reader=reader, length=length, seconds=seconds, step=step, held=held, repeats=repeats, spent=repeats * seconds
    )


def a_clockwork() -> tuple[Callable[[str, int], Point], Callable[[], float]]:
    """What measures without a model, and how many seconds it has pretended to take."""
    points: list[Point] = []

    def measure(reader: str, length: int) -> Point:
        points.append(a_point(reader, length))
        return points[-1]

    return measure, lambda: sum(point.spent for point in points)


def made_up(points: bool = True, task: CostTask = TASK) -> CostResult:
    """A result with nine lengths of every reader, or with none."""
    lengths = [256 * 2**power for power in range(9)] if points else []
    found = tuple(a_point(reader, length) for reader in READERS for length in lengths)
    return CostResult(task=task, sizes=SIZES, points=found, budget=60, complete=points)
