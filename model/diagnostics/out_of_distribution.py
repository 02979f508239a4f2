"""Where in a document is the memory farthest from everything that training showed it, and in which layers?

Snapshots are ranked by their novelty (:mod:`model.diagnostics.explored`). Around each of the most novel ones a span
of the document is taken that is at least half as novel, so that one excursion is one span and not ten of its
snapshots; and where the state grows without end, the spans are those between one doubling and the next.

The squared distance of two sketches is a sum over layers, so its shares are exact:

    share of layer l = sum_j |q_l - p_jl|^2 / sum_j |q - p_j|^2        p_j: the k nearest explored states of q

Within a layer the heads share the features of the sketch, so there it cannot be divided among them. In their place
stands the head whose norm has grown most against the norm that it has after a training length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.diagnostics.explored import NEIGHBOURS, Explored, edges, novelty
from model.diagnostics.neighbours import as_points, nearest
from model.recording.reader import Recording

LEVEL = 0.5
"""Share of the novelty at its peak that a snapshot must have to belong to the same span."""
MOST, PICKED = 10, 5
"""Spans that are listed, and those of them that are picked by default."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Span:
    """A span of a document whose states are unexplored.

    Tokens ``first`` to ``last`` (exclusive); its most novel state is the one after ``at`` tokens, with ``novelty``.
    ``loss`` and ``control`` are means over the span in nats per token, NaN where unknown. ``layers`` (layers,) are
    the shares of the squared distance, NaN if the state is not finite. ``grown`` is the head whose norm has grown
    most, as (layer, head), to ``growth`` times its norm at the training length.
    """

    first: int
    last: int
    at: int
    novelty: float
    loss: float
    control: float
    layers: np.ndarray
    grown: tuple[int, int]
    growth: float


def out_of_distribution_spans(explored: Explored, recording: Recording, most: int = MOST) -> list[Span]:
    """The ``most`` novel spans of ``recording``, most novel first; none where every state is explored.

    ``explored`` is of the model that was read with. ValueError if it is of a model with another shape.
    """
    sketch, position = recording.array("sketch"), recording.array("snapshot_position")
    if not len(position):
        return []
    borders = edges(position, recording.read_tokens)
    scores = novelty(explored, sketch)
    loss = recording.array("loss")
    control = recording.array("control_loss") if recording.has("control_loss") else np.full_like(loss, np.nan)
    found = []
    for peak, rows in grown_spans(scores, most):
        first, last = round(borders[rows.start]), round(borders[rows.stop])
        growth = _growth(recording, explored, int(position[peak]))
        layer, head = np.unravel_index(int(np.argmax(growth)), growth.shape)
        found.append(
            Span(
                first=first,
                last=last,
                at=int(position[peak]),
                novelty=float(scores[peak]),
                loss=mean_of(loss[first:last]),
                control=mean_of(control[first:last]),
                layers=layer_shares(explored, sketch[peak]),
                grown=(int(layer), int(head)),
                growth=float(growth[layer, head]),
            )
        )
    return found


def grown_spans(scores: np.ndarray, most: int) -> list[tuple[int, slice]]:
    """Each span as (row of its peak, its rows), most novel first, from the novelty ``scores`` (m,) of snapshots.

    A span starts as the most novel snapshot that none has yet, if that is unexplored, and reaches to either side as
    far as snapshots are unexplored, in no other span, and have LEVEL of its novelty.
    """
    free = scores > 1  # NaN is not
    taken: list[tuple[int, slice]] = []
    while free.any() and len(taken) < most:
        peak = int(np.argmax(np.where(free, scores, -np.inf)))
        outside = np.flatnonzero(~(free & (scores >= LEVEL * scores[peak])))
        place = int(np.searchsorted(outside, peak))
        low = int(outside[place - 1]) + 1 if place else 0
        high = int(outside[place]) if place < len(outside) else len(scores)
        free[low:high] = False
        taken.append((peak, slice(low, high)))
    return taken


def layer_shares(explored: Explored, state: np.ndarray) -> np.ndarray:
    """Each layer's share of the squared distance of ``state`` (layers, features) to its nearest explored states."""
    if not np.isfinite(state).all():
        return np.full(len(state), np.nan)
    _, indices = nearest(as_points(explored.sketch), as_points(state[None]), NEIGHBOURS)
    squares = np.square(explored.sketch[indices[0]].astype(np.float64) - state).sum(axis=(0, 2))
    total = squares.sum()
    return squares / total if total > 0 else np.full(len(state), np.nan)


def mean_of(values: np.ndarray) -> float:
    """The mean of ``values`` (tokens,) that are finite; NaN if none is."""
    known = values[np.isfinite(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else float("nan")


def _growth(recording: Recording, explored: Explored, tokens: int) -> np.ndarray:
    """How many times its norm at the training length each head has after ``tokens``, (layers, heads)."""
    boundary = int(np.searchsorted(recording.array("position"), tokens))
    norm = recording.array("norm")[boundary].astype(np.float64)
    return np.nan_to_num(norm, nan=np.inf) / np.maximum(explored.norm_at_train_length, 1e-12)
