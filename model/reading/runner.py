"""From a prepared experiment to a finished recording.

``run`` reads block by block; each block is safe on disk before the next begins, and a run that was cancelled or killed
resumes from the last safe one, with the same numbers as if nothing had happened.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from kernels.dispatch import kernels_noted, scan
from model.checkpoints.catalogue import load_model
from model.diagnostics.explored import Explored
from model.diagnostics.summary import summarise
from model.disk import locked
from model.interventions.initial_states import Origin, initial_state
from model.interventions.mitigations import check_fits, mitigated
from model.interventions.parts import Off
from model.machine import chosen_device, name_of
from model.reading.finite import NotFiniteError, Passage, check_segment, control_passage, explained, finite_control
from model.reading.prepare import Prepared
from model.reading.stream import Segment, control_border, control_losses, read
from model.reading.telemetry import Recorder, Sketcher, snapshot_positions
from model.recording.reader import CANCELLED, COMPLETE, META, Meta, Recording, write_text
from model.recording.schema import CHARACTER, CHUNK, CONTROL_LOSS, LOSS, NORM, POSITION
from model.recording.writer import BLOCK, RecordingWriter
from model.state import State, unflatten_state

if TYPE_CHECKING:
    from kernels.types import Scan
    from model.arch.lm import LanguageModel
    from model.experiment import Experiment
    from model.reading.telemetry import Sketcher

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is, and what was seen last: losses in nats, ``norms`` (layers,) averaged over heads.

    ``device`` is what reads, "cpu" or "cuda": it changes where a GPU has too little memory.
    """

    tokens: int
    total: int
    seconds: float
    seconds_left: float | None
    phase: str
    loss: float
    control_loss: float | None
    norms: np.ndarray
    device: str


def layer_scans(
    model: LanguageModel, settings: Mapping[str, float], explored: Explored | None, kernel: Scan | None = None
) -> list[Scan]:
    """The mitigated scan of every layer of ``model``, over ``kernel`` (that of the device)."""
    check_fits(settings, model.config)
    scans = []
    for layer in range(len(model.config.layers)):
        norms = None
        if explored is not None:
            norms = torch.as_tensor(explored.norm_at_train_length[layer]).to(model.head.device)
        scans.append(mitigated(kernel or scan, settings, norms))
    return scans


def read_with(experiment: Experiment, precision: str = "float32", device: str = "cpu") -> LanguageModel:
    """The model of ``experiment``, whose attention sees no more than it says; the control reads with it too."""
    model = load_model(experiment.model, precision, device)
    return model.seeing(experiment.attention_window) if experiment.attention_window else model


def run(
    prepared: Prepared,
    folder: Path,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
    title: str = "",
    keep_text: bool = False,
    control: np.ndarray | None = None,
) -> Recording:
    """Read the document and leave a recording in ``folder`` / its key; returns it, complete or cancelled.

    A recording of the same experiment that is complete is returned as it is; one that is not resumes where it stopped.
    ``control`` is the loss with a fresh state, (tokens,), where another strategy of the same weights has read it.
    A GPU without enough memory, even for the shortest segment, leaves the rest to the CPU.
    """
    path = folder / prepared.experiment.key
    if (done := finished(path)) is not None:
        return done
    read_on = partial(
        run_on,
        prepared,
        path,
        on_progress=on_progress,
        stop=stop,
        title=title,
        keep_text=keep_text,
        control=control,
    )
    with locked(path):
        if (done := finished(path)) is not None:
            return done
        device = chosen_device(prepared.device)
        try:
            return read_on(device=device)
        except torch.OutOfMemoryError:
            if device == "cpu":
                raise
        load_model.cache_clear()
        torch.cuda.empty_cache()
        log.warning("the GPU is out of memory: the CPU reads on from what is stored")
        return read_on(device="cpu")


def finished(path: Path) -> Recording | None:
    """The recording at ``path`` if there is one that was read to its end."""
    recording = Recording(path) if (path / META).exists() else None
    return recording if recording is not None and recording.complete else None


