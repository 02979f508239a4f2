"""Picked spans of a document: the states that a model has there, and what it makes of them before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import nan

import numpy as np
import torch

from kernels.dispatch import scan
from kernels.types import Scan
from model.arch.lm import LanguageModel
from model.checkpoints.catalogue import load_model, model_card, tokens_of
from model.diagnostics.explored import Explored, novelty, span_lengths
from model.diagnostics.out_of_distribution import PICKED, mean_of, out_of_distribution_spans
from model.errors import UserError
from model.reading.stream import read
from model.reading.telemetry import Recorder, Sketcher, snapshot_positions
from model.recording.reader import Recording
from model.state import State, joined
from model.training.interventions import check_fits
from model.training.post_training import Starts
from model.training.trial import Figures, Pick

SNAPSHOTS = 256
"""Snapshots of the watched tokens at most, besides those at the picked states themselves."""


def states_at(
    model: LanguageModel, tokens: np.ndarray, positions: Iterable[int], stop: Callable[[], bool] = lambda: False
) -> State | None:
    """The memory of ``model`` after each of ``positions`` tokens of ``tokens``, read from an empty one: a row for each.

    They are the very states of the one loop of reading, segment borders and all; None if it was stopped.
    """
    wanted = list(positions)
    found: dict[int, State] = {}
    before, scans = model.zero_state(), plain_scans(model)
    for segment in read(model, tokens[: max(wanted)], before, scans):
        if stop():
            return None
        for position in wanted:
            if segment.start < position < segment.stop:
                *_, part = read(model, tokens[:position], before, scans, segment.start)
                found[position] = part.state
            elif position == segment.stop:
                found[position] = segment.state
        before = segment.state
    return joined([found[position] for position in wanted])


def starts_of(recording: Recording, base: str, most: int = PICKED) -> Starts:
    """The states of ``base`` at ``most`` out-of-distribution spans of ``recording``, its own plain reading.

    UserError if it is the reading of another model or with a mitigation, if its text was not stored
    with it, or if none of its states is unexplored.
    """
    card = model_card(base)
    check_fits("stretches", card.config)
    if recording.experiment.weights != card.weights or not recording.experiment.plain:
        raise UserError("spans.other_reading", name=recording.path.name, model=card.name)
    if card.explored is None:
        raise UserError("initial_states.needs_explored", name="stretches")
    if recording.text is None:
        raise UserError("spans.text_not_stored", name=recording.path.name)
    found = out_of_distribution_spans(Explored.load(card.explored), recording, most)
    if not found:
        raise UserError("spans.none_in", name=recording.path.name)
    positions = [span.at for span in found]
    tokens, _ = tokens_of(base, recording.text)
    state = states_at(load_model(base), tokens, positions)
    assert state is not None  # nothing stops it
    return Starts(whose(recording.experiment.document, positions), state)


def whose(document: str, positions: Iterable[int]) -> str:
    """Which states of which document, for the record of a run: the beginning of its hash, never its words."""
    return f"after {', '.join(map(str, positions))} tokens of document {document[:12]}"


def figures_at(
    model: LanguageModel,
    explored: Explored,
    tokens: np.ndarray,
    picks: Sequence[Pick],
    losses: np.ndarray,
    control: np.ndarray,
    stop: Callable[[], bool] = lambda: False,
) -> Figures | None:
    """What ``model`` makes of ``picks`` and of the rest of ``tokens``; None if it was stopped.

    ``losses`` and ``control`` (tokens,) are those of the same model with a long and with a fresh memory. Novelty is
    measured against ``explored``, the model's own explored states, and in their units. A mean over snapshots counts
    each for the tokens that it stands for.
    """
    config = model.config
    grid = snapshot_positions(len(tokens), SNAPSHOTS)
    position = np.unique([*grid, *(pick.at for pick in picks)]).astype(np.int32)
    sketcher = Sketcher(config.nheads * config.headdim * config.d_state, torch.from_numpy(explored.std))
    recorder = Recorder(config.layers, position, sketcher)
    sketches = []
    for segment in read(model, tokens, model.zero_state(), recorder.scans(plain_scans(model), token_norms=False)):
        if stop():
            return None
        seen = recorder.take(segment.stop - segment.start)
        if "sketch" in seen:
            sketches.append(seen["sketch"][1])
    scores = novelty(explored, np.concatenate(sketches))
    weights = span_lengths(position, len(tokens))
    states = [(position >= pick.first) & (position <= pick.last) for pick in picks]
    words = [(np.arange(len(tokens)) >= pick.first) & (np.arange(len(tokens)) < pick.last) for pick in picks]
    states.append(~np.logical_or.reduce(states))
    words.append(~np.logical_or.reduce(words))
    return Figures(
        novelty=tuple(float(np.average(scores[rows], weights=weights[rows])) if rows.any() else nan for rows in states),
        loss=tuple(mean_of(losses[rows]) for rows in words),
        control=tuple(mean_of(control[rows]) for rows in words),
    )


def plain_scans(model: LanguageModel) -> list[Scan]:
    """The scan of every layer of ``model`` as it is, without mitigation."""
    return [scan] * len(model.config.layers)
