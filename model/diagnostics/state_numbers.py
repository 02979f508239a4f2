"""Numbers of single states, and of two states side by side: by layer and head, with numpy alone.

The angle between two states is that of their elements as vectors, cos = <h, g> / (|h| |g|): 0 degrees for states that
differ in size alone, 90 for states with nothing in common, 180 for opposite ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.diagnostics.explored import NEIGHBOURS, Explored, threshold
from model.diagnostics.neighbours import as_points, nearest
from model.errors import UserError
from model.mixers import additive, recurrent
from model.recording.state_file import StateFile


@dataclass(frozen=True, kw_only=True, eq=False)
class StateNumbers:
    """One state: Frobenius ``norm`` and effective ``rank`` of every head, (layers, heads); NaN for one without a rank.

    ``novelty`` (layers,) is the distance to the nearest explored states in units of what is explored, so above 1 is
    unexplored, and ``nearest`` (layers,) the tokens that the nearest of them had read; None without explored states.
    """

    norm: np.ndarray
    rank: np.ndarray
    novelty: np.ndarray | None = None
    nearest: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Two states side by side; ``angle`` (layers, heads) in degrees, NaN where a state is zero."""

    first: StateNumbers
    second: StateNumbers
    angle: np.ndarray


def numbers_of(
    state: StateFile,
    explored: Explored | None = None,
    sketch: np.ndarray | None = None,
    layers: Sequence[str] | None = None,
) -> StateNumbers:
    """The numbers of ``state``; with ``explored`` states and its own ``sketch`` (layers, features) novelty too.

    ``layers`` are the mixers that they are states of: the norm of a cache is that of all keys and values, and neither
    that nor a cell has a rank. Without them every layer is taken for a matrix.
    """
    norms, ranks = [], []
    for layer in range(state.layers):
        mixer, memory = None if layers is None else layers[layer], state.memory(layer)
        held = memory if mixer is None or recurrent([mixer]) else state.cache(layer)
        norms.append(np.sqrt(np.square(held).sum((1, 2))))
        ranked = min(memory.shape[1:]) > 1 and (mixer is None or additive([mixer]))
        ranks.append(effective_rank(memory) if ranked else np.full(len(memory), np.nan))
    norm, rank = np.stack(norms), np.stack(ranks)
    if explored is None or sketch is None or sketch.shape != explored.sketch.shape[1:]:
        return StateNumbers(norm=norm, rank=rank)
    scores, tokens = [], []
    for layer in range(state.layers):
        points, query = as_points(explored.sketch[:, layer]), as_points(sketch[None, layer])
        distances, indices = nearest(points, query, NEIGHBOURS)
        limit = threshold(explored, layer=layer)
        scores.append(float(distances.mean()) / limit if limit > 0 else np.nan)
        tokens.append(int(explored.position[indices[0, 0]]))
    return StateNumbers(norm=norm, rank=rank, novelty=np.array(scores), nearest=np.array(tokens))


def effective_rank(states: np.ndarray) -> np.ndarray:
    """exp of the entropy of the normalised singular values (Roy & Vetterli 2007): (heads, P, N) -> (heads,).

    Between 1 and min(P, N); 0 for an empty state.
    """
    singular = np.linalg.svd(states, compute_uv=False)
    total = singular.sum(-1, keepdims=True)
    share = np.divide(singular, total, out=np.zeros_like(singular), where=total > 0)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(-1)
    return np.where(total[..., 0] > 0, np.exp(entropy), 0.0)


def check_alike(first: StateFile, second: StateFile) -> None:
    """UserError unless two states have the same layers of the same shapes; their weights may differ."""
    if first.layers != second.layers:
        raise UserError("state_file.other_layers", name=second.name, found=second.layers, wanted=first.layers)
    for layer in range(first.layers):
        one, two = (state.tensors[f"{layer}.state"].shape for state in (first, second))
        if one != two or first.heads != second.heads:
            found, wanted = " × ".join(map(str, two[1:])), " × ".join(map(str, one[1:]))
            raise UserError("state_file.other_shape", name=second.name, layer=layer, found=found, wanted=wanted)


def angles(first: StateFile, second: StateFile) -> np.ndarray:
    """Degrees between the two states of every head, (layers, heads); NaN where one of them is zero."""
    check_alike(first, second)
    found = []
    for layer in range(first.layers):
        one, two = (state.memory(layer).reshape(first.heads, -1) for state in (first, second))
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
        dots = (one * two).sum(1)
        cosine = np.divide(dots, lengths, out=np.full(len(dots), np.nan), where=lengths > 0)
        found.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return np.stack(found)
