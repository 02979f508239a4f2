"""A verdict for every claim, by one rule.

    agrees       the whole 95% interval is on the side of "no effect" on which the paper puts the effect
    disagrees    the whole interval is on the other side
    not clear    the interval holds "no effect"
    no claim     nothing is published to compare with
    missing      a model, a document long enough or a reading is not there

"No effect" is the claim's ``null``: 0 for a difference, 1 for a ratio, 5% of the loss where a paper reports that
something costs nothing. Beside it stands how the size compares, where a size is published: whether our interval holds
it, or the effect is smaller or larger than that. No verdict is ever written by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model.diagnostics.collapse import PUBLISHED_LIMIT
from model.studies.evidence.claim import Claim
from model.studies.evidence.claims import CLAIMS
from model.studies.evidence.family import MITIGATED, Member
from model.studies.evidence.result import (
    SPOTS,
    DocumentReading,
    Estimate,
    EvidenceResult,
    drawn,
    growth_of,
    mean_of,
    ratio_of,
    recall_draws,
    recalled,
    slope_of,
)
from model.studies.extension import MULTIPLES, is_monotone, rise

AGREES, DISAGREES, UNCLEAR, NO_CLAIM, MISSING = "agrees", "disagrees", "unclear", "no_claim", "missing"
MARKS = {AGREES: "✓", DISAGREES: "✗", UNCLEAR: "?", NO_CLAIM: "·", MISSING: "–"}
"""Signs of the verdicts, which differ in shape: colour is nowhere the only cue."""
SIZES = ("smaller", "about", "larger")


class MissingError(Exception):
    """What an estimate lacks; its text is the end of a message key ``evidence.missing_<...>``."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim with our number: ``size`` is one of :data:`SIZES` or "", ``missing`` says what is lacking."""

    claim: Claim
    estimate: Estimate | None
    verdict: str
    size: str = ""
    missing: str = ""


def findings(result: EvidenceResult) -> list[Finding]:
    """One finding per claim, in the order of the table."""
    return [_finding(claim, result) for claim in CLAIMS]


def _finding(claim: Claim, result: EvidenceResult) -> Finding:
    try:
        estimate = MEASURES[claim.measure](result, *claim.of)
    except MissingError as error:
        return Finding(claim=claim, estimate=None, verdict=MISSING, missing=str(error))
    return Finding(claim=claim, estimate=estimate, verdict=verdict(claim, estimate), size=size(claim, estimate))


def verdict(claim: Claim, estimate: Estimate) -> str:
    """The rule above."""
    if claim.direction == 0:
        return NO_CLAIM
    if estimate.low <= claim.null <= estimate.high or not math.isfinite(estimate.low + estimate.high):
        return UNCLEAR
    return AGREES if (estimate.mean > claim.null) == (claim.direction > 0) else DISAGREES


def size(claim: Claim, estimate: Estimate) -> str:
    """How the effect, as a distance from ``null`` in the published direction, compares with the published one."""
    if claim.size is None or verdict(claim, estimate) != AGREES:
        return ""
    low, high = claim.size
    if estimate.low <= high and low <= estimate.high:
        return "about"
    return "larger" if (estimate.mean > high) == (claim.direction > 0) else "smaller"


# -- what is there ----------------------------------------------------------------------------------------------------


def _member(result: EvidenceResult, role: str) -> Member:
    member = result.member(role)
    if member is None:
        raise MissingError("model")
    return member


def _read(
    result: EvidenceResult, role: str, mitigation: str = "", initial: str = "zeros"
) -> Sequence[DocumentReading | None]:
    """The readings of a role; MissingError if fewer than two documents have one.

    What was not read though all is read does not apply to the model.
    """
    found = result.of(_member(result, role), MITIGATED[mitigation] if mitigation else None, initial)
    if sum(reading is not None for reading in found) < 2:
        raise MissingError("memory" if result.complete else "reading")
    return found


