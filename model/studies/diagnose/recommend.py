"""Compare strategies that were measured, and decide: which is best, which are equally good, what to do.

    gain = (excess of the plain reading - excess) - (loss within T - that of the plain reading)      nats per token

What a strategy takes from the excess loss far beyond the training length T, less what it adds to the loss within T: a
nat is worth the same in both places. The strategy with the largest gain is the best. Every difference is paired: block
by block of the same tokens far beyond T, and window by window of the same tokens within T. The two are of different
text, so the half-widths of their 95% intervals (Student's t) add up as the sides of a right angle. A strategy whose
interval of the difference from the best includes zero is a tie.

Of the best and its ties, those that help are looked at: gain over the plain reading above zero with 95% confidence.
Recommended is the one that costs least within T, and of those whose costs differ by less than half a percent the
simplest. A plain reading whose memory holds is recommended as it is. Only what was measured can be recommended.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from model.diagnostics.collapse import MATERIAL, half_width
from model.interventions.mitigations import MITIGATIONS
from model.studies.diagnose.result import StrategyResult
from model.studies.evidence.result import Estimate, mean_of, ratio_of

SAME_COST = 0.005
"""Share of the loss within the training length below which two costs count as the same."""


def compared(results: Sequence[StrategyResult]) -> tuple[StrategyResult, ...]:
    """``results``, sorted, the best gain first, with what only a comparison gives; those without numbers come last."""
    plain = next((result for result in results if result.plain), None)
    measured = [result for result in results if result.blocks and result.windows]
    others = [replace(result, behind=None, tie=False) for result in results if result not in measured]
    found = [_against_plain(result, plain) for result in measured]
    found.sort(key=lambda result: (total(result), effort(result)))
    if not found:
        return tuple(others)
    best = found[0]
    rest = [replace(result, behind=(gap := difference(result, best)), tie=gap.low <= 0) for result in found[1:]]
    return (replace(best, behind=None, tie=False), *rest, *others)


def _against_plain(result: StrategyResult, plain: StrategyResult | None) -> StrategyResult:
    """``result`` with its excess, and with what it gains and costs over the ``plain`` reading if that has numbers."""
    excess = mean_of(result.blocks)
    if plain is None or not plain.blocks:
        return replace(result, excess=excess, removed=None, cost=None, gain=None, speed=None)
    left = None if holds(replace(plain, excess=mean_of(plain.blocks))) else ratio_of(result.blocks, plain.blocks)
    cost = ratio_of(result.windows, plain.windows)
    speed = None
    if result.tokens_per_second and plain.tokens_per_second:
        speed = result.tokens_per_second / plain.tokens_per_second
    return replace(
        result,
        excess=excess,
        removed=None if left is None else Estimate(1 - left.mean, 1 - left.high, 1 - left.low, left.count),
        cost=None if cost is None else Estimate(cost.mean - 1, cost.low - 1, cost.high - 1, cost.count),
        gain=difference(plain, result),
        speed=speed,
    )


def total(result: StrategyResult) -> float:
    """Excess far beyond T plus loss within it, nats: the smaller, the better."""
    return float(np.mean(result.blocks) + np.mean(result.windows))


def difference(one: StrategyResult, other: StrategyResult) -> Estimate:
    """By how much the :func:`total` of ``one`` is above that of ``other``, paired, with its 95% interval."""
    beyond = np.subtract(one.blocks, other.blocks)
    within = np.subtract(one.windows, other.windows)
    mean = float(beyond.mean() + within.mean())
    half = math.hypot(_half(beyond), _half(within))
    return Estimate(mean, mean - half, mean + half, len(beyond))


def _half(values: np.ndarray) -> float:
    """Half of the interval of the mean of ``values``; 0 for one, which has none."""
    return float(half_width(values)) if len(values) > 1 else 0.0


def effort(result: StrategyResult) -> int:
    """How much has to be changed: nothing, a suggested mitigation, another setting, several of them, the weights."""
    settings = result.strategy.mitigations
    if result.plain:
        return 0
    if result.post_trained:
        return 4
    if len(settings) > 1:
        return 3
    suggested = all(value == MITIGATIONS[name].suggested for name, value in settings if name in MITIGATIONS)
    return 1 if settings and suggested and result.strategy.initial_state == "zeros" else 2


def recommended(sorted_results: Sequence[StrategyResult], case: str) -> StrategyResult | None:
    """The strategy to use among ``sorted_results`` of :func:`compared`, for a plain reading whose verdict is ``case``.

    None where nothing helps, or nothing was measured.
    """
    plain = next((result for result in sorted_results if result.plain and result.blocks), None)
    if plain is not None and case.startswith("holds"):
        return plain
    if plain is None:  # it broke down, so nothing can be held against it: what has no excess of its own will do
        sound = [result for result in sorted_results if result.blocks and holds(result)]
        return cheapest(sound[:1] + [result for result in sound[1:] if result.tie])
    helping = [result for result in sorted_results if result.helps]
    if not helping:
        return plain if case == "unclear" else None
    return cheapest([result for result in helping if result.tie or result.behind is None] or helping[:1])


def cheapest(results: Sequence[StrategyResult]) -> StrategyResult | None:
    """The one that costs least within T, and of those with about that cost the simplest; None of none."""
    if not results:
        return None
    costs = [float(np.mean(result.windows)) for result in results]
    least = min(costs)
    close = [result for result, cost in zip(results, costs, strict=True) if cost <= least * (1 + SAME_COST)]
    return min(close, key=effort)


def holds(result: StrategyResult) -> bool:
    """Whether its excess is below 5% of the loss with a fresh state, with 95% confidence: as the verdict counts."""
    if result.excess is None or result.loss_beyond is None:
        return False
    return result.excess.high <= MATERIAL * (result.loss_beyond - result.excess.mean)
