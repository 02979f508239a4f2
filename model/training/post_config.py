"""A post-training run as frozen data: what it starts from, what it changes, and for how long. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from model.errors import UserError
from model.training.clipping import check_clipping
from model.training.data import RecallConfig
from model.training.interventions import INTERVENTIONS, Mixture, check_mixture
from model.training.schedule import warm_cosine

LIMITS: dict[str, tuple[float, float]] = {
    "steps": (1, 100_000),
    "rows": (1, 1024),
    "length": (64, 65_536),  # a shorter sequence has no room for its facts and their questions
    "learning_rate": (1e-6, 1e-1),
    "longer": (2, 64),
    "segments": (2, 4096),
    "clip": (1e-6, 1e6),
    "truncation": (0, 65_536),
    "empty_rows": (0.0, 0.95),
    "decay_rates": (0.01, 1000.0),
}
"""The sensible range of each number that a user may choose."""

EMPTY_ROWS, DECAY_RATES = 0.5, 100.0
"""What the shipped state passing was trained with, which costs nearly nothing within the training length; neither is a
default of a configuration, so that a run is compared with one that differs in the intervention alone."""


@dataclass(frozen=True, kw_only=True)
class PostTrainConfig:
    """A post-training run. The defaults mitigate the collapse of the shipped base in about a minute and a half.

    ``base`` names a model; ``interventions`` are (name, share of the steps), the rest of the steps starts empty.
    ``empty_rows`` is the share of a step's rows that start empty whatever the step's intervention is: the others
    alone hand on their memory, so that old memories and empty starts are learnt side by side.
    ``decay_rates`` is the multiple of the learning rate at which the logarithms of decay rates (A_log) learn. Adam
    moves a parameter by about the learning rate in a step, so in 400 steps at 0.001 a half-life changes by a third,
    while the slowest of the shipped base have to become a hundred times shorter.
    ``rows`` sequences of ``length`` tokens make a step; "longer" reads sequences ``longer`` times as long and as many
    fewer, "tbtt" follows a text for at most ``segments`` sequences. Facts are rarer than in training from scratch and
    their answers weigh less: recall is to be kept, but every key that must not be forgotten works against it
    (state passing left 5% to 8% of the shipped base's excess; of an earlier base's 5% to 7%, and there 19% to 34% with
    facts in 70% of the sequences, 1% to 2% with none). A gradient is clipped by the row ``clipping`` of the table of
    clippings at ``clip``; with a ``truncation`` it does not reach back farther than so many tokens of a sequence.
    """

    base: str
    interventions: Mixture
    length: int
    rows: int = 16
    steps: int = 400
    learning_rate: float = 1e-3
    warmup: int = 20
    weight_decay: float = 0.1
    clipping: str = "norm"
    clip: float = 1.0
    truncation: int = 0
    decay_rates: float = 1.0
    longer: int = 4
    segments: int = 16
    empty_rows: float = 0.0
    recall: RecallConfig = field(default_factory=lambda: RecallConfig(share=0.2, weight=5.0))
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate at ``step``."""
        return warm_cosine(step, steps=self.steps, warmup=self.warmup, learning_rate=self.learning_rate)

    def starting_empty(self, rows: int) -> int:
        """How many of ``rows`` rows start empty in every step; one at least does not."""
        return min(rows - 1, round(self.empty_rows * rows))

    @property
    def consecutive(self) -> bool:
        """Whether any step continues where another ended."""
        return any(INTERVENTIONS[name].consecutive for name, _ in self.interventions)

    @property
    def from_memories(self) -> bool:
        """Whether any step starts from another memory than the empty one."""
        return not all(INTERVENTIONS[name].empty for name, _ in self.interventions)

    @property
    def from_spans(self) -> bool:
        """Whether any step starts from the states of picked spans."""
        return any(INTERVENTIONS[name].needs_spans for name, _ in self.interventions)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence that a step reads."""
        longer = any(INTERVENTIONS[name].longer for name, _ in self.interventions)
        return self.length * (self.longer if longer else 1)

    @property
    def span(self) -> int:
        """Tokens of running text that a step may ask for."""
        return max(self.longest, self.length * self.segments if self.consecutive else 0)

    def check(self) -> None:
        """UserError if a number is out of its range or the mixture is none."""
        check_clipping(self.clipping)
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError("training.out_of_range", name=name, value=value, low=f"{low:,}", high=f"{high:,}")
        check_mixture(self.interventions)
