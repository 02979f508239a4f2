"""Which states a model has seen: its own memory within the training length, over many windows of a reference text.

The result (:class:`model.diagnostics.explored.Explored`) is what "fitted" noise is drawn from, what the norm bound is a
multiple of, and what the state map calls explored. Windows start with an empty memory, as training from scratch does.
Where a model was also trained from other memories, half of the sample are states that such training visits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from kernels.dispatch import scan
from kernels.types import CHUNK, ScanOutput
from model.arch.lm import LanguageModel
from model.diagnostics.explored import Explored
from model.errors import UserError
from model.mixers import recurrent
from model.reading.stream import SEGMENT
from model.reading.telemetry import Sketcher, grouped, recorded, sketch_of

ROWS = 16
"""Windows read together at most, and states kept of a visited training step."""
ROOM = 400_000_000
"""Numbers that the windows read together may hold: a large model reads fewer of them at once."""


class Visit(NamedTuple):
    """What the sequences of one training step did to the memory, whatever they started from.

    ``outputs``: each layer's scan. ``chain`` (rows,) int64: rows with the same number continued one another, in
    this step or an earlier one. ``before`` (rows,) int64: tokens of its chain that were read before this step.
    """

    outputs: list[ScanOutput]
    chain: np.ndarray
    before: np.ndarray


Visits = Callable[[int], Iterator[Visit]]
"""``visits(steps)``: that many training steps, or fewer, as a post-trained model goes through them."""


def explore(
    model: LanguageModel,
    streams: list[np.ndarray],
    train_length: int,
    *,
    windows: int = 512,
    positions: int = 4,
    visits: Visits | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Explored:
    """Read ``windows`` windows of ``train_length`` tokens, spread evenly over ``streams``, and keep their states.

    ``positions`` states are kept of each window, at boundaries spread from its first chunk to its end. The text is read
    twice: the spread of the elements must be known before a state can be sketched in its units.

    With ``visits`` there are half as many windows, and as many states again are taken from training steps, ROWS from
    each, of its rows in turn and at the same boundaries. All sequences of a chain count as one window, for they share
    what a slow head remembers. ``mean``, ``std`` and the norms are those of the windows that start empty in any case:
    they are the units of a training length, and must not grow with what was trained on beyond it. UserError for a
    model without a recurrent state.
    """
    if not recurrent(model.config.layers):
        raise UserError("checkpoints.no_states")
    if visits is not None:
        windows = max(2, windows // 2)
    drawn = draw_windows(streams, windows, train_length)
    kept = kept_boundaries(train_length, positions)
    count, layers, heads = len(drawn), len(model.config.layers), model.config.recorded_heads
    steps = 0 if visits is None else -(-windows * positions // ROWS)
    total = 2 * count + steps * ROWS

    sums, squares, norms = (torch.zeros(layers, heads, dtype=torch.float64) for _ in range(3))
    for start, states in read_windows(model, drawn, kept):
        for layer, found in enumerate(states):
            final = found[:, -1].double()
            sums[layer] += final.mean((-1, -2)).sum(0)
            squares[layer] += final.square().mean((-1, -2)).sum(0)
            norms[layer] += final.square().sum((-1, -2)).sqrt().sum(0)
        report(start, total)
    mean = sums / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()

    sketcher = Sketcher(model.config.d_inner * model.config.d_state, std.float())

    def sketched(states: list[torch.Tensor], row: int, boundary: int) -> torch.Tensor:
        layers = enumerate(zip(model.config.layers, states, strict=True))
        return torch.stack(
            [sketch_of(sketcher, at, name, found[row, boundary][None])[0] for at, (name, found) in layers]
        )

    sketches: list[torch.Tensor] = []
    position: list[int] = []
    window: list[int] = []
    for start, states in read_windows(model, drawn, kept):
        for row in range(len(states[0])):
            sketches += [sketched(states, row, place) for place in range(len(kept))]
            position += [min(boundary * CHUNK, train_length) for boundary in kept]
            window += [start + row] * len(kept)
        report(count + start, total)
    for step, visit in enumerate(visits(steps) if visits is not None else ()):
        rows, seqlen = visit.outputs[0].y.shape[:2]
        states = [output.boundary_states for output in visit.outputs]
        here = kept_boundaries(seqlen, positions)
        for place in range(min(ROWS, rows * len(here))):
            row = place % rows
            boundary = here[(place // rows + row + step) % len(here)]
            sketches.append(sketched(states, row, boundary))
            position.append(int(visit.before[row]) + min(boundary * CHUNK, seqlen))
            window.append(count + int(visit.chain[row]))
        report(2 * count + step * ROWS, total)
    report(total, total)
    return Explored(
        sketch=torch.stack(sketches).numpy(),
        position=np.array(position, np.int32),
        window=np.array(window, np.int32),
        mean=mean.float().numpy(),
        std=std.float().numpy(),
        norm_at_train_length=(norms / count).float().numpy(),
        train_length=train_length,
    )


def kept_boundaries(seqlen: int, positions: int) -> list[int]:
    """At most ``positions`` boundaries of a sequence of ``seqlen`` tokens, from its first chunk's end to its own."""
    boundaries = -(-seqlen // CHUNK)
    return np.unique(np.rint(np.linspace(1, boundaries, min(positions, boundaries))).astype(int)).tolist()


def draw_windows(streams: list[np.ndarray], windows: int, train_length: int) -> np.ndarray:
    """Windows of ``train_length`` tokens, the same number from each stream, evenly spaced: (n, train_length) int64."""
    each = max(1, windows // len(streams))
    drawn = []
    for stream in streams:
        room = len(stream) - train_length
        if room < 0:
            continue
        starts = np.unique(np.linspace(0, room, min(each, room // train_length + 1)).astype(int))
        drawn += [stream[start : start + train_length] for start in starts]
    if not drawn:
        raise ValueError("no stream is as long as the training length")
    return np.stack(drawn).astype(np.int64)


def read_windows(model: LanguageModel, drawn: np.ndarray, kept: list[int]) -> Iterator[tuple[int, list[torch.Tensor]]]:
    """Read ``drawn`` (n, train_length) in groups: (index of the first window, states of each layer).

    States are those at the boundaries ``kept``, (rows, kept, heads, headdim, d_state), in recorded heads.
    """
    config, length = model.config, drawn.shape[1]
    ends = [min(boundary * CHUNK, length) for boundary in kept]
    per_layer = config.d_inner * config.d_state
    while_read = (3 * SEGMENT if config.headdim == 1 else SEGMENT // CHUNK) * per_layer
    rows = max(1, min(ROWS, ROOM // ((len(kept) + 1) * config.state_size + while_read)))
    for start in range(0, len(drawn), rows):
        batch = torch.from_numpy(drawn[start : start + rows]).to(model.head.device)
        found: list[list[torch.Tensor]] = [[] for _ in config.layers]
        state = None
        for first in range(0, length, SEGMENT):
            stop = min(first + SEGMENT, length)
            here = [-(-(end - first) // CHUNK) for end in ends if first < end <= stop]
            scans = [recorded(scan, keeping(states, here, config.recorded_heads)) for states in found]
            with torch.inference_mode():
                _, state = model.hidden(batch[:, first:stop], state, scans)
        yield start, [torch.cat(states, dim=1) for states in found]


def keeping(into: list[torch.Tensor], boundaries: list[int], heads: int) -> Callable[[ScanOutput], None]:
    """An observer that appends the states at ``boundaries`` of a segment, in recorded ``heads``."""

    def observe(output: ScanOutput) -> None:
        states = output.boundary_states[:, boundaries]
        into.append(grouped(states.flatten(0, 1), heads).unflatten(0, states.shape[:2]).cpu())

    return observe
