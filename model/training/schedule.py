"""What every training run tells its loop: how many steps, how fast it learns, what holds it back. No torch."""

from __future__ import annotations

import math
from typing import Protocol


class Schedule(Protocol):
    """The settings that the loop itself reads; TrainConfig and PostTrainConfig have them among others."""

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        ...

    @property
    def learning_rate(self) -> float:
        """The highest learning rate of the run."""
        ...

    @property
    def weight_decay(self) -> float:
        """Decay of the matrices, as AdamW counts it."""
        ...

    @property
    def clipping(self) -> str:
        """How a gradient is clipped: a row of :data:`model.training.clipping.CLIPPINGS`."""
        ...

    @property
    def clip(self) -> float:
        """The limit of the clipping: the largest norm of a gradient, or the largest component."""
        ...

    @property
    def truncation(self) -> int:
        """Tokens after which a sequence is cut off its own past in the backward pass; 0 never cuts."""
        ...

    @property
    def decay_rates(self) -> float:
        """The learning rate of logarithms of decay rates, as a multiple of that of all else."""
        ...

    def rate(self, step: int) -> float:
        """The learning rate of ``step``."""
        ...


def warm_cosine(step: int, *, steps: int, warmup: int, learning_rate: float) -> float:
    """Learning rate at ``step``: linear warm-up over ``warmup`` steps, then a cosine down to a twentieth."""
    warm = min(1.0, (step + 1) / warmup)
    return learning_rate * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)))
