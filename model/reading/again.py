"""A recorded reading, read again: the state at moments of which the recording stored none.

A recording holds its last state only. The text is read up to a moment with the recording's own strategy, in the very
segments of the first reading, so the state there is the one that was passed through; on another device up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from model.checkpoints.catalogue import model_card
from model.diagnostics.explored import Explored
from model.documents.document import Document
from model.documents.token_ids import MEDIA as TOKEN_IDS
from model.errors import UserError
from model.interventions.initial_states import Origin, initial_state
from model.interventions.parts import Off
from model.machine import chosen_device
from model.reading.prepare import Options, Prepared, prepare
from model.reading.runner import layer_scans, read_with
from model.reading.stream import segment_of
from model.recording.reader import Recording

if TYPE_CHECKING:
    from kernels.types import Scan
    from model.arch.lm import LanguageModel
    from model.experiment import Experiment
    from model.state import State


class Moment(NamedTuple):
    """The memory after ``tokens`` tokens; ``hidden`` (1, d_model) is what the head reads there, None at the start."""

    tokens: int
    state: State
    hidden: torch.Tensor | None


def prepare_again(recording: Recording, text: str, source: Path | None = None, device: str = "auto") -> Prepared:
    """The reading of ``recording``, whose document has this ``text``, ready to be run again.

    ``source`` is what a carried initial state comes from: the folder of a recording, or a state file. UserError where
    the model, the document or the tokenizer is not that of the recording.
    """
    experiment = recording.experiment
    if model_card(experiment.model).weights != experiment.weights:
        raise UserError("reading.other_weights", model=experiment.model)
    if experiment.strategy.source and source is None:
        raise UserError("reading.no_source")
    if experiment.tokenizer not in ("", TOKEN_IDS):
        raise UserError("reading.own_tokenizer")
    options = Options(
        precision=experiment.precision,
        control=experiment.control,
        token_norms=experiment.token_norms,
        train_length=experiment.train_length,
        attention_window=experiment.attention_window,
        off=experiment.off,
        device=device,
    )
    document = Document.of(text, recording.document_name)
    if experiment.tokenizer == TOKEN_IDS:
        document = replace(document, media=TOKEN_IDS)
    if document.sha256 != experiment.document:
        raise UserError("reading.other_document", name=recording.document_name)
    prepared = prepare(document, experiment.model, experiment.strategy, options, source=source)
    prepared = replace(prepared, experiment=replace(prepared.experiment, snapshots=experiment.snapshots))
    if prepared.experiment.key != experiment.key:
        raise UserError("reading.other_reading")
    return prepared


def reader_of(
    experiment: Experiment, explored: Explored | None, device: str, kernel: Scan | None = None
) -> tuple[LanguageModel, list[Scan]]:
    """The model of ``experiment`` on ``device`` and each layer's scan, with its mitigations and less what is off.

    ``kernel`` is what the mitigations are put around, by default the scan of the device.
    """
    model = read_with(experiment, experiment.precision, device)
    scans = layer_scans(model, dict(experiment.strategy.mitigations), explored, kernel)
    return Off.of(experiment.off).applied(model, scans)


def first_state(prepared: Prepared, model: LanguageModel) -> State:
    """The memory of ``model`` before the first token of ``prepared``: its initial state."""
    strategy = prepared.experiment.strategy
    origin = Origin(explored=prepared.explored, source=prepared.source, seed=strategy.seed)
    return initial_state(strategy.initial_state, model.zero_state(), origin)


def states_at(
    prepared: Prepared,
    moments: Iterable[int],
    *,
    passed: Callable[[int], bool] = lambda tokens: False,
) -> Iterator[Moment]:
    """The memory after each number of tokens in ``moments``, in their order along the document, from one pass over it.

    Ends where ``passed(tokens read so far)`` turns true, which is called after every segment.
    """
    model, scans = reader_of(prepared.experiment, prepared.explored, chosen_device(prepared.device))
    device = model.head.device
    size = segment_of(model.config, device)
    state = first_state(prepared, model)
    ids = torch.from_numpy(prepared.tokens.astype(np.int64))[None].to(device)
    start, hidden = 0, None

    def read(first: int, last: int, state: State) -> tuple[State, torch.Tensor]:
        with torch.inference_mode():
            seen, state = model.hidden(ids[:, first:last], state, scans)
        return state, seen[:, -1]

    for moment in sorted(set(moments)):
        while start + size <= moment:
            state, hidden = read(start, start + size, state)
            start += size
            if passed(start):
                return
        there = Moment(start, state, hidden)
        if start < moment:  # within a segment: the pass itself continues from where the segment began
            there = Moment(moment, *read(start, moment, state))
            if passed(moment):
                return
        yield there
