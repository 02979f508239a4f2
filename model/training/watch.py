"""Post-training that is watched on a document: the loss by position of the model as it was, as it is, and at the end.

The document is read by the one loop of a reading, between training steps and in the thread that trains, so
reading and training never share the processor. It is read again whenever that keeps reading below 6% of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import load_model, model_card
from model.diagnostics.explored import Explored
from model.errors import UserError
from model.reading.stream import control_border, control_losses, read
from model.studies.gradients import GradientReach, reach_on
from model.training.checkpoint import SAVE, post_train_checkpoint
from model.training.data import Groups
from model.training.loop import StepReport, read_about
from model.training.post_training import Starts
from model.training.spans import figures_at, plain_scans, states_at, whose
from model.training.trial import SHARE, Figures, Reading, Trial, TrialResult, reading_of

TIMED_STEPS = 4
"""Steps that are run to learn how long one takes; the first is left out, for it also warms up."""

Report = Callable[[TrialResult, str, int, int, float | None], None]
"""``report(what there is so far, "training" or another phase, done, total, seconds left if they are known)``"""


class StoppedError(Exception):
    """The run was asked to stop while it recorded the states that its model explores."""


def run_trial(
    begun: TrialResult,
    streams: Groups,
    tokens: np.ndarray,
    folder: Path,
    *,
    command: str = "",
    report: Report = lambda result, phase, done, total, left: None,
    stop: Callable[[], bool] = lambda: False,
    only_time: bool = False,
) -> TrialResult:
    """Run ``begun.trial`` in ``folder``, or resume it, and watch it on ``tokens`` (tokens,); returns what is known.

    ``streams`` and ``tokens`` are in the base's tokens. At the end ``folder`` holds a checkpoint; a run that was
    stopped is a save there, and resumes when this is called again with what it returned. With ``only_time`` it stops
    after four steps, which are its first, and are not lost. UserError if the texts do not fit or the loss diverges.
    """
    trial, config = begun.trial, begun.trial.config
    result = replace(begun, tokens=len(tokens)).since(steps_done(folder, config.steps))
    if result.before is None:
        report(result, "before", 0, config.steps, None)
        started = time.monotonic()
        before = looked_at(load_model(config.base), model_card(config.base).explored, tokens, trial, stop)
        if before is None:
            return result
        seconds = time.monotonic() - started
        result = replace(result, readings=((0, before[0]),), picked_before=before[1], watch_seconds=seconds)
        result = replace(result, reach_before=reach_of(load_model(config.base), tokens, trial.train_length))
    clock = Clock(result)
    explored_from: float | None = None

    def asked() -> bool:
        clock.step()
        return stop() or (only_time and clock.steps >= TIMED_STEPS)

    def shown(step: StepReport) -> None:
        nonlocal result
        result = replace(result, losses=(*result.losses, (step.step, step.loss)), step_seconds=clock.step_seconds)
        result = replace(result, gradients=(*result.gradients, (step.step, step.gradient)))
        report(result, "training", step.step, config.steps, step.seconds_left + result.finishing_seconds)

    def watched(model: LanguageModel, step: StepReport) -> None:
        nonlocal result
        if step.step == config.steps or not clock.affords(step.seconds):  # at the end it is read in any case
            return
        started = time.monotonic()
        now = read_twice(model, tokens, trial.train_length, stop)
        clock.watched(time.monotonic() - started)
        if now is not None:
            result = replace(result, readings=(*result.readings, (step.step, now)), watch_seconds=clock.reading)
            report(result, "training", step.step, config.steps, step.seconds_left + result.finishing_seconds)

    def exploring(done: int, total: int) -> None:
        nonlocal explored_from
        if stop():
            raise StoppedError
        explored_from = explored_from or time.monotonic()
        left = (time.monotonic() - explored_from) / done * (total - done) if done else None
        report(result, "exploring", done, total, left)

    report(result, "training", result.done if result.step_seconds else 0, config.steps, result.seconds_left)
    if not finished(folder):
        starts = None
        if config.from_spans:
            positions = [pick.at for pick in trial.picks]
            state = states_at(load_model(config.base), tokens, positions, stop) if positions else None
            if positions and state is None:
                return result
            starts = None if state is None else Starts(whose(trial.document, positions), state)
        hooks = {"report": shown, "watch": watched, "stop": asked, "exploring": exploring, "starts": starts}
        try:
            post_train_checkpoint(config, streams, folder, command=command, **hooks)  # type: ignore[arg-type]
        except StoppedError:
            pass
        except UserError:
            report(result.since(0), "training", 0, config.steps, None)
            raise
    result = replace(result.since(steps_done(folder, config.steps)), step_seconds=clock.step_seconds)
    if not finished(folder):
        return result
    report(result, "after", config.steps, config.steps, None)
    after = looked_at(load_model(str(folder)), folder / "explored.safetensors", tokens, trial, stop)
    if after is None:
        return result
    result = replace(result, readings=(*result.readings, (config.steps, after[0])), picked_after=after[1])
    reach = reach_of(load_model(str(folder)), tokens, trial.train_length)
    return replace(result, complete=True, reach_after=reach)


class Clock:
    """What steps and readings take, measured while they happen."""

    def __init__(self, result: TrialResult) -> None:
        self.steps = 0
        self.last: float | None = None
        self.times: list[float] = []
        self.known = result.step_seconds
        self.reading = result.watch_seconds or 0.0
        self.spent = 0.0

    def step(self) -> None:
        """Note that a step begins, and that the one before has ended."""
        now = time.monotonic()
        if self.last is not None:
            self.steps += 1
            self.times.append(now - self.last)
        self.last = now

    def affords(self, seconds: float) -> bool:
        """Whether one more reading keeps within its share of the ``seconds`` that the run has taken."""
        return self.spent + self.reading <= SHARE * seconds

    def watched(self, seconds: float) -> None:
        """Count a reading that took so long; it belongs to no step."""
        self.spent += seconds
        self.reading = seconds
        if self.last is not None:
            self.last += seconds

    @property
    def step_seconds(self) -> float | None:
        """The median step without the first, which also warms up; what was known before if there is none."""
        return float(np.median(self.times[1:])) if len(self.times) > 1 else self.known


def losses_on(model: LanguageModel, tokens: np.ndarray, stop: Callable[[], bool]) -> np.ndarray | None:
    """The loss of every one of ``tokens`` from an empty memory, (tokens,) in nats; None if it was stopped.

    Token 0 is predicted by nothing and gets NaN.
    """
    losses = [np.full(1, np.nan, np.float32)]
    for segment in read(model, tokens, model.zero_state(), plain_scans(model)):
        if stop():
            return None
        losses.append(segment.losses)
    return np.concatenate(losses)


def control_on(
    model: LanguageModel, tokens: np.ndarray, train_length: int, stop: Callable[[], bool]
) -> np.ndarray | None:
    """The matched control of :mod:`model.reading.stream` over all ``tokens``, (tokens,); None if it was stopped."""
    parts, first = [], 0
    while first < len(tokens):
        if stop():
            return None
        last = min(control_border(first, train_length), len(tokens))
        parts.append(control_losses(model, tokens, first, last, train_length))
        first = last
    return np.concatenate(parts)


def read_twice(model: LanguageModel, tokens: np.ndarray, train_length: int, stop: Callable[[], bool]) -> Reading | None:
    """Read ``tokens`` with a long memory and with a fresh one; None if it was stopped."""
    found = both_losses(model, tokens, train_length, stop)
    return None if found is None else reading_of(*found, train_length)


def both_losses(
    model: LanguageModel, tokens: np.ndarray, train_length: int, stop: Callable[[], bool]
) -> tuple[np.ndarray, np.ndarray] | None:
    """The losses of ``tokens`` with a long memory and with a fresh one, (tokens,) each; None if it was stopped."""
    losses = losses_on(model, tokens, stop)
    control = None if losses is None else control_on(model, tokens, train_length, stop)
    return None if losses is None or control is None else (losses, control)


def looked_at(
    model: LanguageModel, explored: Path | None, tokens: np.ndarray, trial: Trial, stop: Callable[[], bool]
) -> tuple[Reading, Figures | None] | None:
    """What ``model``, whose explored states are in the file ``explored``, makes of ``tokens`` and of the trial's picks.

    None if it was stopped.
    """
    found = both_losses(model, tokens, trial.train_length, stop)
    if found is None:
        return None
    reading = reading_of(*found, trial.train_length)
    if not trial.picks or explored is None:
        return reading, None
    figures = figures_at(model, Explored.load(explored), tokens, trial.picks, *found, stop)
    return None if figures is None else (reading, figures)


def reach_of(model: LanguageModel, tokens: np.ndarray, train_length: int) -> GradientReach | None:
    """How far the gradient reaches back in ``tokens``, up to the base's ``train_length``; None if they are too few."""
    return reach_on(model, tokens, longest=train_length) if len(tokens) > train_length else None


def finished(folder: Path) -> bool:
    """Whether ``folder`` holds a whole checkpoint and no run that would resume."""
    return (folder / "training.json").exists() and not (folder / SAVE).exists()


def steps_done(folder: Path, steps: int) -> int:
    """How many of ``steps`` are safe in ``folder``."""
    if finished(folder):
        return steps
    return int(read_about(folder / SAVE)["step"]) if (folder / SAVE).exists() else 0
