"""Which length is measured next: lengths double, reader by reader, until the next would exceed the budget.

Nothing here knows a model: ``measure(reader, length)`` gives a point, or None if it was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from model.studies.cost.result import READERS, CostResult, Point, Sizes

FIRST, LONGEST = 256, 1 << 24
"""Tokens of the shortest and the longest reading."""
LEAST = 0.25
"""Seconds over which short readings are repeated."""
Measure = Callable[[str, int], Point | None]


def next_length(points: Sequence[Point], bounded: bool, seconds: float, fits: Callable[[int], bool]) -> int | None:
    """The length after ``points`` of one reader; None if it would take this reader past ``seconds``, or does not fit.

    Twice the tokens take at most twice as long where the memory is ``bounded``, and four times if not. The first length
    is read in any case.
    """
    if not points:
        return FIRST
    last = points[-1]
    length = 2 * last.length
    growth = 2 if bounded else 4
    expected = max(growth * last.seconds, LEAST) + (last.spent - last.repeats * last.seconds)
    spent = sum(point.spent for point in points)
    return length if spent + expected <= seconds and length <= LONGEST and fits(length) else None


def room_needed(sizes: Sizes, reader: str, length: int) -> int:
    """Bytes of reading ``length`` tokens, weights not counted.

    A cache that grows by a segment exists twice for a moment, and attention masks all pairs of a segment with what was
    before it. Token numbers take eight bytes.
    """
    masks = 0 if sizes.bounded(reader) else 5 * sizes.segment * length
    return 2 * sizes.memory(reader, length) + masks + 8 * length


def go_through(
    begun: CostResult,
    measure: Measure,
    *,
    seconds: float,
    memory: int,
    keep: Callable[[CostResult], None] = lambda result: None,
) -> CostResult:
    """Measure what ``begun`` lacks within ``seconds`` in all and ``memory`` bytes; ``keep`` gets it after each point.

    Readers have equal shares of the time, and what points of an earlier run took counts.
    """
    result = begun
    assert result.sizes is not None
    sizes = result.sizes
    for reader in READERS:

        def fits(length: int, reader: str = reader) -> bool:
            return room_needed(sizes, reader, length) <= memory

        share = seconds / len(READERS)
        while (length := next_length(result.of(reader), sizes.bounded(reader), share, fits)) is not None:
            point = measure(reader, length)
            if point is None:
                return result
            result = result.with_point(point)
            keep(result)
    return result
