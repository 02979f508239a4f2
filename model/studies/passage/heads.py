"""Which head holds a passage: its part of every head's state, and what is lost where a head's state is removed.

Removed is the state: it is set to zero one token before the moment, and the head continues from there, reading and
writing what comes. So what is lost is what the head had kept, and not what it does with new text, which would go as
well if its output y were set to zero (:mod:`model.interventions.parts`). One token before, so that the next token is
already predicted without it. Beside the heads the passage's own part M_T (:mod:`.follow`) is taken out of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.errors import UserError
from model.interventions.mitigations import active
from model.reading.again import Moment, first_state
from model.reading.prepare import Prepared
from model.state import State, expand_rows
from model.studies.passage.follow import begun, followed, follower, separated
from model.studies.passage.probe import Prober, StoppedError, losses_from, walk
from model.studies.passage.result import Difference, Effect, HeadTable, Passage, mean
from model.studies.shares.run import check_linear

AHEAD = 256
"""Next tokens that are read on."""
MOST_HEADS = 32
"""Heads whose removal is tried: those with the largest part of the passage."""
ROWS = 8
"""Removals that are read side by side."""


Removed = tuple[int | None, int | None]
"""A layer and a head; (-1, -1): the passage's part of all; (None, None): nothing."""


class HeadShares(NamedTuple):
    """Arrays (layers, heads), as in :class:`.result.HeadTable`."""

    share: np.ndarray
    weight: np.ndarray
    norm: np.ndarray


def shares_of(state: State, parts: Sequence[Tensor], heads: int) -> HeadShares:
    """What ``parts``, one a layer, shaped like its state, are of ``state`` of one row, by recorded head."""
    product: list[np.ndarray] = []
    square: list[np.ndarray] = []
    for layer, part in zip(state, parts, strict=True):
        whole = layer.memory.state[0].double()
        for found, values in ((product, part[0].double() * whole), (square, whole.square())):
            found.append(values.sum((-1, -2)).unflatten(0, (heads, -1)).sum(-1).cpu().numpy())
    along, size = np.stack(product), np.stack(square)

    def of(whole: np.ndarray) -> np.ndarray:
        return np.divide(along, whole, out=np.zeros_like(along), where=whole > 0)

    return HeadShares(of(size), of(np.broadcast_to(size.sum(1, keepdims=True), size.shape)), np.sqrt(size))


def heads_of(
    prepared: Prepared,
    passage: Passage,
    moment: int,
    *,
    ahead: int = AHEAD,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> HeadTable | None:
    """Which heads hold ``passage`` in the state after ``moment`` tokens; None if ``stop()`` turned true.

    ``on_progress`` gets tokens read and to read. UserError for a passage or moment outside the document, a moment
    before the passage's end, and a mitigation with which the state is no sum of what tokens wrote.
    """
    tokens = prepared.tokens
    passage.check(len(tokens))
    if not passage.stop <= moment <= len(tokens):
        raise UserError("passage.moment", moment=moment, first=passage.stop, last=len(tokens))
    settings = dict(prepared.experiment.strategy.mitigations)
    check_linear(prepared.card.config, prepared.experiment.model)
    if (how := follower(settings, prepared.card.config.layers)) is None:
        raise UserError("passage.operator", name=next(iter(active(settings))))
    prober = Prober(prepared, passage)
    model, scans = prober.model, prober.scans
    following = tokens[moment : moment + ahead]
    rows = 2 + min(MOST_HEADS, len(scans) * model.config.recorded_heads)
    total, done = moment + rows * (len(following) + passage.length), 0

    def passed(count: int) -> None:
        nonlocal done
        done += count
        on_progress(done, total)
        if stop():
            raise StoppedError

    try:
        first = Moment(0, first_state(prepared, model), None)
        before = next(walk(model, scans, first, tokens, [passage.start], passed))
        reading, began = (
            followed(scans, passage.length, how),
            before._replace(state=begun(before.state, model.config.layers)),
        )
        eve, there = walk(model, reading, began, tokens, [moment - 1, moment], passed)
        found = shares_of(*separated(there.state), model.config.recorded_heads)
        table = HeadTable(passage=passage, moment=moment, ahead=len(following), **found._asdict())
        state, parts = separated(eve.state)
        if any(layer.memory.past for layer in state):
            return table
        return _with_effects(table, prober, state, parts, int(tokens[moment - 1]), following, passed)
    except StoppedError:
        return None


def _with_effects(
    table: HeadTable,
    prober: Prober,
    state: State,
    parts: Sequence[Tensor],
    last: int,
    following: np.ndarray,
    passed: Callable[[int], None],
) -> HeadTable:
    """``table`` with the readings on from ``state``, one token before the moment, whole and without heads."""
    heads = table.weight.shape[1]
    order = np.argsort(-np.abs(table.weight), axis=None, kind="stable")[:MOST_HEADS]
    removed: list[Removed] = [(None, None), (-1, -1), *((int(place) // heads, int(place) % heads) for place in order)]
    effects: list[Effect] = []
    baseline: tuple[np.ndarray, np.ndarray] | None = None
    for start in range(0, len(removed), ROWS):
        batch = removed[start : start + ROWS]
        without = removal(state, parts, batch, heads)
        ids = torch.full((len(batch), 1), last, device=prober.model.head.device)
        with torch.inference_mode():
            hidden, after = prober.model.hidden(ids, without, prober.scans)
        on = losses_from(prober.model, prober.scans, after, hidden[:, -1], following)
        again = prober.again(after, hidden[:, -1])
        recalled = prober.recalled(after)
        baseline = baseline or (on[0], again[0])
        for row, (layer, head) in enumerate(batch):
            loss, repeated = mean(on[row]), mean(again[row])
            changes = [Difference.between(now, then) for now, then in zip((on[row], again[row]), baseline, strict=True)]
            effects.append(
                Effect(
                    layer=layer,
                    head=head,
                    loss=loss,
                    again=repeated,
                    loss_change=changes[0],
                    again_change=changes[1],
                    next=prober.voice.table(prober.voice.scores(hidden[row : row + 1, -1])),
                    recalled=recalled[row] if recalled else None,
                )
            )
        passed(len(batch) * (len(following) + table.passage.length))
    return replace(table, whole=effects[0], without=tuple(effects[1:]))


def removal(state: State, parts: Sequence[Tensor], removed: Sequence[Removed], heads: int) -> State:
    """``state`` of one row in a row for each of ``removed``, less that.

    (layer, head): the state of that recorded head, of ``heads``; (-1, -1): ``parts`` of all layers; (None, None):
    nothing.
    """
    wide = expand_rows(state, len(removed))
    layers = []
    for index, (layer, part) in enumerate(zip(wide, parts, strict=True)):
        left = layer.memory.state.clone()
        by_head = left.unflatten(1, (heads, -1))
        for row, (of, head) in enumerate(removed):
            if of == index and head is not None:
                by_head[row, head] = 0
            elif of == -1:
                left[row] -= part[0]
        layers.append(layer._replace(memory=layer.memory._replace(state=left)))
    return tuple(layers)
