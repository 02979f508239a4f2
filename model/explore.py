"""Which states a model has seen: its own memory within the training length, over many windows of a reference text.

The result (:class:`model.diagnostics.explored.Explored`) is what "fitted" noise is drawn from, what the norm bound is a
multiple of, and what the state map calls explored. Windows start with an empty memory, as in training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from kernels.chunked import chunked_scan
from kernels.types import CHUNK, ScanOutput
from model.diagnostics.explored import Explored
from model.lm import LanguageModel
from model.telemetry import Sketcher, recorded

ROWS = 16
"""Windows read together."""


def explore(
    model: LanguageModel,
    streams: list[np.ndarray],
    train_length: int,
    *,
    windows: int = 512,
    positions: int = 4,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Explored:
    """Read ``windows`` windows of ``train_length`` tokens, spread evenly over ``streams``, and keep their states.

    ``positions`` states are kept of each window, at boundaries spread from its first chunk to its end. The text is read
    twice: the spread of the elements must be known before a state can be sketched in its units.
    """
    drawn = draw_windows(streams, windows, train_length)
    boundaries = -(-train_length // CHUNK)
    kept = np.unique(np.rint(np.linspace(1, boundaries, min(positions, boundaries))).astype(int))
    count, layers, heads = len(drawn), len(model.config.layers), model.config.nheads
    total = 2 * count

    sums, squares, norms = (torch.zeros(layers, heads, dtype=torch.float64) for _ in range(3))
    for start, outputs in read_windows(model, drawn):
        for layer, output in enumerate(outputs):
            final = output.boundary_states[:, -1].double()
            sums[layer] += final.mean((-1, -2)).sum(0)
            squares[layer] += final.square().mean((-1, -2)).sum(0)
            norms[layer] += final.square().sum((-1, -2)).sqrt().sum(0)
        report(start, total)
    mean = sums / count
    std = (squares / count - mean.square()).clamp_min(0).sqrt()

    sketcher = Sketcher(heads * model.config.headdim * model.config.d_state, std.float())
    sketches = []
    for start, outputs in read_windows(model, drawn):
        for row in range(outputs[0].y.shape[0]):
            for boundary in kept:
                sketches.append(
                    torch.stack(
                        [sketcher(layer, output.boundary_states[row, boundary]) for layer, output in enumerate(outputs)]
                    )
                )
        report(count + start, total)
    report(total, total)
    return Explored(
        sketch=torch.stack(sketches).numpy(),
        position=np.tile(np.minimum(kept * CHUNK, train_length), count).astype(np.int32),
        window=np.repeat(np.arange(count), len(kept)).astype(np.int32),
        mean=mean.float().numpy(),
        std=std.float().numpy(),
        norm_at_train_length=(norms / count).float().numpy(),
        train_length=train_length,
    )


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


def read_windows(model: LanguageModel, drawn: np.ndarray) -> Iterator[tuple[int, list[ScanOutput]]]:
    """Read ``drawn`` (n, train_length) in groups: (index of the first window, each layer's output)."""
    for start in range(0, len(drawn), ROWS):
        outputs: list[ScanOutput] = []
        with torch.inference_mode():
            model.hidden(
                torch.from_numpy(drawn[start : start + ROWS]),
                scans=[recorded(chunked_scan, outputs.append)] * len(model.config.layers),
            )
        yield start, outputs
