"""The golden numbers hold: see :mod:`tests.golden`.

Losses, norms and shares may differ by 0.1 % (1e-3): float32 sums run in another order on another number of threads or
another CPU, and what was measured between one thread and two is below 1e-4. The onset is a place, decided by a
threshold on smoothed losses, and may move by one chunk (64 tokens). Hits are counts and must not change.
"""

import json

import pytest

from tests.golden import DOCUMENTS, FIGURES, FILE, of_document, of_passkey

GOLDEN = json.loads(FILE.read_text("utf-8"))
ROUNDING = 1e-3
CHUNK = 64


@pytest.mark.parametrize("sample", DOCUMENTS)
def test_a_sample_reads_as_it_always_has(sample):
    found, golden = of_document(sample), GOLDEN["documents"][sample]
    assert found["tokens"] == golden["tokens"]
    assert found["collapse_onset"] == pytest.approx(golden["collapse_onset"], abs=CHUNK)
    for name in FIGURES:
        if name != "collapse_onset":
            assert found[name] == pytest.approx(golden[name], rel=ROUNDING), name
    for layer, expected in zip(found["norms"], golden["norms"], strict=True):
        assert layer == pytest.approx(expected, rel=ROUNDING)


def test_a_passkey_cell_is_answered_as_it_always_was():
    found, golden = of_passkey(), GOLDEN["passkey"]
    assert found.keys() == golden.keys()
    for length, cell in golden.items():
        assert found[length]["hits"] == cell["hits"]
        assert found[length]["probability"] == pytest.approx(cell["probability"], abs=ROUNDING)