def run_on(
    prepared: Prepared,
    path: Path,
    *,
    device: str,
    on_progress: Callable[[Progress], None],
    stop: Callable[[], bool],
    title: str,
    keep_text: bool,
    control: np.ndarray | None,
) -> Recording:
    """:func:`run` on ``device``, while no other process writes to ``path``; what is there already is read on from."""
    experiment = prepared.experiment
    model = read_with(experiment, experiment.precision, device)
    config = model.config
    positions = snapshot_positions(experiment.tokens, experiment.snapshots)
    meta = Meta(
        title=title or prepared.document.name,
        experiment=experiment,
        document_name=prepared.document.name,
        characters=len(prepared.document.text),
        layers=config.layers,
        nheads=config.recorded_heads,
        headdim=config.recorded_headdim,
        d_state=config.d_state,
    )
    writer = RecordingWriter(path, meta, positions)
    if keep_text:
        write_text(path, prepared.document.text)

    progress = writer.progress
    start = int(progress["tokens"])
    if start:
        stored = {name: torch.from_numpy(array) for name, array in Recording(path).state().items()}
        state = unflatten_state({name: tensor.to(model.head.device) for name, tensor in stored.items()})
    else:
        origin = Origin(explored=prepared.explored, source=prepared.source, seed=experiment.strategy.seed)
        state = initial_state(experiment.strategy.initial_state, model.zero_state(), origin)

    spread = torch.ones(len(config.layers), config.recorded_heads)
    if prepared.explored is not None:
        spread = torch.from_numpy(prepared.explored.std.astype(np.float32))
    sketcher = Sketcher(config.d_inner * config.d_state, spread)
    recorder = Recorder(config.layers, positions, sketcher, config.recorded_heads)
    unseen = layer_scans(model, dict(experiment.strategy.mitigations), prepared.explored)
    reader, unseen = Off.of(experiment.off).applied(model, unseen)
    compile_once(reader, prepared, unseen, sketcher)
    scans = recorder.scans(unseen, experiment.token_norms)

    block = Block(writer, prepared, model, device, control)
    meter = Meter(experiment.tokens, start, float(progress.get("seconds", 0.0)))
    status = COMPLETE
    safe: Segment | None = None
    kernels: set[str] = set()

    def reading(stop_at: int, state: State, start: int) -> Iterator[Segment]:
        recorder.drop(start)
        segments = read(reader, prepared.tokens[:stop_at], state, scans, start, recorder=recorder)
        return noting_kernels(segments, kernels)

    for segment in reading(experiment.tokens, state, start):
        meter.reading_until(segment.stop)
        end = segment.stop == experiment.tokens
        try:
            check_segment(segment, positions)
            block.catch_up(segment.stop, stop)
        except NotFiniteError as error:
            for part in reading(error.safe, state, segment.start):  # whole chunks before it
                known = segment.losses[part.start - segment.start : part.stop - segment.start]
                block.add(part.start + 1, known, part.telemetry)
                safe, state = part, part.state
            if safe is not None:
                block.commit(safe.stop, meter.seconds, safe.saved)
            if kept := int(writer.progress["tokens"]):
                finish(writer, CANCELLED, prepared.explored, meter, ran(device, kernels))
            passage = Passage(reader, error.safe, prepared.tokens[error.safe : error.safe + CHUNK], state, unseen)
            if error.control:
                passage = control_passage(block.model, prepared.tokens, error.read, experiment.train_length)
            raise explained(error, passage, kept) from error
        block.add(segment.start + 1, segment.losses, segment.telemetry)
        safe, state = segment, segment.state
        meter.skip()
        if end or segment.stop % BLOCK == 0:
            block.commit(segment.stop, meter.seconds, segment.saved)
            meter.skip()
        on_progress(meter.report(block, segment.stop))
        if stop() and not end:
            # Everything read so far is kept; a later run resumes from this segment.
            block.commit(segment.stop, meter.seconds, segment.saved)
            status = CANCELLED
            break
    on_progress(meter.report(block, meter.tokens, phase="summary"))
    return finish(writer, status, prepared.explored, meter, ran(device, kernels))


def ran(device: str, kernels: set[str]) -> dict[str, str]:
    """What a recording says of the machine that read it."""
    return {"device": name_of(device), "kernels": ", ".join(sorted(kernels))}


def noting_kernels(segments: Iterator[Segment], kernels: set[str]) -> Iterator[Segment]:
    """``segments`` as they come; what kernels each was read by is added to ``kernels``."""
    while True:
        with kernels_noted(kernels):
            segment = next(segments, None)
        if segment is None:
            return
        yield segment


def finish(
    writer: RecordingWriter, status: str, explored: Explored | None, meter: Meter, machine: Mapping[str, str]
) -> Recording:
    """Close the recording with its key figures, and the ``machine`` that read it."""
    recording = writer.finish(status, {})
    peak = peak_rss_mb()
    summary = summarise(recording, explored, tokens_per_second=meter.tokens_per_second, peak_rss_mb=peak)
    return writer.finish(status, {**summary, **machine})


