"""How strategies are compared, and which one is recommended: from numbers alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.studies.diagnose import Sentence
from model.studies.diagnose.recommend import compared, difference, recommended
from tests.support.diagnose import diagnosis, made_up

PLAIN = made_up("plain")
NOISE = np.array([0.3, -0.2, 0.25, -0.35, 0.0])


def near(blocks: float, spread: float = 0.02) -> tuple[float, ...]:
    return tuple((blocks + spread * np.array([1, -1, 1, -1, 0])).tolist())


def test_the_share_removed_is_that_of_the_plain_excess_with_an_interval_of_the_pairs() -> None:
    half = made_up("decay", [value / 2 for value in PLAIN.blocks])
    found = {result.text: result for result in compared([PLAIN, half])}
    removed = found["decay=4"].removed
    assert removed is not None and removed.mean == pytest.approx(0.5)
    assert removed.high - removed.low < 1e-9  # half of every block: nothing is uncertain
    assert found["plain"].removed is not None and found["plain"].removed.mean == 0


def test_noise_that_both_readings_share_does_not_widen_the_difference() -> None:
    """The intervals are paired: a hard chapter is hard for every strategy."""
    plain = made_up("plain", np.array(PLAIN.blocks) + NOISE)
    other = made_up("decay", np.array(near(0.2)) + NOISE)
    paired = difference(plain, other)
    assert paired.low > 0.5 and paired.high - paired.low < 0.6
    alone = compared([plain, other])[0].excess
    assert alone is not None and alone.high - alone.low > 0.5


def test_the_best_and_what_cannot_be_told_from_it() -> None:
    best, close, far = (
        made_up("window", near(0.0)),
        made_up("decay", near(0.01, -0.03)),
        made_up("retention", near(0.5)),
    )
    found = compared([PLAIN, far, close, best])
    assert [result.text for result in found] == ["window=4", "decay=4", "retention=4", "plain"]
    assert [result.tie for result in found] == [False, True, False, False]
    assert found[0].behind is None and all(result.behind is not None for result in found[1:])


def test_of_ties_the_cheapest_then_the_simplest_is_recommended() -> None:
    windows = np.array(PLAIN.windows)
    best = made_up("window", near(-0.1, 0.05), windows + 0.05, value=64.0)
    cheap = made_up("insertion", near(0.0, -0.15), windows + 0.005, value=0.5)
    simple = made_up("decay", near(0.0, -0.15), windows + 0.01, value=256.0)  # 0.25% dearer: about the same
    found = compared([PLAIN, best, cheap, simple])
    assert found[0].text == "window=64"
    assert all(result.tie for result in found[1:] if not result.plain)
    assert recommended(found, "collapses").text == "decay=256"
    assert recommended(compared([PLAIN, best, cheap]), "collapses").text == "insertion=0.5"
    answer = diagnosis("collapses", *found, recommended=recommended(found, "collapses").recording)
    assert [result.text for result in answer.ties] == ["window=64", "insertion=0.5"]  # equally good, and not itself
    far = compared([PLAIN, made_up("decay", near(0.5)), made_up("window", near(0.0, 0.001))])
    assert diagnosis("collapses", *far, recommended=far[1].recording).ties == ()
    assert [result.text for result in diagnosis("collapses", *far).ties] == ["window=4"]


def test_what_costs_more_within_than_it_gains_beyond_is_not_recommended() -> None:
    dear = made_up("window", near(0.0), np.array(PLAIN.windows) + 1.5)
    good = made_up("decay", near(0.2))
    found = compared([PLAIN, dear, good])
    assert recommended(found, "collapses").text == "decay=4"
    assert recommended(compared([PLAIN, dear]), "collapses") is None


def test_where_nothing_helps_nothing_is_recommended() -> None:
    worse, same = made_up("decay", near(1.5)), made_up("insertion", PLAIN.blocks)
    found = compared([PLAIN, worse, same])
    assert recommended(found, "collapses") is None and recommended(found, "costs_somewhere") is None
    assert recommended(found, "unclear").plain
    assert recommended(compared([]), "collapses") is None


def test_of_an_excess_that_does_not_matter_no_share_is_given() -> None:
    small = made_up("plain", near(0.05, 0.005))
    found = compared([small, made_up("decay", near(-0.05, 0.005))])
    assert all(result.removed is None and result.gain is not None for result in found)


def test_a_memory_that_holds_is_left_as_it_is() -> None:
    assert recommended(compared([PLAIN, made_up("decay", near(-0.5))]), "holds").plain


def test_a_plain_reading_that_broke_down_leaves_only_what_holds_by_itself() -> None:
    broken = replace(PLAIN, blocks=(), windows=(), failure=Sentence("reading.cause.overflow", {}))
    harmful, sound = made_up("decay", near(0.5)), made_up("window", near(0.01))
    found = compared([broken, harmful, sound])
    assert recommended(found, "broken").text == "window=4" and found[-1].failure is not None
    assert recommended(compared([broken, harmful]), "broken") is None


NAMES = ("window", "state_norm", "insertion", "retention", "decay")
MEASURED = st.lists(st.floats(-1, 2), min_size=4, max_size=4)


@given(
    plain=MEASURED,
    others=st.lists(st.one_of(st.none(), MEASURED), min_size=1, max_size=5),
    case=st.sampled_from(["holds", "costs", "collapses", "unclear", "broken"]),
)
def test_only_what_was_measured_is_recommended(plain: list[float], others: list[list[float] | None], case: str) -> None:
    results = [made_up("plain", plain)]
    for name, blocks in zip(NAMES, others, strict=False):
        result = made_up(name, blocks or ())
        results.append(result if blocks else replace(result, failure=Sentence("reading.cause.overflow", {})))
    found = compared(results)
    best = recommended(found, case)
    assert sorted(result.recording for result in found) == sorted(result.recording for result in results)
    if best is not None:
        assert best.blocks and best.failure is None and best in found
        assert best.plain or (best.helps and best.gain.low > 0)
        if not best.plain:  # nothing that helps and is as good costs clearly less
            ties = [result for result in found if result.helps and (result.tie or result.behind is None)]
            assert np.mean(best.windows) <= min(np.mean(result.windows) for result in ties or [best]) * 1.005
