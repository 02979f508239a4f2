"""A passage in a published model: attention and convolutions are carried beside its state, and in every row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.published import registry
from model.studies.passage.forgetting import follow
from model.studies.passage.heads import heads_of
from model.studies.passage.result import Passage
from model.studies.shares.run import remembered
from tests.support.published import random_model, save
from tests.support.tiny import prepared, tiny_text

TEXT = tiny_text(60, seed=3)
PASSAGE = Passage(start=40, stop=60)


def test_a_published_model_is_followed_as_it_read(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.studies.passage.result.PROBES", 4)
    monkeypatch.setattr("model.studies.passage.heads.MOST_HEADS", 3)
    name = str(save(random_model("bamba"), home / "model"))
    registry.note(name, train_length=64)
    ready = prepared(TEXT, name, control=False)
    table = heads_of(ready, PASSAGE, 120, ahead=20)
    expected = remembered(ready, 120).by_token[:, PASSAGE.start : PASSAGE.stop].sum(1)
    np.testing.assert_allclose(table.weight.sum(1), expected, atol=1e-4)
    assert table.whole is not None and np.isfinite(table.whole.loss)
    assert max(abs(effect.loss_change.mean) for effect in table.without) > 0
    found = follow(ready, PASSAGE, tmp_path)
    assert found.complete and all(np.isfinite([probe.loss, probe.without]).all() for probe in found.probes)
    at = found.probes[2]
    same = heads_of(ready, PASSAGE, PASSAGE.stop + at.distance, ahead=4)
    assert same.whole is not None and at.loss == pytest.approx(same.whole.again, abs=1e-4)