class Block:
    """What was read since the last commit: kept in memory, written together."""

    def __init__(
        self,
        writer: RecordingWriter,
        prepared: Prepared,
        model: LanguageModel,
        device: str,
        control: np.ndarray | None = None,
    ) -> None:
        self.writer = writer
        self.control = control
        self.device = device
        self.prepared = prepared
        self.model = model
        if control is None and prepared.experiment.precision != "float32" and not prepared.card.published:
            # A published one may fit only once.
            self.model = read_with(prepared.experiment, device=device)
        self.controlled = int(writer.progress.get("controlled", 0))
        self.windows: int | None = None
        self.pending: dict[str, list[tuple[int, np.ndarray]]] = {}
        self.loss, self.control_loss = float("nan"), None if not prepared.experiment.control else float("nan")
        self.norms = np.zeros(len(writer.meta.layers))

    def add(self, first: int, losses: np.ndarray, telemetry: Mapping[str, tuple[int, np.ndarray]]) -> None:
        """Take the losses of the tokens from ``first`` on and the telemetry of their segment."""
        self.pending.setdefault(LOSS, []).append((first, losses))
        for name, entry in telemetry.items():
            self.pending.setdefault(name, []).append(entry)
        if len(losses):
            self.loss = float(losses.mean())
        self.norms = telemetry[NORM][1][-1].mean(-1)

    def catch_up(self, stop: int, stopped: Callable[[], bool]) -> None:
        """Read with a fresh memory too whatever whole batches of windows ``stop`` tokens hold, or all at the end.

        The last few do not wait for ``stopped``: a document that is read to its end has its control. NotFiniteError if
        a loss is none; those before it are kept.
        """
        experiment = self.prepared.experiment
        end = stop == experiment.tokens
        while experiment.control and self.controlled < stop and (end or not stopped()):
            border = control_border(self.controlled, experiment.train_length, self.windows)
            if border > stop and not end:
                break
            first, last = self.controlled, min(border, stop)
            losses = self._control(first, last)
            fine = finite_control(losses, first)
            if fine < len(losses) and self.windows is None:  # a bad window spoils those that are read beside it
                self.windows = 1
                continue
            self.pending.setdefault(CONTROL_LOSS, []).append((first, losses[:fine]))
            self.controlled = first + fine
            if self.controlled < last:
                raise NotFiniteError(self.controlled, control=True)
            self.control_loss = float(np.nanmean(losses[-512:]))

    def _control(self, first: int, stop: int) -> np.ndarray:
        """The control's losses of the tokens ``first`` to ``stop``: what is known, or else they are read."""
        if self.control is not None:
            return self.control[first:stop]
        return control_losses(self.model, self.prepared.tokens, first, stop, self.prepared.experiment.train_length)

    def commit(self, tokens: int, seconds: float, state: Mapping[str, np.ndarray]) -> None:
        """Write everything pending, if anything is, and the state from which to resume."""
        if not self.pending:  # the reading was stopped where a block had just been written
            return
        for name, entries in self.pending.items():
            self.writer.put(name, entries[0][0], np.concatenate([values for _, values in entries]))
        if norms := self.pending.get(NORM):  # not where only the control has caught up
            first, rows = norms[0][0], sum(len(values) for _, values in norms)
            at = np.minimum(np.arange(first, first + rows) * CHUNK, tokens)
            self.writer.put(POSITION, first, at.astype(np.int32))
            ends = np.append(self.prepared.characters, len(self.prepared.document.text))
            self.writer.put(CHARACTER, first, ends[at].astype(np.int32))
        self.pending.clear()
        self.writer.commit(
            {"tokens": tokens, "controlled": self.controlled, "seconds": seconds},
            state,
        )


def compile_once(model: LanguageModel, prepared: Prepared, scans: Sequence[Scan], sketcher: Sketcher) -> None:
    """Read a few tokens for nothing, so that what is compiled for this machine is at hand, and no speed counts it."""
    tokens = prepared.tokens[: CHUNK + 1]
    recorder = Recorder(model.config.layers, np.array([CHUNK]), sketcher, model.config.recorded_heads)
    recorded = recorder.scans(scans, prepared.experiment.token_norms)
    for _ in read(model, tokens, model.zero_state(), recorded, recorder=recorder):
        pass


class Meter:
    """Clocks of a run: how long the reading itself took, and how long all of it will."""

    def __init__(self, total: int, start: int, seconds: float) -> None:
        self.total, self.start, self.tokens = total, start, start
        self.seconds = seconds
        self.started = self.last = time.monotonic()

    def reading_until(self, tokens: int) -> None:
        """Note that reading has reached ``tokens``."""
        now = time.monotonic()
        self.seconds += now - self.last
        self.tokens, self.last = tokens, now

    def skip(self) -> None:
        """Leave out of the reading time what was done since the last note (the control, writing)."""
        self.last = time.monotonic()

    @property
    def tokens_per_second(self) -> float:
        """Speed of the reading, telemetry included, control and writing not."""
        return self.tokens / self.seconds if self.seconds > 0 else 0.0

    def report(self, block: Block, tokens: int, phase: str = "reading") -> Progress:
        """The progress to show."""
        spent = time.monotonic() - self.started
        done = tokens - self.start
        left = spent / done * (self.total - tokens) if done else None
        return Progress(
            tokens=tokens,
            total=self.total,
            seconds=spent,
            seconds_left=left,
            phase=phase,
            loss=block.loss,
            control_loss=block.control_loss,
            norms=block.norms,
            device=block.device,
        )


def peak_rss_mb() -> float | None:
    """The most memory this process has held, in megabytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
