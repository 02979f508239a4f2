"""One reading of the evidence: a model reads one document, or answers passkeys of one length.

Loss beyond the training length T is that of everything from 8 T on, read in one go (:mod:`model.studies.whole`). The
carried state is what the same model remembers after another document, its convolution window empty.
"""

from __future__ import annotations

import numpy as np

from model.checkpoints.catalogue import load_model, model_card
from model.diagnostics.collapse import BEYOND, published_criterion, tokens_needed
from model.diagnostics.explored import Explored
from model.interventions.initial_states import Origin, initial_state
from model.mixers import recurrent
from model.reading.runner import layer_scans
from model.reading.windows import control_from
from model.state import flatten_state
from model.studies.effective_context import (
    EffectiveContextResult,
    EffectiveContextTask,
    kept_lengths,
    run_effective_context,
)
from model.studies.evidence.result import DocumentReading
from model.studies.extension.measure import extension_losses
from model.studies.gradients import GradientReach, reach_on
from model.studies.passkey import Cell, PasskeyResult, PasskeyTask, Reader, even_depths, measure
from model.studies.recall import PASSKEYS
from model.studies.whole import Passed, read_whole, state_after

DEPTHS, TRIALS = even_depths(3), 20
"""Places and keys of a passkey test of one length, in each language."""

REACH_TOKENS = 100
"""About how many training lengths of reading it costs to follow the gradient back in a document."""

CONTEXT_LENGTHS, CONTEXT_ENDS = 4, 8
"""Training lengths of a span whose older part is forgotten, and places in a document where that is done."""


def read_document(
    reader: Reader, tokens: np.ndarray, source: np.ndarray | None, passed: Passed
) -> DocumentReading | None:
    """What ``reader`` shows on ``tokens`` (tokens,), or None if it was stopped.

    ``source`` (tokens,) is the other document whose final state is carried, if the reader starts from one. The control
    and the statistics of the states are only taken from a plain reader, and these of no cache, which only grows.
    """
    card = model_card(reader.model)
    model = load_model(reader.model)
    explored = Explored.load(card.explored) if card.explored else None
    scans = layer_scans(model, dict(reader.strategy.mitigations), explored)
    state = model.zero_state()
    if source is not None:
        final = state_after(model, source, scans, passed)
        if final is None:
            return None
        arrays = {name: tensor.numpy() for name, tensor in flatten_state(final).items()}
        state = initial_state(
            reader.strategy.initial_state, state, Origin(explored=None, source=arrays, seed=reader.strategy.seed)
        )
    watch = reader.plain and bool(recurrent(card.config.layers))
    whole = read_whole(model, tokens, reader.train_length, state, scans, passed, watch=watch)
    if whole is None:
        return None
    far = BEYOND * reader.train_length
    beyond = control = largest = None
    if len(tokens) >= tokens_needed(reader.train_length):
        beyond = float(whole.losses[far:].mean(dtype=np.float64))
        if reader.plain:
            fresh = control_from(model, tokens, far, reader.train_length, passed)
            if fresh is None:
                return None
            control = float(fresh.mean(dtype=np.float64))
            found = published_criterion(whole.losses, reader.train_length)
            largest = found.ratio if found is not None else None
    norms, stds = ((), ()) if whole.statistics is None else whole.statistics.by_spot(reader.train_length)
    return DocumentReading(
        within=whole.within,
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
