"""One document read in one go, as the studies of evidence and of architectures read it: losses, states, windows.

Loss within the training length T is the mean over windows of T tokens, spread over the document, each read from the
initial state: the first T tokens of a document alone would be one paragraph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kernels.types import Scan
from model.arch.lm import LanguageModel
from model.reading.stream import read
from model.reading.telemetry import recorded, reduce_states, reduced_by_kernel
from model.reading.windows import window_losses
from model.recording.schema import CHUNK
from model.state import State
from model.studies.evidence.result import SPOTS

Passed = Callable[[int], bool]
"""``passed(tokens)`` takes the number of tokens read, and returns whether to stop."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Whole:
    """A document that was read: ``losses`` (tokens,) in nats, NaN for the first; their mean ``within`` windows of T.

    ``state`` is the memory at the end, ``statistics`` are those of the states on the way, None if they were not asked.
    """

    losses: np.ndarray
    within: float
    state: State
    statistics: Statistics | None


def read_whole(
    model: LanguageModel,
    tokens: np.ndarray,
    train_length: int,
    state: State,
    scans: Sequence[Scan],
    passed: Passed,
    *,
    watch: bool = True,
) -> Whole | None:
    """Read ``tokens`` (tokens,) from ``state``, whole and in windows of ``train_length``; None if stopped.

    ``watch``: also reduce the states on the way.
    """
    statistics = Statistics(len(scans)) if watch else None
    losses, after = [np.full(1, np.nan, np.float32)], state
    for segment in read(model, tokens, state, scans if statistics is None else statistics.scans(scans)):
        losses.append(segment.losses)
        after, count = segment.state, segment.stop - segment.start
        if statistics is not None:
            statistics.passed(count)
        if passed(count):
            return None
    within = window_losses(model, tokens, train_length, state, scans, passed)
    if within is None:
        return None
    mean = float(within.mean(dtype=np.float64))
    return Whole(losses=np.concatenate(losses), within=mean, state=after, statistics=statistics)


def state_after(
    model: LanguageModel, tokens: np.ndarray, scans: Sequence[Scan], passed: Passed = lambda tokens: False
) -> State | None:
    """The memory after ``tokens`` (tokens,), read from an empty one; None if stopped."""
    state = model.zero_state()
    for segment in read(model, tokens, state, scans):
        state = segment.state
        if passed(segment.stop - segment.start):
            return None
    return state


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
                if output.telemetry is None:
                    found = reduce_states(output.boundary_states[0])
                else:  # of a cache its own: boundary states hold but its means
                    found = reduced_by_kernel(output.telemetry, None)[0]
                self._seen[layer].append(found[:3, 1:].cpu().numpy())

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
