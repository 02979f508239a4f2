"""Capacity: the published fits where they were made, our own through models that follow a curve, and their pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import plotly.io
import pytest
from streamlit.testing.v1 import AppTest

from model.messages import message
from model.studies.capacity import (
    REPORTED_DOUBLING,
    REPORTED_ZERO,
    follows,
    forget_brackets,
    forget_fit,
    forgetting,
    line,
    points_of_series,
    points_of_tests,
    recall_fit,
    reported_forget,
    reported_recall,
)
from model.studies.evidence import DocumentReading, Estimate, EvidenceResult, EvidenceTask, Member
from model.studies.passkey import PasskeyResult, Reader, reader_of
from tests.support.app import APP
from tests.support.passkey import a_result
from tests.support.tiny import make_tiny_checkpoint


def a_series(recalls: dict[int, int], forgets: dict[tuple[int, int], float]) -> EvidenceResult:
    """Models of state sizes that recall so far, and models of (size, training length) with that published ratio."""
    task = EvidenceTask.of([("a", "a"), ("b", "b"), ("c", "c")], tokens=4096, base="m32768-256")
    sizes = sorted({(size, 256) for size in recalls} | set(forgets))
    members, answers, readings = [], {}, {}
    for size, length in sizes:
        name = f"m{size}-{length}"
        role = "base" if name == task.base else "series"
        members.append(Member(name=name, weights="w", role=role, train_length=length, d_state=8, state_size=size))
        reader = Reader(model=name, weights="w", train_length=length)
        if length == 256 and size in recalls:
            answers |= {(reader, 64 * 2**k): (120 if 64 * 2**k <= recalls[size] else 20, 120) for k in range(6)}
        for place, (_, sha) in enumerate(task.documents):
            ratio = forgets.get((size, length), 3.0) + 0.01 * place
            readings[reader, sha] = DocumentReading(within=3.0, beyond=4.0, control=3.0, largest=ratio)
    return EvidenceResult(task=task, members=tuple(members), readings=readings, recalls=answers, complete=True)


GROWING = {16384: 128, 32768: 256, 49152: 512}


def test_published_fits_are_those_of_the_paper():
    # Stuffed Mamba, 5.2 and 5.3: 12.9 million numbers, 62K and 258K tokens.
    assert reported_forget(12.9) == pytest.approx(62_000, rel=0.01)
    assert reported_recall(12.9) == pytest.approx(258_000, rel=0.02)
    assert reported_recall(0.4) < 0 and reported_recall(REPORTED_ZERO / 1e6) == pytest.approx(0, abs=1e-9)
    assert pytest.approx(2.228e6, rel=1e-3) == REPORTED_DOUBLING


def test_a_line_through_points_on_a_line_is_that_line():
    draws = [np.full(4000, 3.0 + 2 * size) for size in (1, 2, 5)]
    fitted = line([1, 2, 5], [5.0, 7.0, 13.0], draws)
    assert fitted is not None and fitted.slope == pytest.approx((2, 2, 2))
    assert [value[0] for value in fitted.at(np.array([10.0]))] == pytest.approx([23, 23, 23])
    assert line([1, 1, 2], [1.0, 1.0, 2.0], draws) is None


def test_recall_that_doubles_is_found_to_double():
    points = points_of_series(a_series(GROWING, {}))
    assert [point.estimate.mean for point in points] == [128, 256, 512]
    best, low, high = recall_fit(points).slope
    assert best == pytest.approx(1 / 16384) and low <= best <= high
    assert recall_fit(points[:2]) is None


def test_models_of_ones_own_are_points_too():
    results = [
        replace(a_result(numbers), reader=Reader(model=name, train_length=64))
        for name, numbers in (("a", [[10, 10, 0]] * 30), ("b", [[0, 0, 0]] * 30), ("c", [[None, None, None]] * 2))
    ]
    points = points_of_tests(results, {"a": 100, "b": 50, "c": 10})
    assert [(point.name, point.estimate.mean) for point in points] == [("b", 16.0), ("a", 64.0)]
    assert (2 ** points[1].draws == 64).mean() > 0.9


def test_a_point_follows_the_law_where_its_interval_holds_it():
    points = points_of_series(a_series(GROWING, {}))
    law = reported_recall(2.0)
    assert follows(points) == [False] * 3  # the law is negative there
    beside = [
        point._replace(state_size=2_000_000, estimate=Estimate(law, law * low, law * 2, 9))
        for point, low in zip(points, (0.5, 0.9, 1.1), strict=True)
    ]
    assert follows(beside) == [True, True, False]


def test_forgetting_is_bracketed_between_training_lengths():
    ratios = {
        (size, length): 3.0 if length < 4 * size // 256 else 1.2 for size in GROWING for length in (128, 256, 1024)
    }
    result = a_series(GROWING, ratios)
    found = forgetting(result)
    assert {one.learned for one in found} == {True, False}
    brackets = forget_brackets(found)
    assert brackets == {16384: (128, 256), 32768: (256, 1024), 49152: (256, 1024)}
    fitted = forget_fit(brackets)
    assert fitted is not None and fitted.slope[0] > 0
    assert forget_fit({16384: (128, 256)}) is None


def test_the_pictures_keep_the_two_ranges_apart():
    from viz.pages.capacity.figures import forget, forget_table, recall, recall_table

    result = a_series(GROWING, {(16384, 128): 3.0})
    groups = {"series": points_of_series(result)}
    drawn = recall(groups, dark=False)
    published = drawn.data[-1]
    assert (min(published.x), max(published.x)) == (1.6e6, 12.9e6) and min(published.y) > 0
    ours = drawn.data[-2]
    assert (min(ours.x), max(ours.x)) == pytest.approx((16384, 49152))
    shown = forget(forgetting(result), None, dark=True)
    assert shown.data[-1].x[0] == 1.6e6
    assert len(recall_table(groups)) == 3 and len(forget_table(forgetting(result))) == len(result.members)
    for made in (drawn, shown):
        assert len(plotly.io.to_json(made)) < 100_000


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_page_draws_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    monkeypatch.setattr("model.checkpoints.catalogue.SHIPPED", tmp_path / "none")
    monkeypatch.setattr("viz.jobs.passkeys.TEST.shipped", tmp_path / "none")
    monkeypatch.setattr("viz.jobs.evidence.STORED", tmp_path / "evidence")
    make_tiny_checkpoint(tmp_path)

    def page() -> AppTest:
        app = AppTest.from_file(APP, default_timeout=60)
        app.context = {"locale": {"en": "en-GB", "ja": "ja-JP"}[language], "theme": "light"}
        shown = app.run().switch_page("viz/pages/capacity/page.py").run()
        assert not shown.exception and not shown.error
        return shown

    alone = page()
    assert not alone.get("plotly_chart")
    assert any(note.value == message("capacity.no_series", language) for note in alone.info)
    a_series(GROWING, {}).save(tmp_path / "evidence" / "series.json")
    shown = page()
    assert len(shown.get("plotly_chart")) == 2 and len(shown.get("latex")) == 2
    values = {"low": 16384, "high": 49152, "least": 128, "most": 512, "zero": 466_000}
    assert shown.main.header[0].value == message("capacity.finding_below", language, **values)
    task = replace(a_result([[10, 9]]).task, lengths=(256, 512))
    cells = {(8 * length, depth): cell for (length, depth), cell in a_result([[10, 9]]).cells.items()}
    tested = PasskeyResult(task=task, reader=reader_of("tiny"), cells=cells)
    tested.save(tmp_path / "passkey" / f"{tested.key}.json")
    both = page()
    assert both.multiselect(key="pk_models").value == ["tiny"]
    assert len(both.get("plotly_chart")) == 2
