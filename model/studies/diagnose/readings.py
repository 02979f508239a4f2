"""One strategy on the document: its recording, and the losses within the training length; for several threads.

What strategies have in common is done once: the document is tokenised once, and the matched control, which is the same
for all strategies of one set of weights, is read by whichever needs it first.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from model.diagnostics.collapse import BEYOND, batch_means, tokens_needed
from model.errors import UserError
from model.interventions.initial_states import Origin, initial_state
from model.machine import chosen_device
from model.reading.prepare import Options, Prepared, prepare
from model.reading.runner import Progress, layer_scans, read_with, run
from model.reading.windows import control_from, window_losses
from model.recording.reader import Recording
from model.recording.schema import CONTROL_LOSS, LOSS
from model.studies.diagnose.places import Places
from model.studies.diagnose.result import Sentence, StrategyResult
from model.studies.diagnose.strategies import Candidate

NOT_FINITE = "reading.not_finite"


class Stopped(Exception):  # noqa: N818
    """The reading was cancelled."""


class Controls:
    """The matched control by weights: read once, however many threads ask."""

    def __init__(self) -> None:
        self._known: dict[str, np.ndarray | None] = {}
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def of(self, weights: str, read: Callable[[], np.ndarray | None]) -> np.ndarray | None:
        """The control of ``weights``, by ``read()`` if it is not known yet."""
        with self._locks[weights]:
            if weights not in self._known:
                self._known[weights] = read()
            return self._known[weights]


@dataclass(frozen=True, kw_only=True)
class Readings:
    """What all strategies of one diagnosis share.

    ``prepared`` is the plain reading, ``known`` results that an earlier run left, by recording.
    ``ticked(recording, tokens)`` says how many tokens of one are done.
    """

    prepared: Prepared
    options: Options
    places: Places
    known: dict[str, StrategyResult]
    ticked: Callable[[str, int], None]
    stop: Callable[[], bool]
    controls: Controls = field(default_factory=Controls)

    def result_of(self, one: Candidate) -> StrategyResult | None:
        """What the strategy ``one`` gives, read if need be; None if it was cancelled.

        One that fails says so, unless it is the plain one that does not fit, or the disk.
        """
        result = StrategyResult(
            recording="", model=one.model, weights=one.weights, strategy=one.strategy, post_trained=one.post_trained
        )
        try:
            prepared = self._prepared(one)
            result = replace(result, recording=prepared.experiment.key, strategy=prepared.experiment.strategy)
            found = self._measured(prepared, result)
        except Stopped:
            return None
        except UserError as error:
            if error.key.startswith("disk.") or (result.plain and error.key != NOT_FINITE):
                raise
            found = replace(result, failure=Sentence.of(error))
        self.ticked(result.recording, len(self.prepared.tokens))
        return found

    def _prepared(self, one: Candidate) -> Prepared:
        """The reading of ``one``: a model that was trained further is read at the places of the diagnosed one."""
        if self.stop():
            raise Stopped
        here = self.prepared
        options = replace(self.options, train_length=here.experiment.train_length)
        tokens = here.tokens, here.characters
        return prepare(here.document, one.model, one.strategy, options, tokens_known=tokens)

    def _measured(self, prepared: Prepared, result: StrategyResult) -> StrategyResult:
        recording = self.places.find(result.recording)
        if recording is not None and result.recording in self.known:
            return self.known[result.recording]
        if recording is None:
            recording = self._read(prepared)
        summary = recording.summary
        result = replace(
            result,
            loss_beyond=summary["loss_beyond"],
            onset=summary["collapse_onset"],
            tokens_per_second=summary["tokens_per_second"],
        )
        train_length = recording.train_length
        if recording.tokens < tokens_needed(train_length):
            return replace(result, loss_within=summary["loss_within"])
        excess = recording.array(LOSS)[BEYOND * train_length :].astype(np.float64)
        excess -= recording.array(CONTROL_LOSS)[BEYOND * train_length :]
        windows = self._within(prepared)
        return replace(
            result,
            blocks=tuple(batch_means(excess).tolist()),
            windows=tuple(windows.tolist()),
            loss_within=float(windows.mean()),
        )

    def _read(self, prepared: Prepared) -> Recording:
        control = self.controls.of(prepared.experiment.weights, lambda: self._control(prepared))

        def show(progress: Progress) -> None:
            self.ticked(prepared.experiment.key, progress.tokens)

        recording = run(
            prepared,
            self.places.out,
            on_progress=show,
            stop=self.stop,
            keep_text=self.places.keep_text,
            control=control,
        )
        if not recording.complete:
            raise Stopped
        return recording

    def _control(self, prepared: Prepared) -> np.ndarray | None:
        """The control of the weights of ``prepared``: from their plain recording if there is one, or else read.

        None if it is not finite: a reading then says where.
        """
        plain = self.places.find(prepared.experiment.baseline().key)
        if plain is not None:
            return plain.array(CONTROL_LOSS)
        model = read_with(prepared.experiment, device=chosen_device(prepared.device))
        losses = control_from(
            model, prepared.tokens, 0, prepared.experiment.train_length, passed=lambda tokens: self.stop()
        )
        if losses is None:
            raise Stopped
        return losses if np.isfinite(losses[1:]).all() else None

    def _within(self, prepared: Prepared) -> np.ndarray:
        """The mean loss of every window of a training length, (windows,)."""
        experiment = prepared.experiment
        model = read_with(experiment, experiment.precision, chosen_device(prepared.device))
        origin = Origin(explored=prepared.explored, source=None, seed=experiment.strategy.seed)
        state = initial_state(experiment.strategy.initial_state, model.zero_state(), origin)
        scans = layer_scans(model, dict(experiment.strategy.mitigations), prepared.explored)
        losses = window_losses(
            model, prepared.tokens, experiment.train_length, state, scans, passed=lambda tokens: self.stop()
        )
        if losses is None:
            raise Stopped
        return losses.mean(axis=1, dtype=np.float64)


def side_by_side(workers: int | None, device: str) -> int:
    """How many readings at once: ``workers``, or as many as torch would use threads on a CPU, and one on a GPU."""
    return workers or (torch.get_num_threads() if chosen_device(device) == "cpu" else 1)


@contextmanager
def threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads, each with its share of the cores: two readings get more done on a core each than one on both."""
    cores = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(max(1, cores // count),)) as pool:
            yield pool
    finally:
        torch.set_num_threads(cores)  # threads that begin later have as many as the last one that was set


def in_turn(wanted: Sequence[Candidate], workers: int) -> list[Candidate]:
    """The order of reading: the plain strategy, then other weights for the threads that would wait for its control."""
    own = [one for one in wanted if not one.post_trained]
    other = [one for one in wanted if one.post_trained]
    return [*own[:1], *other[: workers - 1], *own[1:], *other[workers - 1 :]]