def _losses(readings: Sequence[DocumentReading | None], name: str) -> np.ndarray:
    """One loss per document, NaN where there is none."""
    values = [None if reading is None else getattr(reading, name) for reading in readings]
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _excess(readings: Sequence[DocumentReading | None]) -> np.ndarray:
    return _losses(readings, "beyond") - _losses(readings, "control")


def _known(estimate: Estimate | None, lacking: str = "tokens") -> Estimate:
    if estimate is None:
        raise MissingError(lacking)
    return estimate


# -- what is measured -------------------------------------------------------------------------------------------------


def excess(result: EvidenceResult, role: str) -> Estimate:
    """Loss beyond 8 training lengths above the matched control, in nats per token."""
    return _known(mean_of(_excess(_read(result, role)).tolist()))


def criterion(result: EvidenceResult, role: str) -> Estimate:
    """Largest loss beyond the training length over the largest within it, by spans of 64 tokens."""
    return criterion_of(result, _member(result, role))


def criterion_of(result: EvidenceResult, member: Member) -> Estimate:
    """The same of any model; MissingError if fewer than two documents tell."""
    return _known(mean_of(_losses(result.of(member), "largest").tolist()))


def left(result: EvidenceResult, role: str) -> Estimate:
    """Excess of a post-trained model over that of the base."""
    ours, base = _excess(_read(result, role)), _excess(_read(result, "base"))
    return _known(ratio_of(ours.tolist(), base.tolist()), "excess")


def left_more(result: EvidenceResult, role: str, other: str) -> Estimate:
    """How much more of the base's excess ``role`` leaves than ``other``."""
    difference = _excess(_read(result, role)) - _excess(_read(result, other))
    return _known(ratio_of(difference.tolist(), _excess(_read(result, "base")).tolist()), "excess")


def cost(result: EvidenceResult, role: str) -> Estimate:
    """What a post-trained model loses within the training length, as a share of the base's loss there."""
    ours, base = _losses(_read(result, role), "within"), _losses(_read(result, "base"), "within")
    return _known(mean_of((ours / base - 1).tolist()))


def removed(result: EvidenceResult, mitigation: str) -> Estimate:
    """Share of the base's excess that a mitigation removes."""
    plain, mitigated = _read(result, "base"), _read(result, "base", mitigation)
    gone = _losses(plain, "beyond") - _losses(mitigated, "beyond")
    return _known(ratio_of(gone.tolist(), _excess(plain).tolist()), "excess")


def mitigation_cost(result: EvidenceResult, mitigation: str) -> Estimate:
    """What a mitigation costs within the training length, as a share of the loss there."""
    plain, mitigated = _losses(_read(result, "base"), "within"), _losses(_read(result, "base", mitigation), "within")
    return _known(mean_of((mitigated / plain - 1).tolist()))


def carried(result: EvidenceResult, role: str) -> Estimate:
    """What a carried initial state adds to the loss within the training length, as a share of it."""
    zeros, given = _losses(_read(result, role), "within"), _losses(_read(result, role, initial="carried"), "within")
    return _known(mean_of((given / zeros - 1).tolist()))


def carried_far(result: EvidenceResult, role: str) -> Estimate:
    """What a carried initial state adds to the loss beyond 8 training lengths, in nats per token."""
    zeros, given = _losses(_read(result, role), "beyond"), _losses(_read(result, role, initial="carried"), "beyond")
    return _known(mean_of((given - zeros).tolist()))


def extension_rise(result: EvidenceResult, role: str) -> Estimate:
    """The largest rise of the loss with the evaluation length, as a share of the loss at one training length."""
    found = [losses for losses in result.extension(_member(result, role)) if losses]
    if len(found) < 2:
        raise MissingError("reading")
    return _known(mean_of([rise(losses) / losses[0] for losses in found]))


