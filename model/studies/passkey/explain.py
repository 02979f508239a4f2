"""One cell of a passkey test looked at closely: what is said in every trial, how surely, and the memory on the way.

The prompts are read from their starts, as :mod:`.run` does, with the norm of every layer's state noted
at each chunk boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.checkpoints.catalogue import load_tokenizer_of
from model.reading.stream import SEGMENT
from model.reading.telemetry import recorded
from model.recording.schema import CHUNK
from model.studies.passkey.answer import read_to_answers, scores
from model.studies.passkey.prompts import Prompt, Prompts
from model.studies.passkey.result import WORK
from model.studies.passkey.run import open_reader
from model.studies.passkey.task import PasskeyTask, Reader

if TYPE_CHECKING:
    from kernels.types import Scan, ScanOutput


@dataclass(frozen=True, eq=False, kw_only=True)
class Explained:
    """All trials of one cell.

    ``keys``: the right answers. ``right`` and ``said``: the symbols to say, and the most probable one in the place of
    each, given the right ones before it; (trials, digits) of text. ``probability`` (trials, digits): of the right
    ones. ``position`` (n,): tokens read. ``norms`` (trials, n, layers): Frobenius norms of the states there.
    ``needles``: where the needle begins and ends in every trial; ``queries``: where the query begins; in tokens.
    """

    keys: tuple[str, ...]
    right: tuple[tuple[str, ...], ...]
    said: tuple[tuple[str, ...], ...]
    probability: np.ndarray
    position: np.ndarray
    norms: np.ndarray
    needles: tuple[tuple[int, int], ...]
    queries: tuple[int, ...]

    @property
    def correct(self) -> tuple[bool, ...]:
        """Whether greedy decoding gives the whole key, by trial."""
        return tuple(right == said for right, said in zip(self.right, self.said, strict=True))


class NormRecorder:
    """Notes the norm of every layer's state at chunk boundaries, by looking at what passes through its scans."""

    def __init__(self, layers: int) -> None:
        self.positions: list[int] = [0]
        self.norms: list[list[np.ndarray]] = [[] for _ in range(layers)]

    def scans(self, scans: Sequence[Scan]) -> list[Scan]:
        """``scans``, one per layer, each looked at."""

        def observer(layer: int) -> Callable[[ScanOutput], None]:
            return lambda output: self._observe(layer, output)

        return [recorded(scan, observer(layer)) for layer, scan in enumerate(scans)]

    def _observe(self, layer: int, output: ScanOutput) -> None:
        if output.telemetry is None:
            squares = output.boundary_states.square().sum((-1, -2, -3))
        else:  # of a cache the norm is that of all keys and values, which its boundary state does not hold
            squares = output.telemetry.norm.square().sum(-1)
        norms = squares.sqrt().float().cpu().numpy()  # (rows, boundaries)
        begun = bool(self.norms[layer])  # the first boundary of every later segment is the last of the one before
        self.norms[layer].append(norms[:, 1:] if begun else norms)
        if layer == 0:
            last, length = self.positions[-1], output.y.shape[1]
            self.positions += [last + min(CHUNK * count, length) for count in range(1, norms.shape[1])]

    def take(self) -> np.ndarray:
        """The norms of all layers, (rows, boundaries, layers)."""
        return np.stack([np.concatenate(layer, axis=1) for layer in self.norms], axis=-1)


def explain(
    task: PasskeyTask,
    reader: Reader,
    cell: tuple[int, float],
    *,
    text: str = "",
    source: Path | None = None,
    passed: Callable[[int], bool] = lambda tokens: False,
) -> Explained | None:
    """Let ``reader`` answer every trial of ``cell``, a length and a depth that ``task`` need not contain.

    ``text`` and ``source`` are as for :func:`.run.measure`. None if ``passed(tokens read so far)`` turned
    true. UserError for whatever does not fit.
    """
    tokenizer = load_tokenizer_of(reader.model)
    prompts = Prompts(task, tokenizer, text)
    model, scans_over, state = open_reader(reader, source)
    written = [prompts.prompt(*cell, trial) for trial in range(task.trials)]
    layers = len(model.config.layers)
    rows = max(1, WORK // (layers * model.config.d_inner * SEGMENT))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    norms: list[np.ndarray] = []
    position: list[int] = []
    for first in range(0, len(written), rows):
        batch, recorder = written[first : first + rows], NormRecorder(layers)
        before = first * cell[0]

        def on_the_way(tokens: int, before: int = before) -> bool:
            return passed(before + tokens)

        reached = read_to_answers(model, batch, recorder.scans(scans_over()), state, on_the_way)
        if reached is None:
            return None
        found.append(scores(model, *reached))
        norms.append(recorder.take())
        position = recorder.positions
    likeliest = np.concatenate([tokens for _, tokens in found])
    return Explained(
        keys=tuple(prompt.key for prompt in written),
        right=tuple(_symbols(tokenizer, _scored(prompt)) for prompt in written),
        said=tuple(_symbols(tokenizer, row) for row in likeliest),
        probability=np.concatenate([probability for probability, _ in found]),
        position=np.array(position),
        norms=np.concatenate(norms),
        needles=tuple((prompt.needle_start, prompt.needle_end) for prompt in written),
        queries=tuple(prompt.query_start for prompt in written),
    )


def _scored(prompt: Prompt) -> np.ndarray:
    """The tokens that have to be said."""
    return np.concatenate([prompt.ids, prompt.key_ids])[prompt.scored]


def _symbols(tokenizer, ids: np.ndarray) -> tuple[str, ...]:  # type: ignore[no-untyped-def]
    return tuple(tokenizer.decode([int(token)], skip_special_tokens=False) for token in ids)
