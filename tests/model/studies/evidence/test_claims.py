"""Intervals on known data, the rule of the verdicts, and the claims on a result that was made up."""

from __future__ import annotations

import math

import numpy as np
import pytest

from model.interventions.mitigations import MITIGATIONS
from model.messages import LANGUAGES, message
from model.studies.evidence import (
    CLAIMS,
    Estimate,
    EvidenceResult,
    EvidenceTask,
    findings,
)
from model.studies.evidence.claim import GROUPS, PAPERS
from model.studies.evidence.family import MITIGATED, POST_TRAINED
from model.studies.evidence.findings import (
    MEASURES,
    size,
    verdict,
)
from model.studies.evidence.report import printed, table
from model.studies.evidence.result import growth_of, mean_of, ratio_of, recall_draws, recalled, slope_of, surely_failed
from tests.support.evidence import claim, made_up


def test_a_mean_has_students_interval() -> None:
    from scipy.stats import t as student

    values = [0.2, 0.5, 0.1, 0.4, math.nan, 0.3]
    found = mean_of(values)
    half = student.ppf(0.975, 4) * np.nanstd(values, ddof=1) / math.sqrt(5)
    assert (found.mean, found.low, found.high) == pytest.approx((0.3, 0.3 - half, 0.3 + half), abs=1e-4)
    assert found.count == 5
    assert mean_of([1.0]) is None and mean_of([math.nan, 1.0]) is None


def test_a_ratio_is_exact_where_it_is_the_same_everywhere_and_undefined_over_nothing() -> None:
    y = [1.0, 2.0, 1.5, 1.2]
    found = ratio_of([0.25 * value for value in y], y)
    assert (found.mean, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))
    assert ratio_of([1.0, 1.0, 1.0], [-0.5, 0.4, 0.1]) is None


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = []
    for _ in range(400):
        y = rng.normal(1.5, 0.3, 5)
        found = ratio_of((0.3 * y + rng.normal(0, 0.1, 5)).tolist(), y.tolist())
        held.append(found is not None and found.low <= 0.3 <= found.high)
    assert 0.91 < np.mean(held) < 0.99


def test_growth_and_slopes() -> None:
    assert growth_of([2.0, 2.0, 2.0]).mean == pytest.approx(2)
    assert growth_of([1.0, 4.0]).mean == pytest.approx(2)
    found = slope_of([0, 1, 2], [[1, 3, 5], [0, 3, 6]])
    assert (found.mean, found.count) == (pytest.approx(2.5), 2)


def test_the_longest_recalled_length_and_its_draws() -> None:
    answers = {128: (120, 120), 256: (119, 120), 512: (116, 120), 1024: (35, 120)}
    assert recalled(answers) == 512
    draws = recall_draws(answers)
    assert set(np.unique(draws)) <= {6.0, 7.0, 8.0, 9.0} and np.median(draws) == 9
    assert recalled({128: (50, 120), 256: (120, 120)}) is None  # a gap ends it
    assert surely_failed(35, 120) and surely_failed(105, 120) and not surely_failed(113, 120)


@pytest.mark.parametrize(
    ("key", "interval", "expected"),
    [
        ("base_excess", (0.2, 0.4), "agrees"),
        ("base_excess", (-0.4, -0.2), "disagrees"),
        ("base_excess", (-0.1, 0.4), "unclear"),
        ("base_excess", (-math.inf, math.inf), "unclear"),
        ("left_carried", (0.0, 0.1), "agrees"),
        ("left_carried", (1.1, 1.3), "disagrees"),
        ("left_carried", (0.8, 1.2), "unclear"),
        ("cost_carried", (-0.01, 0.02), "agrees"),  # a cost below 5% is none
        ("cost_carried", (0.06, 0.09), "disagrees"),
        ("cost_carried", (0.03, 0.09), "unclear"),
        ("left_zeros", (0.0, 0.1), "no_claim"),
    ],
)
def test_the_rule(key: str, interval: tuple[float, float], expected: str) -> None:
    low, high = interval
    assert verdict(claim(key), Estimate((low + high) / 2, low, high, 5)) == expected


def test_sizes_are_compared_in_the_published_direction() -> None:
    def sized(key: str, low: float, high: float) -> str:
        return size(claim(key), Estimate((low + high) / 2, low, high, 5))

    assert sized("left_gaussian", 0.1, 0.2) == sized("std_base", 1.5, 1.8) == "about"
    assert sized("left_gaussian", 0.4, 0.6) == sized("std_base", 1.2, 1.5) == "smaller"
    assert sized("left_gaussian", 0.01, 0.05) == sized("std_base", 2.5, 3.0) == "larger"
    assert sized("left_gaussian", 0.9, 1.4) == sized("base_excess", 0.1, 0.2) == ""


def test_every_claim_can_be_said_and_measured() -> None:
    assert len({claim.key for claim in CLAIMS}) == len(CLAIMS)
    for one in CLAIMS:
        assert one.measure in MEASURES and one.group in GROUPS and one.paper in PAPERS and one.mark in "PAFS"
        assert one.direction in (-1, 0, 1)
    keys = {one.key for one in CLAIMS}
    assert {f"left_{role}" for role in POST_TRAINED} <= keys
    assert {f"{what}_{name}" for name in MITIGATED for what in ("removed", "cost")} <= keys
    assert {name for name, row in MITIGATIONS.items() if not row.cells} < set(MITIGATED)
    empty = EvidenceResult(task=EvidenceTask(base="x", documents=(("a", "1"), ("b", "2"))), members=())
    for language in LANGUAGES:
        rows = table(empty, language)
        assert len(rows) == len(CLAIMS) and all(row["verdict"] == "missing" for row in rows)
        assert message("evidence.missing_model", language) in printed(empty, language)


def test_a_made_up_family_gets_the_verdicts_that_it_was_made_for() -> None:
    by_key = {finding.claim.key: finding for finding in findings(made_up())}
    assert not [finding.claim.key for finding in by_key.values() if finding.missing]
    for key in ("base_excess", "left_carried", "left_gaussian", "more_zeros", "carried_base", "removed_rri"):
        assert by_key[key].verdict == "agrees", key
    for key in ("forget_state", "forget_length", "recall_state", "flatter_carried", "std_base"):
        assert by_key[key].verdict == "agrees", key
    assert by_key["base_criterion"].verdict == "disagrees"  # 1.5 is below the published limit of 2
    assert by_key["recall_state"].estimate.mean == pytest.approx(1, abs=0.01)
    assert by_key["left_gaussian"].size == "about"
    for key in ("extension_base", "extension_zeros", "extension_carried", "extension_tbtt", "scrn_reach_more"):
        assert by_key[key].verdict == "agrees", key
    assert by_key["extension_base"].estimate.mean == pytest.approx(2.4 / 4.02, abs=0.01)
    assert by_key["scrn_context_more"].estimate.mean == pytest.approx(2)
    assert by_key["extension_delta"].verdict == "no_claim"
