"""Results of strategies made up from numbers, and a tiny model with post-trained weights of the same base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from model.checkpoints.catalogue import model_card
from model.experiment import Strategy
from model.studies.diagnose import Diagnosis, Sentence, StrategyResult
from tests.support.tiny import make_tiny_checkpoint


def made_up(
    name: str,
    blocks: Sequence[float] = (1.0, 1.2, 0.8, 1.1, 0.9),
    windows: Sequence[float] = (2.0, 2.1, 1.9, 2.05),
    *,
    value: float | None = None,
    post_trained: str = "",
    **more: Any,
) -> StrategyResult:
    """The result of the plain strategy ("plain"), of a mitigation with its ``value``, or of other weights."""
    blocks, windows = tuple(map(float, blocks)), tuple(map(float, windows))
    mitigations = {} if name == "plain" or post_trained else {name: 4.0 if value is None else value}
    return StrategyResult(
        recording=f"{name}={value}",
        model=name if post_trained else "tiny",
        weights="0",
        strategy=Strategy.of(mitigations=mitigations),
        post_trained=post_trained,
        blocks=blocks,
        windows=windows,
        loss_within=sum(windows) / len(windows) if windows else None,
        loss_beyond=2.0 + sum(blocks) / len(blocks) if blocks else None,
        **more,
    )


def diagnosis(case: str, *results: StrategyResult, **more: Any) -> Diagnosis:
    """A diagnosis with that verdict, before anything was concluded from it."""
    values: dict[str, Any] = {
        "key": "0" * 12,
        "document": "0" * 64,
        "document_name": "notes.txt",
        "characters": 60_000,
        "tokens": 12_800,
        "pages": None,
        "model": "tiny",
        "weights": "0",
        "train_length": 64,
        "planned": len(results),
        "verdict": Sentence(f"verdict.{case}", {}),
        "strategies": results,
    }
    return Diagnosis(**values | more)


def make_family(home: Path) -> None:
    """The tiny model, and beside it weights that say that they were post-trained from it."""
    make_tiny_checkpoint(home)
    base = home / "checkpoints" / "tiny"
    other = home / "checkpoints" / "tiny-carried"
    shutil.copytree(base, other)
    weights = load_file(base / "model.safetensors")
    torch.manual_seed(1)
    save_file(
        {name: tensor * (1 + 0.01 * torch.randn_like(tensor)) for name, tensor in weights.items()},
        other / "model.safetensors",
    )
    record = {"base_weights": model_card("tiny").weights, "config": {"interventions": [["carried", 0.98]]}}
    (other / "training.json").write_text(json.dumps(record), "utf-8")