def extension_curve(result: EvidenceResult, role: str) -> list[tuple[int, Estimate]]:
    """The loss by evaluation length minus that at one training length, in nats, as far as documents reach."""
    member = result.member(role)
    found = [losses for losses in result.extension(member) if losses] if member is not None else []
    curve = []
    for place, multiple in enumerate(MULTIPLES):
        grown = mean_of([losses[place] - losses[0] for losses in found if len(losses) > place])
        if grown is not None:
            curve.append((multiple, grown))
    return curve


def monotone(result: EvidenceResult, role: str) -> tuple[int, int]:
    """On how many documents, of how many, the loss never rises with the evaluation length."""
    member = result.member(role)
    found = [losses for losses in result.extension(member) if losses] if member is not None else []
    return sum(map(is_monotone, found)), len(found)


def loss_more(result: EvidenceResult, role: str, other: str) -> Estimate:
    """How much more ``role`` loses within the training length than ``other``, in nats per token."""
    ours, theirs = _losses(_read(result, role), "within"), _losses(_read(result, other), "within")
    return _known(mean_of((ours - theirs).tolist()))


def reach_more(result: EvidenceResult, role: str, other: str) -> Estimate:
    """Doublings by which the gradient reaches farther back in ``role`` than in ``other``.

    Where it has not vanished within the training length, that length counts.
    """
    ours, theirs = (result.reach(_member(result, who)) for who in (role, other))
    return _doublings_more(*([None if one is None else one.reach for one in found] for found in (ours, theirs)))


def context_more(result: EvidenceResult, role: str, other: str) -> Estimate:
    """Doublings by which the effective context of ``role`` is longer than that of ``other``."""
    return _doublings_more(*(result.context(_member(result, who)) for who in (role, other)))


def _doublings_more(ours: Sequence[float | None], theirs: Sequence[float | None]) -> Estimate:
    """The mean over documents of log2 of two distances in tokens, each at least one token."""
    pairs = [(mine, other) for mine, other in zip(ours, theirs, strict=True) if mine is not None and other is not None]
    if len(pairs) < 2:
        raise MissingError("reading")
    return _known(mean_of([math.log2(max(mine, 1) / max(other, 1)) for mine, other in pairs]))


def _states(result: EvidenceResult, role: str, quantity: str, spot: float) -> np.ndarray:
    readings = _read(result, role)
    if not any(reading.norms for reading in readings if reading is not None):
        raise MissingError("memory")
    values = [None if reading is None else reading.at(quantity, spot) for reading in readings]
    return np.array([math.nan if value is None else value for value in values], np.float64)


def growth(result: EvidenceResult, role: str, quantity: str, spot: str) -> Estimate:
    """The state's norm or spread at ``spot`` training lengths over that at one."""
    grown = _states(result, role, quantity, float(spot)) / _states(result, role, quantity, 1)
    return _known(growth_of(grown.tolist()))


def flatter(result: EvidenceResult, role: str, quantity: str, spot: str) -> Estimate:
    """By how much the base's states grow more than those of ``role``."""
    grown = [_states(result, who, quantity, float(spot)) / _states(result, who, quantity, 1) for who in ("base", role)]
    return _known(growth_of((grown[0] / grown[1]).tolist()))


def larger(result: EvidenceResult, role: str, quantity: str) -> Estimate:
    """The state's norm or spread at one training length over that of the base."""
    return _known(growth_of((_states(result, role, quantity, 1) / _states(result, "base", quantity, 1)).tolist()))


def norm_curve(result: EvidenceResult, role: str) -> list[tuple[float, Estimate]]:
    """The norm of the states at each spot over that at the training length, for the spots that documents reach."""
    readings = result.of(_member(result, role))
    if sum(reading is not None for reading in readings) < 2:
        return []
    curve = []
    for spot in SPOTS:
        found = growth_of((_states(result, role, "norm", spot) / _states(result, role, "norm", 1)).tolist())
        if found is not None:
            curve.append((float(spot), found))
    return curve


def collapse_estimate(result: EvidenceResult, member: Member) -> Estimate | None:
    """Loss over control beyond 8 training lengths, over documents; None if fewer than two are long enough."""
    return mean_of(collapse_ratios(result, member).tolist())


