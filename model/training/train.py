"""The training loop: AdamW with a cosine schedule, sequences that grow, and a run that can stop and go on.

Everything about a run is in its TrainConfig and the text; batches depend on (seed, step) alone. So a run that was
killed goes on from its last save and ends with the same weights as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from kernels.chunked import chunked_scan
from model.config import ModelConfig
from model.lm import LanguageModel
from model.training.data import RecallConfig, Sampler

TRAINING_CHUNK = 32
"""A shorter chunk than in reading: training sequences are short and the backward pass likes small tiles."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training run: sizes are in tokens, ``phases`` are (share of the steps, share of the training length)."""

    model: ModelConfig
    steps: int = 4000
    batch_tokens: int = 4096
    learning_rate: float = 3e-3
    warmup: int = 100
    weight_decay: float = 0.1
    clip: float = 1.0
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
        """Learning rate at ``step``: linear warm-up, then a cosine down to a twentieth."""
        warm = min(1.0, (step + 1) / self.warmup)
        return self.learning_rate * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / self.steps)))


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What a training step showed: loss of prose in nats per token, accuracy on the digits of answers."""

    step: int
    seqlen: int
    loss: float
    recall: float
    seconds: float


def train(
    config: TrainConfig,
    sampler: Sampler,
    save: Path,
    report: Callable[[StepReport], None],
    stop: Callable[[], bool] = lambda: False,
) -> LanguageModel:
    """Train from scratch, or go on from ``save`` if that file is there; returns the model.

    ``report`` is called every 50 steps; when ``stop()`` turns true the run saves itself and returns what it has.
    """
    torch.manual_seed(config.seed)
    model = LanguageModel(config.model)
    optimizer = torch.optim.AdamW(parameter_groups(model, config), config.learning_rate, betas=(0.9, 0.95))
    step = restore(save, model, optimizer) if save.exists() else 0
    scans = [partial(chunked_scan, chunk=TRAINING_CHUNK)] * len(config.model.layers)
    started = time.monotonic()
    while step < config.steps and not stop():
        for group in optimizer.param_groups:
            group["lr"] = config.rate(step)
        seqlen = config.seqlen(step)
        drawn = sampler.batch(config.batch_tokens // seqlen, seqlen, (config.seed, step))
        tokens, weights = (torch.from_numpy(array) for array in drawn)
        with torch.autocast("cpu", torch.bfloat16):
            logits, _ = model(tokens[:, :-1], scans=scans)
        losses = token_losses(logits, tokens[:, 1:])
        loss = (losses * weights).sum() / weights.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        step += 1
        if step % 50 == 0 or step == config.steps:
            asked = weights > 1
            right = (logits.argmax(-1) == tokens[:, 1:])[asked].float().mean().item()
            seconds = time.monotonic() - started
            report(
                StepReport(step=step, seqlen=seqlen, loss=losses[~asked].mean().item(), recall=right, seconds=seconds)
            )
        if step % 500 == 0:
            store(save, model, optimizer, step)
    store(save, model, optimizer, step)
    return model


def parameter_groups(model: LanguageModel, config: TrainConfig) -> list[dict[str, Any]]:
    """Matrices, which decay, and the rest (decay rates, step biases, norms), which do not, as in Mamba-2's training."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    rest = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    return [{"params": matrices, "weight_decay": config.weight_decay}, {"params": rest, "weight_decay": 0.0}]


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of every prediction in nats: (batch, seqlen, vocab), (batch, seqlen) -> (batch, seqlen)."""
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


def store(path: Path, model: LanguageModel, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write weights, optimizer and step to one safetensors file, whole or not at all."""
    tensors = {f"model.{name}": tensor.contiguous() for name, tensor in parameters(model).items()}
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    for parameter, moments in optimizer.state.items():
        tensors |= {f"{moment}.{names[parameter]}": value for moment, value in moments.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_suffix(".partial")
    save_file(tensors, partial_path, metadata={"step": str(step)})
    partial_path.replace(path)


def restore(path: Path, model: LanguageModel, optimizer: torch.optim.Optimizer) -> int:
    """Load what :func:`store` wrote; returns the step to go on from."""
    tensors = load_file(path)
    steps = 0
    for name, parameter in model.named_parameters():
        parameter.data.copy_(tensors[f"model.{name}"])
        moments = {moment: tensors.get(f"{moment}.{name}") for moment in ("step", "exp_avg", "exp_avg_sq")}
        if moments["step"] is not None:
            optimizer.state[parameter] = {key: value for key, value in moments.items() if value is not None}
            steps = int(moments["step"].item())
    return steps


def parameters(model: LanguageModel) -> dict[str, Tensor]:
    """The weights by name, tied ones once."""
    return {name: parameter.data for name, parameter in model.named_parameters()}
