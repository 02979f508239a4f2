"""A trial of the lab as data: a post-training run, the document it is watched on, and what was seen there. No torch.

What is watched is the loss by position on the first tokens of one document, none of which the run is trained on. Two
things are kept apart:

    within = mean loss with a fresh memory of at most one training length     what the model knows of such text
    excess = mean of (loss - loss with a fresh memory) beyond 8 training lengths     what the long memory costs there

More training on similar text lowers the first with any intervention; only the second is collapse.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from model.diagnostics.collapse import Interval, excess_beyond
from model.experiment import key_of
from model.studies.gradients import GradientReach
from model.training.post_config import PostTrainConfig

WATCHED = (8_192, 16_384)
"""Tokens of the document that are watched, at least and at most, where it has so many; 32 training lengths between."""

SHARE = 0.07
"""Share of the training time that watching may take."""

WINDOWS, VISITED = 512, 64
"""Windows of training text whose states a checkpoint records; :func:`explore` reads each twice. After
training from memories, half as many, and so many steps that continue from them."""

BINS_PER_OCTAVE = 2
FIRST_BIN = 128
"""Tokens of the first bin: the means of fewer say how hard these very words are, and little of the model."""


@dataclass(frozen=True, kw_only=True)
class Pick:
    """A span of the watched document, tokens ``first`` to ``last``, and the state after ``at`` tokens in it."""

    first: int
    last: int
    at: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Which run, watched on which document.

    ``weights`` is the fingerprint of the base, ``train_length`` its own; ``document`` and ``text`` are hashes of the
    document that is watched and of what is trained on. ``picks`` are the spans of it that are looked at closely.
    """

    config: PostTrainConfig
    weights: str
    train_length: int
    document: str
    text: str
    picks: tuple[Pick, ...] = ()

    @property
    def key(self) -> str:
        """Names the run's folder: the same for the same trial, another for any other."""
        return key_of(asdict(self), digits=16)


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """What one model makes of the watched tokens: ``loss`` and ``control`` (bins,) in nats per token.

    ``excess`` is None where the document is too short to tell (see :func:`~.collapse.tokens_needed`).
    """

    loss: np.ndarray
    control: np.ndarray
    within: float
    excess: Interval | None


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one model makes of each picked span and, last, of the rest of the watched tokens: (picks + 1) each.

    ``novelty`` is the mean over states, above 1 is unexplored; ``loss`` and ``control`` are means in nats per token,
    with a long and with a fresh memory. NaN where there is nothing to count.
    """

    novelty: tuple[float, ...]
    loss: tuple[float, ...]
    control: tuple[float, ...]

    @property
    def excess(self) -> tuple[float, ...]:
        """What the long memory costs, in nats per token."""
        return tuple(loss - control for loss, control in zip(self.loss, self.control, strict=True))


@dataclass(frozen=True, kw_only=True, eq=False)
class TrialResult:
    """What is known of a trial so far.

    ``tokens`` are watched; ``done`` steps are safe on disk. ``losses`` are (step, loss of the training batch),
    ``readings`` (step, what the model then made of the watched tokens), the base's first. ``picked_before`` and
    ``picked_after`` are what the base and the finished model make of the picked spans, ``reach_before`` and
    ``reach_after`` how far the gradient reaches back in them (None where the document is too short). ``gradients``
    are (step, norm of the gradient before clipping). ``step_seconds`` and
    ``watch_seconds`` were measured on this machine: a step, and such a reading.
    """

    trial: Trial
    tokens: int = 0
    done: int = 0
    complete: bool = False
    losses: tuple[tuple[int, float], ...] = ()
    readings: tuple[tuple[int, Reading], ...] = ()
    picked_before: Figures | None = None
    picked_after: Figures | None = None
    reach_before: GradientReach | None = None
    reach_after: GradientReach | None = None
    gradients: tuple[tuple[int, float], ...] = ()
    step_seconds: float | None = None
    watch_seconds: float | None = None

    @property
    def before(self) -> Reading | None:
        """The base's reading; None before there is one."""
        return self.readings[0][1] if self.readings else None

    @property
    def now(self) -> Reading | None:
        """The newest reading."""
        return self.readings[-1][1] if self.readings else None

    @property
    def clipped(self) -> tuple[int, int]:
        """At how many of how many reported steps the norm of the gradient was above the limit of clipping by norm."""
        config = self.trial.config
        above = sum(norm > config.clip for _, norm in self.gradients) if config.clipping == "norm" else 0
        return above, len(self.gradients)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end, from what was timed; None before steps were."""
        if self.step_seconds is None:
            return None
        return (1 + SHARE) * self.step_seconds * (self.trial.config.steps - self.done) + self.finishing_seconds

    @property
    def finishing_seconds(self) -> float:
        """Seconds after the last step: one reading, and the windows of training text whose explored states are kept.

        A reading with its control goes over the watched tokens about three times.
        """
        reading, config = self.watch_seconds or 0.0, self.trial.config
        tokens = 2 * WINDOWS * max(self.trial.train_length, config.longest)
        if config.from_memories:
            tokens = tokens // 2 + min(VISITED, config.steps) * config.rows * config.length
        return reading + tokens * reading / max(1, 3 * self.tokens)

    def since(self, done: int) -> TrialResult:
        """As it was after ``done`` steps: what came later is done again."""
        return replace(
            self,
            done=done,
            losses=tuple(entry for entry in self.losses if entry[0] <= done),
            gradients=tuple(entry for entry in self.gradients if entry[0] <= done),
            readings=tuple(entry for entry in self.readings if entry[0] <= done),
        )


def watched_tokens(train_length: int, picks: tuple[Pick, ...] = ()) -> int:
    """Tokens of a long document that are watched: as far as the last of ``picks`` reaches, if that is farther."""
    least, most = WATCHED
    return max([min(max(least, 32 * train_length), most), *(pick.last for pick in picks)])


def borders(tokens: int) -> np.ndarray:
    """Where the bins of ``tokens`` tokens begin and end, (bins + 1,) int64: evenly spread on a logarithmic axis."""
    octaves = np.log2(max(tokens, FIRST_BIN) / FIRST_BIN)
    grown = FIRST_BIN * 2 ** (np.arange(int(octaves * BINS_PER_OCTAVE) + 1) / BINS_PER_OCTAVE)
    inner = [int(border) for border in grown if border * 1.1 < tokens]  # the last bin takes a short rest
    return np.array([0, *inner, tokens], np.int64)


def middles(tokens: int) -> np.ndarray:
    """Where the bins stand on a logarithmic axis, (bins,): in their middles there, the first in its plain middle."""
    edges = borders(tokens)
    return np.sqrt(np.maximum(edges[:-1], edges[1:] / 4) * edges[1:])


def by_position(losses: np.ndarray) -> np.ndarray:
    """Means of ``losses`` (tokens,) in the bins of :func:`borders`, missing values skipped: (bins,)."""
    starts = borders(len(losses))[:-1]
    known = np.isfinite(losses)
    total = np.add.reduceat(np.where(known, losses, 0).astype(np.float64), starts)
    count = np.add.reduceat(known.astype(np.int64), starts)
    return np.divide(total, count, out=np.full(len(starts), np.nan), where=count > 0)


def reading_of(losses: np.ndarray, control: np.ndarray, train_length: int) -> Reading:
    """Bins and key figures of ``losses`` and ``control`` (tokens,); ``train_length`` is the base's."""
    return Reading(
        loss=by_position(losses),
        control=by_position(control),
        within=float(np.nanmean(control)),
        excess=excess_beyond(losses, control, train_length),
    )
