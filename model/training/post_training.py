"""Post-training: a finished model learns for a few hundred steps more, from other initial states.

    h_{-1} of a step = start(empty, past)        a row of the interventions' table
    past             = the states that the previous step left, and the running statistics of such states

Ruiz & Gu 2025 (arXiv 2507.02782): 500 steps from states that training had not reached remove most of the collapse.
Nothing flows back into h_{-1}: it enters as data. Batches depend on (seed, step), initial states on these and on what
the save holds (the last states, their statistics, where the running text began), so a run that was cancelled or
killed ends with the same weights as an unbroken one.
"""

from __future__ import annotations

import copy
import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import load_model, load_tokenizer_of, model_card
from model.diagnostics.explored import Explored
from model.errors import UserError
from model.interventions.initial_states import Statistics
from model.mixers import rates
from model.state import State, flatten_state, joined, map_state, unflatten_state
from model.training.data import Groups, Sampler
from model.training.interventions import Past, check_fits, drawn, row_of
from model.training.loop import Batch, StepReport, read_about, run_steps
from model.training.post_config import PostTrainConfig
from model.training.running_text import RunningText

REPORT_EVERY = 10
SAVE_EVERY = 50
"""Steps between two saves: a kill loses some ten seconds of work."""

KEPT = 0.9
"""Share of the running statistics that a step leaves as it was: they are those of about the last ten steps."""

FINAL, SPANS = "final.", "stretches."
"""What the names of the last states, and of the states of picked spans, begin with among the tensors of a save."""


class Moments(NamedTuple):
    """Mean and standard deviation of the elements of states, (layers, heads) each."""

    mean: np.ndarray
    std: np.ndarray


class Starts(NamedTuple):
    """Memories that a run may start from: ``state`` with a row for each, and in ``about`` whose they are, in words."""

    about: str
    state: State


