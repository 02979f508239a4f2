"""Training from scratch: sequences that grow, every one from an empty memory, and a run that can stop and resume.

Everything about a run is in its TrainConfig and the text; batches depend on (seed, step) alone. So a run that was
killed resumes from its last save and ends with the same weights as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from model.arch.lm import LanguageModel
from model.config import ModelConfig
from model.state import State
from model.training.data import RecallConfig, Sampler
from model.training.loop import Batch, StepReport, run_steps
from model.training.schedule import warm_cosine


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run: sizes are in tokens, ``phases`` are (share of the steps, share of the training length)."""

    model: ModelConfig
    steps: int = 8000
    batch_tokens: int = 4096
    learning_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.1
    clipping: str = "norm"
    clip: float = 1.0
    truncation: int = 0
    decay_rates: float = 1.0
    phases: tuple[tuple[float, float], ...] = ((0.25, 0.25), (0.25, 0.5), (0.5, 1.0))
    recall: RecallConfig = field(default_factory=RecallConfig)
    seed: int = 0

    def seqlen(self, step: int) -> int:
        """Tokens of a sequence at ``step``: short first, the training length in the last phase."""
        passed = 0.0
        for share, length in self.phases:
            passed += share
            if step < passed * self.steps:
                return int(self.model.train_length * length)
        return self.model.train_length

    def rate(self, step: int) -> float:
        """Learning rate at ``step``."""
        return warm_cosine(step, steps=self.steps, warmup=self.warmup, learning_rate=self.learning_rate)


class FromScratch:
    """The course of a base model: sequences of the step's length, each from an empty memory, nothing to keep."""

    def __init__(self, config: TrainConfig, sampler: Sampler) -> None:
        self.config = config
        self.sampler = sampler

    def draw(self, step: int) -> Batch:
        """As many sequences as fill the batch."""
        seqlen = self.config.seqlen(step)
        rows = self.config.batch_tokens // seqlen
        tokens, weights = self.sampler.batch(rows, seqlen, (self.config.seed, step))
        return Batch(torch.from_numpy(tokens), torch.from_numpy(weights))

    def keep(self, step: int, after: State) -> None:
        """Forget it: the next sequences start empty."""

    def tensors(self) -> dict[str, Tensor]:
        """A batch depends on (seed, step) alone."""
        return {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """There is nothing to take back."""


def train(
    config: TrainConfig,
    sampler: Sampler,
    save: Path,
    report: Callable[[StepReport], None],
    stop: Callable[[], bool] = lambda: False,
    *,
    device: str = "cpu",
) -> LanguageModel:
    """Train from scratch on ``device``, or resume from ``save`` if that file is there; returns the model on the CPU.

    ``report`` is called every 50 steps; when ``stop()`` turns true the run saves itself and returns what it has.
    """
    torch.manual_seed(config.seed)
    model = LanguageModel(config.model).to(device)
    run_steps(model, config, FromScratch(config, sampler), save, report, stop)
    return model.to("cpu")
