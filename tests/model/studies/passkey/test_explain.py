"""A cell looked at closely is the cell that was counted, and the memory on the way is the memory of that reading."""

from __future__ import annotations

import numpy as np
import pytest

from model.experiment import Strategy
from model.studies.passkey import PasskeyResult, Prompts, measure, reader_of
from model.studies.passkey.explain import explain
from tests.support.passkey import a_task
from tests.support.tiny import make_tiny_checkpoint

CELL = (150, 0.5)


@pytest.fixture
def tiny(home):
    return make_tiny_checkpoint(home)


@pytest.mark.parametrize("settings", [{}, {"window": 100}])
def test_a_cell_explained_is_the_cell_counted(tiny, settings, monkeypatch):
    monkeypatch.setattr("model.studies.passkey.explain.WORK", 2 * 2 * 64 * 512)  # two trials at a time
    monkeypatch.setattr("model.reading.stream.SEGMENT", 64)
    task = a_task(question="pairs", count=2, lengths=(CELL[0],), depths=(CELL[1],), trials=5)
    reader = reader_of(tiny, Strategy.of(mitigations=settings))
    counted = measure(PasskeyResult(task=task, reader=reader)).cells[CELL]
    read: list[int] = []
    found = explain(task, reader, CELL, passed=lambda tokens: bool(read.append(tokens)))
    assert found is not None and sum(found.correct) == counted.correct
    assert found.probability.mean() == pytest.approx(counted.probability, rel=1e-4)
    assert ["".join(symbols) for symbols in found.right] == list(found.keys)
    assert read == sorted(read) and read[-1] <= CELL[0] * 5
    assert found.norms.shape == (5, len(found.position), 2) and (np.diff(found.position) > 0).all()
    assert found.position[0] == 0 and (found.norms[:, 0] == 0).all()
    assert all(begin < end <= query for (begin, end), query in zip(found.needles, found.queries, strict=True))


def test_norms_are_those_of_the_states(tiny):
    import torch

    from model.checkpoints.catalogue import load_model, load_tokenizer_of

    task = a_task(lengths=(CELL[0],), depths=(CELL[1],), trials=1)
    found = explain(task, reader_of(tiny), CELL)
    assert found is not None
    prompt = Prompts(task, load_tokenizer_of(tiny)).prompt(*CELL, 0)
    for place in (1, 2):
        ids = torch.from_numpy(prompt.ids[None, : found.position[place]])
        with torch.inference_mode():
            _, state = load_model(tiny).hidden(ids)
        norms = [float(layer.memory.state.norm()) for layer in state]
        assert found.norms[0, place] == pytest.approx(norms, rel=1e-4)


def test_it_stops_when_told_to(tiny):
    assert explain(a_task(), reader_of(tiny), CELL, passed=lambda tokens: True) is None
