"""A tiny family of models to measure, its documents, and a result that was made up."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.experiment import Strategy
from model.studies.evidence import (
    CLAIMS,
    DocumentReading,
    EvidenceResult,
    EvidenceTask,
)
from model.studies.evidence.family import MITIGATED, OTHERS, POST_TRAINED
from model.studies.evidence.run import CELLS, EXTENDED
from model.studies.extension import MULTIPLES
from model.studies.gradients import GradientReach
from tests.support.tiny import make_tiny_checkpoint, tiny_text

TOKENS = 640
DOCUMENTS = [(f"{seed}.txt", tiny_text(600, seed=seed)) for seed in (11, 12, 13)]


def claim(key: str):
    return next(claim for claim in CLAIMS if claim.key == key)


def make_family(home: Path) -> None:
    """A base, a post-trained model of it, one of other weights, and a capacity series of three state sizes."""
    import torch

    from model.arch.lm import LanguageModel
    from model.checkpoints.catalogue import load_tokenizer_of, read_config, save_checkpoint

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMORY_EXPLORER_HOME", str(home))
        patch.setattr("model.checkpoints.catalogue.SHIPPED", home / "none")
        name = make_tiny_checkpoint(home)
        base = home / "checkpoints" / name
        from model.checkpoints.catalogue import model_card

        made_from = model_card(name).weights
        for ending, weights in (("state-passing", made_from), ("fitted", "0" * 16)):
            shutil.copytree(base, base.with_name(f"{name}-{ending}"))
            made = json.dumps({"base_weights": weights})
            (base.with_name(f"{name}-{ending}") / "training.json").write_text(made)
        for d_state in (8, 32):
            torch.manual_seed(d_state)
            config = replace(read_config(base / "config.json"), d_state=d_state)
            save_checkpoint(base.with_name(f"other-{d_state}"), LanguageModel(config), load_tokenizer_of(name))
            (base.with_name(f"other-{d_state}") / "training.json").write_text("{}")


def with_family(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the tiny family in ``home`` be all models that there are, asked little."""
    patch.setenv("MEMORY_EXPLORER_HOME", str(home))
    patch.setattr("model.checkpoints.catalogue.SHIPPED", home / "none")
    patch.setattr("model.studies.evidence.measure.TRIALS", 2)


def made_up(train_lengths: bool = True) -> EvidenceResult:
    """A whole family that shows what papers report, without any reading: five documents, both series."""
    from model.studies.evidence.family import Member
    from model.studies.passkey import Reader

    rng = np.random.default_rng(0)

    def member(name: str, role: str, train_length: int = 256, d_state: int = 64) -> Member:
        sizes = {"train_length": train_length, "d_state": d_state, "state_size": 512 * d_state}
        return Member(name=name, weights=name, role=role, **sizes)

    found = [member("base", "base"), *(member(f"base-{ending}", role) for role, ending in POST_TRAINED.items())]
    found += [member(name, role) for role, name in OTHERS.items()]
    found += [member(f"base-n{size}", "series", d_state=size) for size in (16, 32, 128)]
    if train_lengths:
        found += [member(f"base-t{length}", "series", train_length=length) for length in (128, 512)]
    documents = tuple((f"{place}.txt", f"{place:064x}") for place in range(5))
    task = EvidenceTask(base="base", documents=documents)
    result = EvidenceResult(task=task, members=tuple(found), complete=True)
    left = {"base": 1.0, "zeros": 1.02, "longer": 0.4, "gaussian": 0.15, "fitted": 0.05, "carried": 0.01, "tbtt": 0.01}
    left |= {"scrn": 0.5, "rnn": 0.6}
    for one in found:
        plain = Reader(model=one.name, weights=one.weights, train_length=one.train_length)
        readers = [(plain, left.get(one.role, one.d_state / 64 * 256 / one.train_length))]
        if one.role == "base":
            readers += [
                (replace(plain, strategy=Strategy(mitigations=tuple(given.items()))), 0.3)
                for given in MITIGATED.values()
            ]
        if one.role in ("base", "carried"):
            readers.append((replace(plain, strategy=Strategy(initial_state="carried", source="s")), 1.2))
        for _, sha in documents:
            for reader, share in readers:
                noise = rng.normal(0, 0.02)
                grown = [1 + share * step for step in range(8)]
                result.readings[reader, sha] = DocumentReading(
                    within=4.0 + noise + (0.5 if reader.strategy.source and one.role == "base" else 0),
                    beyond=4.0 + share + noise,
                    control=4.0 if reader.plain else None,
                    largest=1.5 + noise if reader.plain else None,
                    norms=tuple(grown) if reader.plain else (),
                    stds=tuple(grown) if reader.plain else (),
                )
        if one.role in EXTENDED:
            grows = one.role in ("base", "zeros", "delta")
            for place, (_, sha) in enumerate(documents):
                rises = [(0.4 if grows else -0.1) * step + 0.01 * place for step in range(len(MULTIPLES))]
                result.extensions[plain, sha] = tuple(4 + rise for rise in rises)
        if one.role in CELLS:
            for _, sha in documents:
                norms = (1.0, 0.5, 0.1, 1e-5) if one.role == "rnn" else (1.0, 0.9, 0.5, 0.1)
                result.contexts[plain, sha] = 12.0 if one.role == "rnn" else 48.0
                result.reaches[plain, sha] = GradientReach(lags=(1, 16, 64, 256), norms=norms, train_length=256)
        if one.role in ("base", "series", "fitted", "zeros"):
            longest = one.d_state * 8
            for length in (128, 256, 512, 1024, 2048):
                result.recalls[plain, length] = (120 if length <= longest else 10, 120)
    return result