class PostCourse:
    """What post-training reads: the text of each step, and the memory that the step's intervention gives it.

    ``empty(rows)`` makes an empty memory; ``base`` are the statistics of the base's own states within its training
    length, from which the running ones start. ``final``, ``began`` and ``moments`` are all that a step leaves to the
    next: the memory after its batch, the step at which its running text began, and mean and mean square of the
    elements of final states, (2, layers, heads) float64. ``spans`` are the states of picked spans, if any.
    """

    def __init__(
        self,
        config: PostTrainConfig,
        groups: Groups,
        tokenizer: Tokenizer,
        empty: Callable[[int], State],
        base: Statistics | None,
    ) -> None:
        self.config = config
        self.sampler = Sampler(groups, tokenizer, config.recall)
        self.running_text = RunningText(
            groups, tokenizer, config.recall, rows=config.rows, length=config.length, segments=config.segments
        )
        self.empty = empty
        self.base = base
        self.final: State | None = None
        self.began: int | None = None
        self.moments: Tensor | None = None
        self.spans: State | None = None
        if base is not None:
            mean, std = torch.from_numpy(base.mean).double(), torch.from_numpy(base.std).double()
            self.moments = torch.stack([mean, std.square() + mean.square()])

    def draw(self, step: int) -> Batch:
        """The batch of ``step``, with the memory of the intervention whose lot it is."""
        config = self.config
        lots = np.random.default_rng((config.seed, step, 1))  # not the batch's own random numbers
        name = drawn(config.interventions, lots.random())
        row = row_of(name)
        goes_on = row.consecutive and self.began is not None and step - self.began < config.segments
        if row.longer:
            self.began = None
            rows, length = max(1, config.rows // config.longer), config.length * config.longer
            tokens, weights = self.sampler.batch(rows, length, (config.seed, step))
        elif config.consecutive:
            self.began = self.began if goes_on else step
            assert self.began is not None
            tokens, weights = self.running_text.part(step - self.began, (config.seed, self.began))
        else:
            tokens, weights = self.sampler.batch(config.rows, config.length, (config.seed, step))
        state = self.empty(len(tokens))
        if goes_on or not row.consecutive:
            fresh = config.starting_empty(len(tokens))
            taken = row.start(self.empty(len(tokens) - fresh), self.past(int(lots.integers(2**62))))
            state = joined([self.empty(fresh), taken]) if fresh else taken
        return Batch(torch.from_numpy(tokens), torch.from_numpy(weights), state)

    def past(self, seed: int) -> Past:
        """What the next initial state may be made from."""
        running = None
        if self.moments is not None:
            mean, square = self.moments
            spread = (square - mean.square()).clamp_min(0).sqrt()
            running = Moments(mean.float().numpy(), spread.float().numpy())
        return Past(final=self.final, base=self.base, running=running, spans=self.spans, seed=seed)

    def keep(self, step: int, after: State) -> None:
        """Cut ``after`` off the graph and hold it for the next step; count it into the running statistics.

        Rows that start empty in every step are left out: only so does a memory grow as old as the mixture lets it.
        """
        fresh = self.config.starting_empty(len(after[0].window))
        self.final = map_state(after, lambda tensor: tensor[fresh:].detach().clone())
        if self.moments is not None:
            states = torch.stack([layer.memory.state for layer in self.final]).double()
            found = torch.stack([states.mean((1, 3, 4)), states.square().mean((1, 3, 4))])
            self.moments = KEPT * self.moments + (1 - KEPT) * found

    def tensors(self) -> dict[str, Tensor]:
        """The states that may be started from, their statistics, and where the running text began (-1: nowhere)."""
        named = {"began": torch.tensor(-1 if self.began is None else self.began)}
        for prefix, state in ((FINAL, self.final), (SPANS, self.spans)):
            if state is not None:
                named |= {prefix + name: tensor for name, tensor in flatten_state(state).items()}
        return named if self.moments is None else {**named, "moments": self.moments}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`tensors` gave."""
        began = int(tensors["began"].item())
        self.began = None if began < 0 else began
        self.final, self.spans = state_in(tensors, FINAL), state_in(tensors, SPANS)
        self.moments = tensors.get("moments")


def state_in(tensors: Mapping[str, Tensor], prefix: str) -> State | None:
    """The state whose tensors have names that begin with ``prefix``; None if there are none."""
    named = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return unflatten_state(named) if named else None


def post_train(
    config: PostTrainConfig,
    groups: Groups,
    save: Path,
    report: Callable[[StepReport], None] = lambda step: None,
    stop: Callable[[], bool] = lambda: False,
    watch: Callable[[LanguageModel, StepReport], None] = lambda model, step: None,
    starts: Starts | None = None,
) -> LanguageModel:
    """Post-train ``config.base`` on token streams made with its tokenizer, or resume from ``save``; returns the model.

    ``report`` is called every 10 steps and after the last; ``watch`` too, with the model as it is then, to read with
    and not to change. ``starts`` are the states of picked spans, for the intervention that begins there. When
    ``stop()`` turns true the run saves itself within a step and returns what it has. The save stays where it is.
    UserError if the configuration, the texts or the save do not fit, or if the loss diverges.
    """
    config.check()
    card = model_card(config.base)
    if card.published:
        raise UserError("published.no_training", name=card.name)
    for name, _ in config.interventions:
        check_fits(name, card.config)
        if row_of(name).needs_explored and card.explored is None:
            raise UserError("initial_states.needs_explored", name=name)
        if row_of(name).needs_spans and starts is None:
            raise UserError("interventions.needs_spans")
    model = copy.deepcopy(load_model(config.base)).requires_grad_(True)
    if config.decay_rates != 1.0 and not rates(card.config.layers):
        raise UserError("training.no_decay_rates", name=card.name)
    model.config = replace(model.config, train_length=max(model.config.train_length, config.longest))
    groups = enough(config, groups, model)
    whose = [] if starts is None else [starts.about]
    about = {"run": json.dumps([asdict(config), card.weights, fingerprint(groups), *whose])}
    if save.exists() and read_about(save).get("run") != about["run"]:
        raise UserError("training.other_run", name=save.parent.name)

    def shown(step: StepReport) -> None:
        if not math.isfinite(step.loss):
            save.unlink(missing_ok=True)  # resuming could not help
            raise UserError("training.diverged", step=step.step)
        report(step)
        watch(model, step)

    course = course_of(config, groups, model)
    course.spans = None if starts is None else starts.state
    run_steps(model, config, course, save, shown, stop, report_every=REPORT_EVERY, save_every=SAVE_EVERY, about=about)
    return model


def enough(config: PostTrainConfig, groups: Groups, model: LanguageModel) -> Groups:
    """The streams of ``groups`` that are long enough for a step of ``config`` and for ``model``; UserError if none."""
    return long_enough(groups, max(config.span, model.config.train_length))


def course_of(config: PostTrainConfig, groups: Groups, model: LanguageModel) -> PostCourse:
    """The course of ``config`` on ``groups``, which are long enough, as it is before the first step."""
    explored = model_card(config.base).explored
    base = None if explored is None else Explored.load(explored)
    return PostCourse(config, groups, load_tokenizer_of(config.base), model.zero_state, base)


def long_enough(groups: Groups, tokens: int) -> Groups:
    """The streams from which ``tokens`` in a row can be drawn, in their groups; UserError if there is none."""
    found = {name: [stream for stream in streams if len(stream) > tokens + 1] for name, streams in groups.items()}
    if not any(found.values()):
        longest = max((len(stream) for streams in groups.values() for stream in streams), default=0)
        raise UserError("training.text_too_short", needed=f"{tokens + 2:,}", found=f"{longest:,}")
    return {name: streams for name, streams in found.items() if streams}


def fingerprint(groups: Groups) -> int:
    """A number that tells these token streams from others, in these groups."""
    number = 0
    for name, streams in groups.items():
        number = zlib.crc32(name.encode(), number)
        for stream in streams:
            number = zlib.crc32(np.asarray(stream, np.int32).tobytes(), number)
    return number
