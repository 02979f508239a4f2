"""The diagnoses that ship with the program: of the shipped weights, by today's rule, and good enough to show."""

from __future__ import annotations

import pytest

from model.checkpoints.catalogue import DEFAULT
from model.documents.document import read_path
from model.studies.diagnose import file_of, load
from model.studies.diagnose.advice import concluded
from model.studies.diagnose.strategies import candidates, question_key
from sample_data import sample_path
from tests.stored import READ
from viz.app.session import SHIPPED


@pytest.mark.parametrize("sample", READ)
def test_a_shipped_diagnosis_answers_todays_question(sample: str) -> None:
    wanted = candidates(DEFAULT)
    key = question_key(read_path(sample_path(sample)).sha256, wanted)
    found = load(file_of(SHIPPED, key))  # else: python -m tests.stored diagnoses
    assert found.complete and found.planned == len(found.strategies) == len(wanted)
    again = concluded(found, found.strategies, trainable=True)
    assert again.recommended == found.recommended and again.steps == found.steps
    best = found.best
    assert best is not None and best.removed is not None and best.cost is not None
    assert best.removed.low > 0.8 and best.cost.mean < 0.05
    assert sum(result.recall is not None for result in found.strategies) >= 4 and found.recallable
