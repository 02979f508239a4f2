"""Which states were explored in training, and how far a document's states lie from them.

A recurrent model is only trained on the states that its training sequences reach; beyond them its behaviour is
extrapolation (Ruiz & Gu 2025, arXiv 2507.02782: the unexplored-states hypothesis). :class:`Explored` is a sample of
the reached ones. The novelty of a state is a nearest-neighbour score, as used to find inputs foreign to a classifier
(Sun et al. 2022, arXiv 2204.06507):

    novelty = mean distance to the k nearest explored states / what 99% of explored states themselves stay below

so above 1 is unexplored. It is taken in state space, never in a picture: two dimensions hide what is unexplored.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from model.diagnostics.neighbours import as_points, nearest
from model.disk import write_whole, writing
from model.errors import UserError

NEIGHBOURS = 5
PERCENTILE = 99.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Explored:
    """A sample of states that a model reached as its training reached them (see :func:`model.reading.explore.explore`).

    ``sketch`` (n, layers, features) float32, as in a recording; ``position`` (n,) int32, tokens read so far;
    ``window`` (n,) int32, which text or chain of texts it came from; ``mean`` and ``std`` (layers, heads) of the
    elements of the state after a training length; ``norm_at_train_length`` (layers, heads), Frobenius;
    ``train_length`` in tokens.
    """

    sketch: np.ndarray
    position: np.ndarray
    window: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    norm_at_train_length: np.ndarray
    train_length: int

    def save(self, path: Path) -> None:
        """Write everything to ``path`` as safetensors.

        Sketches are written with the three digits of float16, where its range allows: they only ever serve distances
        between a sample of states, and they are most of a checkpoint's files.
        """
        tensors = {name: np.ascontiguousarray(value) for name, value in asdict(self).items()}
        if len(self.sketch) and np.abs(self.sketch).max() < np.finfo(np.float16).max:
            tensors["sketch"] = tensors["sketch"].astype(np.float16)
        with writing(path):
            write_whole(path, save(tensors))

    @staticmethod
    def load(path: Path) -> Explored:
        """Read what :meth:`save` wrote; UserError if ``path`` is not such a file."""
        try:
            tensors = load_file(path)
            arrays = {name: tensors[name] for name in Explored.__dataclass_fields__ if name != "train_length"}
            arrays["sketch"] = arrays["sketch"].astype(np.float32)
            return Explored(**arrays, train_length=int(tensors["train_length"].item()))
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise UserError("checkpoints.bad_explored", name=path.parent.name) from error


def threshold(explored: Explored, *, layer: int | None = None, neighbours: int = NEIGHBOURS) -> float:
    """The distance below which 99% of explored states have their own neighbours; the unit of novelty.

    States of one training window are near each other by construction, so a state's whole window is left out when it
    is scored: it is held to what a new text would be held to. NaN if there are not two windows.
    """
    points = _points(explored.sketch, layer)
    groups = explored.window
    distances, _ = nearest(points, points, neighbours, point_group=groups, query_group=groups)
    scores = distances.mean(axis=1)
    scores = scores[np.isfinite(scores)]
    return float(np.percentile(scores, PERCENTILE)) if len(scores) else float("nan")


def novelty(
    explored: Explored, sketch: np.ndarray, *, layer: int | None = None, neighbours: int = NEIGHBOURS
) -> np.ndarray:
    """Novelty of each of a document's states ``sketch`` (m, layers, features): above 1 is unexplored, (m,).

    All layers together, or one ``layer``. A state that is not finite is infinitely new. ValueError if the sketches
    are of another model.
    """
    if sketch.shape[1:] != explored.sketch.shape[1:]:
        raise ValueError(f"sketch {sketch.shape[1:]} is not of the explored model's {explored.sketch.shape[1:]}")
    queries = _points(sketch, layer)
    known = np.isfinite(queries).all(axis=1)
    scores = np.full(len(queries), np.inf, np.float32)
    distances, _ = nearest(_points(explored.sketch, layer), queries[known], neighbours)
    limit = threshold(explored, layer=layer, neighbours=neighbours)
    if not limit > 0:  # one window, or explored states that are all the same: there is no unit to measure in
        return np.full(len(queries), np.nan, np.float32)
    scores[known] = distances.mean(axis=1) / limit
    return scores


def edges(position: np.ndarray, tokens: int) -> np.ndarray:
    """Where the spans of :func:`span_lengths` begin and end, in tokens: (m + 1,) float64."""
    middles = (position[1:].astype(np.float64) + position[:-1]) / 2
    return np.concatenate([[0], middles, [max(tokens, position[-1])]])


def span_lengths(position: np.ndarray, tokens: int) -> np.ndarray:
    """How many tokens each snapshot stands for: those nearer to its ``position`` than to any other, (m,)."""
    return np.diff(edges(position, tokens))


def unexplored_fraction(scores: np.ndarray, position: np.ndarray, tokens: int) -> float | None:
    """Share of a document of ``tokens`` whose states are unexplored, from the novelty of its snapshots.

    Snapshots are denser early, so each counts for its span of tokens. None if there is nothing to count.
    """
    if not len(scores) or np.isnan(scores).any() or not tokens:
        return None
    return float(np.average(scores > 1, weights=span_lengths(position, tokens)))


def _points(sketch: np.ndarray, layer: int | None) -> np.ndarray:
    """``sketch`` (n, layers, features) as points (n, d), of all layers or of one."""
    return as_points(sketch if layer is None else sketch[:, layer])
