"""Comparing passkey results: published intervals of differences, common grids, and lengths with their intervals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.studies.passkey import Cell
from model.studies.passkey.compare import difference, differences, on_common_grid, recall_interval
from tests.support.passkey import a_result


@pytest.mark.parametrize(
    ("second", "first", "low", "high"),
    # Newcombe 1998 (Statistics in Medicine 17: 873-890), table II, method 10.
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090)],
)
def test_newcombe_gives_the_published_intervals(second, first, low, high):
    found = difference(Cell(*first, 0.5), Cell(*second, 0.5))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert found.clear and found.low < found.mean < found.high
    back = difference(Cell(*second, 0.5), Cell(*first, 0.5))
    assert (back.mean, back.low, back.high) == pytest.approx((-found.mean, -found.high, -found.low))


def test_equal_cells_do_not_differ_and_only_common_ones_are_compared():
    first, second = a_result([[10, 10, None], [10, 0, 0]]), a_result([[10, 0, 3], [None, 1, 0]])
    found = differences(first, second)
    assert found.keys() == {(32, 0.0), (64, 0.0), (64, 1.0), (128, 1.0)}
    assert [cell for cell, value in found.items() if value.clear] == [(64, 0.0)]
    assert found[128, 1.0].mean == 0


def test_results_of_different_grids_are_compared_where_they_meet():
    short, long = a_result([[10, 9], [8, 7]]), a_result([[10, 9, 5], [3, 3, 3], [8, 7, 1]])
    pair = on_common_grid(short, long)
    assert pair is not None
    for result in pair:
        assert result.lengths == [32, 64] and result.task.depths == (0.0, 1.0) and result.complete
    assert pair[1].cells[64, 1.0].correct == 7
    other = replace(long, task=replace(long.task, lengths=(1000,)))
    assert on_common_grid(short, other) is None


def test_the_recalled_length_lies_within_its_interval():
    unclear = a_result([[10, 10, 9, 0], [10, 10, 10, 0]])
    low, high = recall_interval(unclear)
    assert low <= unclear.t_recall <= high and high >= 128
    sure = a_result([[10, 10, 0, 0]] * 30)
    assert sure.t_recall == 64 and recall_interval(sure) == (64, 64)
    assert recall_interval(a_result([[0, 0], [0, 0]])) == (0, 0)
    assert recall_interval(a_result([[None, None], [0, 0]])) is None
