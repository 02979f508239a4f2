"""One reading of the evidence: a model reads one document, or answers passkeys of one length.

Loss within the training length T is the mean over windows of T tokens, spread over the document, each read from the
initial state: the first T tokens of a document alone would be one paragraph. Beyond is everything from 8 T on, read in
one go. The carried state is what the same model remembers after another document, its convolution window empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from kernels.types import Scan
from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import load_model, model_card
from model.diagnostics.collapse import BEYOND, published_criterion, tokens_needed
from model.diagnostics.explored import Explored
from model.interventions.initial_states import Origin, initial_state
from model.reading.runner import layer_scans
from model.reading.stream import read
from model.reading.telemetry import recorded, reduce_states
from model.reading.windows import control_from, window_losses
from model.recording.schema import CHUNK
from model.state import State, flatten_state
from model.studies.effective_context import (
    EffectiveContextResult,
    EffectiveContextTask,
    kept_lengths,
    run_effective_context,
)
from model.studies.evidence.result import SPOTS, DocumentReading
from model.studies.extension.measure import extension_losses
from model.studies.gradients import GradientReach, reach_on
from model.studies.passkey import Cell, PasskeyResult, PasskeyTask, Reader, even_depths, measure
from model.studies.recall import PASSKEYS

DEPTHS, TRIALS = even_depths(3), 20
"""Places and keys of a passkey test of one length, in each language."""

REACH_TOKENS = 100
"""About how many training lengths of reading it costs to follow the gradient back in a document."""

CONTEXT_LENGTHS, CONTEXT_ENDS = 4, 8
"""Training lengths of a span whose older part is forgotten, and places in a document where that is done."""

Passed = Callable[[int], bool]
"""``passed(tokens)`` takes the number of tokens read, and returns whether to stop."""


def read_document(
    reader: Reader, tokens: np.ndarray, source: np.ndarray | None, passed: Passed
) -> DocumentReading | None:
    """What ``reader`` shows on ``tokens`` (tokens,), or None if it was stopped.

    ``source`` (tokens,) is the other document whose final state is carried, if the reader starts from one. The control
    and the statistics of the states are only taken from a plain reader.
    """
    card = model_card(reader.model)
    model = load_model(reader.model)
    explored = Explored.load(card.explored) if card.explored else None
    scans = layer_scans(model, dict(reader.strategy.mitigations), explored)
    state = model.zero_state()
    if source is not None:
        final = _final_state(model, source, scans, passed)
        if final is None:
            return None
        arrays = {name: tensor.numpy() for name, tensor in flatten_state(final).items()}
        state = initial_state(
            reader.strategy.initial_state, state, Origin(explored=None, source=arrays, seed=reader.strategy.seed)
        )
    statistics = Statistics(len(scans))
    losses = _losses(model, tokens, state, statistics.scans(scans) if reader.plain else scans, statistics, passed)
    within = None if losses is None else window_losses(model, tokens, reader.train_length, state, scans, passed)
    if losses is None or within is None:
        return None
    far = BEYOND * reader.train_length
    beyond = control = largest = None
    if len(tokens) >= tokens_needed(reader.train_length):
        beyond = float(losses[far:].mean(dtype=np.float64))
        if reader.plain:
            fresh = control_from(model, tokens, far, reader.train_length, passed)
            if fresh is None:
                return None
            control = float(fresh.mean(dtype=np.float64))
            found = published_criterion(losses, reader.train_length)
            largest = found.ratio if found is not None else None
    norms, stds = statistics.by_spot(reader.train_length) if reader.plain else ((), ())
    return DocumentReading(
        within=float(within.mean(dtype=np.float64)),
        beyond=beyond,
        control=control,
        largest=largest,
        norms=norms,
        stds=stds,
    )


def extension_at(reader: Reader, tokens: np.ndarray, passed: Passed) -> tuple[float, ...] | None:
    """The loss of ``tokens`` (tokens,) by evaluation length, in nats per token; None if it was stopped."""
    return extension_losses(load_model(reader.model), tokens, reader.train_length, passed)


def reach_at(reader: Reader, tokens: np.ndarray, passed: Passed) -> GradientReach | None:
    """How far the gradient reaches back in ``tokens`` (tokens,), within a training length; None if it was stopped."""
    stopped = passed(0)
    found = None if stopped else reach_on(load_model(reader.model), tokens, longest=reader.train_length)
    return None if found is None or passed(REACH_TOKENS * reader.train_length) else found


def context_task(reader: Reader, document: str) -> EffectiveContextTask:
    """What is asked for the effective context of ``reader`` in the text whose hash is ``document``."""
    length = CONTEXT_LENGTHS * reader.train_length
    lengths = kept_lengths(length, reader.train_length)
    return EffectiveContextTask(document=document, length=length, lengths=lengths, ends=CONTEXT_ENDS)


def context_at(reader: Reader, document: str, tokens: np.ndarray, passed: Passed) -> float | None:
    """The effective context in ``tokens`` (tokens,), in tokens; None if it was stopped."""
    read, ended = 0, False

    def report(result: EffectiveContextResult, done: int) -> None:
        nonlocal read, ended
        ended = passed(done - read)
        read = done

    begun = EffectiveContextResult(task=context_task(reader, document), reader=reader)
    model = load_model(reader.model)
    result = run_effective_context(model, tokens, begun, report=report, stop=lambda: ended)
    return float(result.reach()) if result.complete else None


def recall_at(reader: Reader, length: int, passed: Passed) -> tuple[int, int] | None:
    """Right answers and answers to passkeys in texts of ``length`` tokens, all languages and depths together.

    None if it was stopped.
    """
    found = [_answers(reader, length, language, passed) for language in PASSKEYS]
    if any(cell is None for cell in found):
        return None
    return sum(cell.correct for cell in found if cell), sum(cell.trials for cell in found if cell)


def _answers(reader: Reader, length: int, language: str, passed: Passed) -> Cell | None:
    """All depths of one length together, in one language; None if it was stopped."""
    task = PasskeyTask(language=language, lengths=(length,), depths=DEPTHS, trials=TRIALS)
    before, ended = 0, False

    def report(result: PasskeyResult, done: int) -> None:
        nonlocal before, ended
        ended = passed(done - before)
        before = done

    result = measure(PasskeyResult(task=task, reader=reader), report=report, stop=lambda: ended)
    return result.by_length().get(length)


class Statistics:
    """Norm and spread of the whole state at every boundary: Frobenius norms averaged over heads, std over elements."""

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self._seen: list[list[np.ndarray]] = [[] for _ in range(layers)]
        self._position: list[int] = []
        self.read = 0

    def scans(self, scans: Sequence[Scan]) -> list[Scan]:
        """``scans``, one per layer, each looked at."""

        def observer(layer: int):  # type: ignore[no-untyped-def]
            def observe(output) -> None:  # type: ignore[no-untyped-def]
                # (3, boundaries, heads): norm, mean and std, which those of the whole state are put together from
                self._seen[layer].append(reduce_states(output.boundary_states[0][1:])[:3].cpu().numpy())

            return observe

        return [recorded(scan, observer(layer)) for layer, scan in enumerate(scans)]

    def passed(self, tokens: int) -> None:
        """Note that a segment of ``tokens`` was read."""
        self._position += [self.read + min(end, tokens) for end in range(CHUNK, tokens + CHUNK, CHUNK)]
        self.read += tokens

    def by_spot(self, train_length: int) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
        """Norm and spread at the multiples :data:`SPOTS` of ``train_length``; None where nothing was read.

        At p tokens stands the mean of the boundaries between 3/4 p and p, for one boundary is one sentence.
        """
        position = np.array(self._position)
        # (3, boundaries, layers * heads)
        norm, mean, std = np.concatenate([np.concatenate(layer, axis=1) for layer in self._seen], axis=2)
        norms = norm.mean(axis=1, dtype=np.float64)
        squares = (std.astype(np.float64) ** 2 + mean.astype(np.float64) ** 2).mean(axis=1)
        spreads = np.sqrt(np.maximum(squares - mean.mean(axis=1, dtype=np.float64) ** 2, 0))
        found: list[list[float | None]] = [[], []]
        for spot in SPOTS:
            place = spot * train_length
            here = (position > 0.75 * place) & (position <= place) & (position[-1] >= place)
            for values, row in zip((norms, spreads), found, strict=True):
                row.append(float(values[here].mean()) if here.any() else None)
        return tuple(found[0]), tuple(found[1])


def _losses(
    model: LanguageModel,
    tokens: np.ndarray,
    state: State,
    scans: Sequence[Scan],
    statistics: Statistics,
    passed: Passed,
) -> np.ndarray | None:
    """The loss of every token, (tokens,) in nats, NaN for the first; None if stopped."""
    losses = [np.full(1, np.nan, np.float32)]
    for segment in read(model, tokens, state, scans):
        losses.append(segment.losses)
        statistics.passed(segment.stop - segment.start)
        if passed(segment.stop - segment.start):
            return None
    return np.concatenate(losses)


def _final_state(model: LanguageModel, tokens: np.ndarray, scans: Sequence[Scan], passed: Passed) -> State | None:
    """The memory after ``tokens``, read from an empty one; None if stopped."""
    state = model.zero_state()
    for segment in read(model, tokens, state, scans):
        state = segment.state
        if passed(segment.stop - segment.start):
            return None
    return state
