"""The extension's curve is that of plain windows over the same tokens, its rise is exact, and the toy extrapolates."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoints.catalogue import load_model, load_tokenizer_of
from model.studies.extension import is_monotone, lengths_in, rise, toy
from model.studies.extension.measure import extension_losses
from model.tokenizer import encode
from tests.support.tiny import make_tiny_checkpoint, tiny_text


def test_the_rise_is_the_largest_from_any_length_to_a_longer_one() -> None:
    assert rise([3.0, 2.5, 2.5, 2.0]) == 0 and is_monotone([3.0, 2.5, 2.5, 2.0])
    assert rise([3.0, 2.0, 2.4, 2.1, 2.9]) == pytest.approx(0.9) and not is_monotone([3.0, 2.0, 2.1])
    assert rise([3.0, math.nan]) == rise([3.0, math.inf]) == math.inf


@pytest.mark.parametrize("size", [640, 512, 513, 70])
def test_every_length_scores_the_same_tokens(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMORY_EXPLORER_HOME", str(tmp_path))
    make_tiny_checkpoint(tmp_path)
    model = load_model("tiny")
    tokens = encode(load_tokenizer_of("tiny"), tiny_text(900))[0][:size]
    multiples = lengths_in(size, 64)
    assert multiples == {640: (1, 2, 4, 8), 512: (1, 2, 4, 8), 513: (1, 2, 4, 8), 70: (1,)}[size]
    whole = multiples[-1] * 64
    expected = []
    for multiple in multiples:
        losses = []
        for first in range(0, whole, multiple * 64):
            piece = torch.from_numpy(tokens[first : min(first + multiple * 64, whole) + 1].astype(np.int64))
            logits, _ = model(piece[None, :-1])
            losses += torch.nn.functional.cross_entropy(logits[0], piece[1:], reduction="none").tolist()
        assert len(losses) == min(whole, size - 1)
        expected.append(np.mean(losses))
    assert extension_losses(model, tokens, 64) == pytest.approx(expected, abs=1e-5)
    assert extension_losses(model, tokens, 64, lambda read: True) is None
    assert extension_losses(model, tokens[:50], 64) == ()


def test_what_is_fitted_within_the_training_length_fails_beyond_it_and_what_saw_all_ages_does_not() -> None:
    for seed in range(3):
        found = toy(seed=seed)
        assert found.error("zero", beyond=False) < 0.01 and found.error("carried", beyond=False) < 0.03
        assert found.error("carried", beyond=True) < 0.03 and found.error("zero", beyond=True) > 0.3
    # More terms fit the trained range as well and extrapolate worse.
    assert toy(8).error("zero", beyond=True) > toy(6).error("zero", beyond=True) > toy(3).error("zero", beyond=True)