def criterion_met(result: EvidenceResult, member: Member) -> tuple[int, int]:
    """On how many documents, of how many, the published criterion of collapse is met."""
    largest = _losses(result.of(member), "largest")
    return int((largest > PUBLISHED_LIMIT).sum()), int(np.isfinite(largest).sum())


def series(result: EvidenceResult, axis: str) -> list[Member]:
    """The models of the capacity series along ``axis``, "state_size" or "train_length".

    In the middle stands the series' own model of the base's sizes, which learned for as long as the others did; the
    base itself only if there is none.
    """
    base = _member(result, "base")
    other = "train_length" if axis == "state_size" else "state_size"
    line = [m for m in result.members if m.role == "series" and getattr(m, other) == getattr(base, other)]
    if not any(getattr(member, axis) == getattr(base, axis) for member in line):
        line.append(base)
    return sorted(line, key=lambda member: getattr(member, axis))


def _doublings(result: EvidenceResult, axis: str) -> tuple[list[Member], np.ndarray]:
    found = series(result, axis)
    if len(found) < 3:
        raise MissingError("series")
    return found, np.log2([getattr(member, axis) for member in found])


def collapse_ratios(result: EvidenceResult, member: Member) -> np.ndarray:
    """Loss over control beyond 8 training lengths, one per document, NaN where there is none."""
    readings = result.of(member)
    return _losses(readings, "beyond") / _losses(readings, "control")


def forget_slope(result: EvidenceResult, axis: str) -> Estimate:
    """Change of the collapse ratio per doubling of ``axis``."""
    found, x = _doublings(result, axis)
    curves = np.stack([collapse_ratios(result, member) for member in found], axis=1)
    whole = np.isfinite(curves).all(axis=1)
    return _known(slope_of(x.tolist(), curves[whole].tolist()))


def recall_estimate(result: EvidenceResult, member: Member) -> Estimate:
    """The longest recalled length, in tokens; half the shortest tested where none is recalled."""
    answers = result.answers(member)
    if not answers:
        raise MissingError("reading")
    found = drawn(recall_draws(answers), math.log2(recalled(answers) or min(answers) / 2), _questions(answers))
    return Estimate(2**found.mean, 2**found.low, 2**found.high, found.count)


def _questions(answers: dict[int, tuple[int, int]]) -> int:
    return max(trials for _, trials in answers.values())


def recall_slope(result: EvidenceResult, axis: str) -> Estimate:
    """Doublings of the longest recalled length per doubling of ``axis``."""
    found, x = _doublings(result, axis)
    centred = (x - x.mean()) / ((x - x.mean()) @ (x - x.mean()))
    means = [math.log2(recall_estimate(result, member).mean) for member in found]
    answers = [result.answers(member) for member in found]
    draws = np.stack([recall_draws(given, seed=100 * place) for place, given in enumerate(answers)])
    return drawn(centred @ draws, float(centred @ np.array(means)), min(map(_questions, answers)))


def recall_more(result: EvidenceResult, role: str, other: str) -> Estimate:
    """Doublings by which ``role`` recalls farther than ``other``."""
    pair = [_member(result, role), _member(result, other)]
    means = [math.log2(recall_estimate(result, member).mean) for member in pair]
    answers = [result.answers(member) for member in pair]
    first, second = (recall_draws(given, seed=100 * place) for place, given in enumerate(answers))
    return drawn(first - second, means[0] - means[1], min(map(_questions, answers)))


MEASURES: dict[str, Callable[..., Estimate]] = {
    function.__name__: function
    for function in (
        excess,
        criterion,
        left,
        left_more,
        cost,
        removed,
        mitigation_cost,
        carried,
        carried_far,
        growth,
        flatter,
        larger,
        extension_rise,
        loss_more,
        reach_more,
        context_more,
        forget_slope,
        recall_slope,
        recall_more,
    )
}
"""What a claim may name; each takes the result and the claim's arguments, and raises MissingError."""
