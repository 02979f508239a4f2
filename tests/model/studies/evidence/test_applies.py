"""Evidence on models to which not every claim applies: what is read of them, and what the table says instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import model_card, save_checkpoint
from model.config import ModelConfig
from model.interventions.mitigations import MITIGATIONS
from model.messages import LANGUAGES, message
from model.studies.evidence import begin, findings
from model.studies.evidence.family import MITIGATED
from model.studies.evidence.run import _steps_of
from model.tokenizer import train_tokenizer
from tests.support.evidence import DOCUMENTS, made_up
from tests.support.tiny import tiny_text

SIZES = {"d_model": 32, "d_state": 2, "headdim": 16, "expand": 1, "vocab_size": 320, "train_length": 64}
READ = {"lstm": {"retention", "decay"}, "attention_rope": {"window"}}
"""Mitigations that are read of each; the norm bound needs explored states, which these models have none of."""


@pytest.mark.parametrize("mixer", READ)
def test_only_what_fits_a_memory_is_read(home: Path, mixer: str) -> None:
    torch.manual_seed(0)
    model = LanguageModel(ModelConfig(layers=(mixer,), **SIZES))
    save_checkpoint(home / "checkpoints" / "one", model, train_tokenizer([tiny_text(4000)], 320))
    begun, _ = begin(DOCUMENTS, tokens=640, base="one")
    steps = _steps_of(begun, begun.members[0])
    treated = {name for step in steps for name, _ in step.reader.strategy.mitigations}
    assert treated == READ[mixer] and all(MITIGATIONS[name].fits(model_card("one").config) for name in treated)
    assert any(step.source for step in steps) == (mixer == "lstm")


def test_what_does_not_apply_is_said_to_once_all_was_read() -> None:
    result = made_up()
    base = result.member("base")
    assert base is not None
    left = {
        (reader, sha): replace(reading, norms=(), stds=()) if reader.model == base.name else reading
        for (reader, sha), reading in result.readings.items()
        if dict(reader.strategy.mitigations) != MITIGATED["insertion"]
    }
    for complete, why in ((True, "memory"), (False, "reading")):
        found = {one.claim.key: one for one in findings(replace(result, readings=left, complete=complete))}
        assert found["removed_insertion"].missing == why and found["removed_insertion"].estimate is None
        assert found["std_base"].missing == found["norm_base_8"].missing == "memory"
        assert found["removed_decay"].missing == ""
    assert all(message("evidence.missing_memory", language) for language in LANGUAGES)
