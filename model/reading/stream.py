"""The one loop through time: tokens in segments, state from one to the next, the loss of every token.

Segments are cut at absolute positions, so a document that arrives in pieces, or is resumed after a kill, goes through
the very same arithmetic as one that is read at once. Memory is bounded by a segment, whatever the length.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kernels.cpu.chunked_scalar import LOG2_E
from kernels.layer import row_losses
from kernels.types import CHUNK, Scan
from model.arch.lm import LanguageModel
from model.config import ModelConfig
from model.machine import free_memory
from model.reading.telemetry import Recorder
from model.reading.transfer import Transfer
from model.recording.schema import LOSS
from model.state import State, flatten_state

SEGMENT = 512
"""Tokens of a segment: measured fastest on CPUs, whose caches it fits, for all but small models."""

CHANNELS = 1 << 20
"""Tokens times channels of all layers that a segment of a small model has: fewer, longer calls, still milliseconds."""

CONTROL_BATCH = 4096
"""Tokens that the control reads at once: enough for full products, few enough to stop within a second."""

TILE = 2048
"""Words of the vocabulary that are scored at once: with a segment's tokens, what a cache holds."""


LONGEST = 32_768
"""Tokens of the longest segment: what a recording writes together, so that every block ends with a segment."""

PAIRS = 2048
"""Tokens of the longest segment of a model with attention."""

LOGITS = 1 << 30
"""Bytes that the scores of the vocabulary may take on a GPU, with room to widen them."""

SAVED = "state/"
"""Before the names of a state's tensors, among those of a segment."""

CPU = torch.device("cpu")

log = logging.getLogger(__name__)


class Segment(NamedTuple):
    """What one step of the loop gives: ``losses`` (stop - start,) are those of the tokens start + 1 to stop, in nats.

    Nothing follows the last token of a document, so its segment has one loss less. ``state`` is the memory after it,
    where the model is. With a recorder also ``telemetry``, as :meth:`Recorder.take` gives it, and the state by
    name as numpy, in ``saved``.
    """

    start: int
    stop: int
    losses: np.ndarray
    state: State
    telemetry: Mapping[str, tuple[int, np.ndarray]]
    saved: Mapping[str, np.ndarray]


class OnItsWay(NamedTuple):
    """A segment that was handed to the device, whose numbers may not have arrived."""

    start: int
    stop: int
    state: State
    rows: Mapping[str, int]
    transfer: Transfer

    def segment(self) -> Segment:
        """The segment, as soon as its numbers are here."""
        arrays = self.transfer.arrays()
        telemetry = {name: (row, arrays[name]) for name, row in self.rows.items()}
        saved = {name.removeprefix(SAVED): array for name, array in arrays.items() if name.startswith(SAVED)}
        return Segment(self.start, self.stop, arrays[LOSS], self.state, telemetry, saved)


def read(
    model: LanguageModel,
    tokens: np.ndarray,
    state: State,
    scans: Sequence[Scan],
    start: int = 0,
    *,
    recorder: Recorder | None = None,
    size: int | None = None,
    ahead: bool | None = None,
) -> Iterator[Segment]:
    """Read ``tokens`` (n_tokens,) from position ``start``, whose memory is ``state``, through ``scans``.

    ``recorder`` is that of the scans, whose telemetry comes with every segment. A segment has ``size`` tokens (by
    default :func:`segment_of`), and fewer from where the device runs out of memory on; torch.OutOfMemoryError only if
    SEGMENT tokens are too many. ``ahead``: the next segment is handed to the device before one is looked at, so that a
    GPU never waits (the default there).
    """
    device = model.head.device
    ids = torch.from_numpy(tokens.astype(np.int64)).to(device)
    size = segment_of(model.config, device) if size is None else size
    ahead = device.type != "cpu" if ahead is None else ahead
    waiting: OnItsWay | None = None
    first = start
    while first < len(ids):
        try:
            sent = _send(model, ids, first, min(len(ids), (first // size + 1) * size), state, scans, recorder)
        except torch.OutOfMemoryError:
            if size <= SEGMENT:
                raise
            size = shorter(size)
            if recorder is not None:
                recorder.drop()
            continue
        state, first = sent.state, sent.stop
        arrived, waiting = (waiting, sent) if ahead else (sent, None)
        if arrived is not None:
            yield arrived.segment()
    if waiting is not None:
        yield waiting.segment()


def _send(
    model: LanguageModel,
    ids: Tensor,
    first: int,
    stop: int,
    state: State,
    scans: Sequence[Scan],
    recorder: Recorder | None,
) -> OnItsWay:
    """Hand the tokens ``first`` to ``stop`` to the device."""
    with torch.inference_mode():  # entered anew for each segment: a generator must not leave it open
        hidden, state = model.hidden(ids[None, first:stop], state, scans)
        targets = ids[None, first + 1 : stop + 1]
        numbers = {LOSS: losses_of(model, hidden[:, : targets.shape[1]], targets)[0]}
        rows: dict[str, int] = {}
        if recorder is not None:
            rows, telemetry = recorder.hand_over(stop - first)
            numbers |= telemetry | {SAVED + name: tensor for name, tensor in flatten_state(state).items()}
        return OnItsWay(first, stop, state, rows, Transfer(numbers))


def shorter(size: int) -> int:
    """Half a segment, after what the device keeps for later was given back to it."""
    torch.cuda.empty_cache()
    log.warning("the GPU is out of memory: segments of %d tokens from here on, not %d", size // 2, size)
    return size // 2


def segment_of(config: ModelConfig, device: torch.device = CPU) -> int:
    """Tokens that a model reads at a time, SEGMENT times a power of two on a GPU: the result does not depend on it.

    On a CPU up to four SEGMENTs where the model is small. On a GPU as many as half of its free memory holds, LONGEST
    at most; where attention stands between the memories, which sees all pairs of tokens, PAIRS at most.
    """
    if device.type == "cpu":
        channels = len(config.layers) * config.d_inner
        return SEGMENT * max(1, min(4, CHANNELS // (SEGMENT * channels)))
    wide = 4 * (40 * config.d_inner + 8 * config.d_model)
    states = 12 * config.d_inner * config.d_state * (1 if config.headdim == 1 else 1 / CHUNK)
    room = (free_memory(str(device)) // 2 - 2 * LOGITS) / (wide + states)
    most = PAIRS if getattr(config, "kept_per_token", 0) else LONGEST
    return int(min(most, max(SEGMENT, SEGMENT * 2 ** int(np.log2(max(1.0, room / SEGMENT))))))


def losses_of(model: LanguageModel, hidden: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats of each target: (batch, seqlen, d_model), (batch, seqlen) -> (batch, seqlen).

    The vocabulary is scored in tiles that a cache holds, and only their sums of exponentials are kept: the logits of a
    large vocabulary would be the largest tensor of all, and are never formed. On a GPU, where a launch costs more than
    a cache saves, the whole vocabulary is scored at once, for as many tokens as LOGITS bytes hold. For inference only.
    """
    flat, wanted = hidden.flatten(0, 1), targets.flatten()
    if not len(wanted):
        return hidden.new_zeros(targets.shape)
    if flat.device.type == "cpu":
        rows, score = SEGMENT, _tiled_losses
    else:
        rows, score = max(1, LOGITS // (8 * model.config.vocab_size)), _whole_losses
    parts = [score(model, flat[row : row + rows], wanted[row : row + rows]) for row in range(0, len(wanted), rows)]
    return torch.cat(parts).view(targets.shape)


def _whole_losses(model: LanguageModel, hidden: Tensor, targets: Tensor) -> Tensor:
    """(rows, d_model), (rows,) -> (rows,): from scores of the whole vocabulary, in the model's precision."""
    return row_losses(model.logits(hidden), targets)


def _tiled_losses(model: LanguageModel, hidden: Tensor, targets: Tensor) -> Tensor:
    """(rows, d_model), (rows,) -> (rows,): log sum exp of all scores, minus the target's.

    Exponentials are powers of two: ``exp2`` is three times as fast as ``exp``. The scores are the model's own, which
    may be capped: nothing can be multiplied into what the head reads.
    """
    highest = hidden.new_full(targets.shape, -torch.inf)
    total, wanted = torch.zeros_like(highest), torch.zeros_like(highest)
    for first in range(0, model.config.vocab_size, TILE):
        logits = model.logits(hidden, slice(first, first + TILE)).float()
        place = (targets - first).clamp(0, logits.shape[1] - 1)
        inside = place + first == targets
        wanted = torch.where(inside, logits.gather(1, place[:, None])[:, 0], wanted)
        top = torch.maximum(highest, logits.amax(1))
        kept = ((highest - top) * LOG2_E).exp2()
        total = total * kept + logits.sub_(top[:, None]).mul_(LOG2_E).exp2_().sum(1)
        highest = top
    return highest + total.log() - wanted


def control_rows(train_length: int) -> int:
    """Windows of the control that are read side by side."""
    return max(1, CONTROL_BATCH // train_length)


def control_border(first: int, train_length: int, rows: int | None = None) -> int:
    """The end of the span of tokens, ``first`` among them, that one batch of the control's windows scores.

    ``rows`` are the windows of a batch, by default :func:`control_rows`.
    """
    rows = control_rows(train_length) if rows is None else rows
    step = max(1, train_length // 2)
    window = max(0, -(-(first - train_length) // step))
    last = (window // rows + 1) * rows - 1
    return train_length + last * step + 1


def control_losses(model: LanguageModel, tokens: np.ndarray, first: int, stop: int, train_length: int) -> np.ndarray:
    """The matched control: the loss of tokens ``first`` to ``stop`` with a fresh memory, (stop - first,), in nats.

    Windows of ``train_length`` tokens overlap by half and start with an empty memory; a token is scored in the window
    that has read between half a training length and a whole one before it (at the document's start: what there is).
    Token 0 is predicted by nothing and gets NaN. The model is plain: no mitigation, no initial state.
    """
    step = max(1, train_length // 2)
    losses = np.full(stop - first, np.nan, np.float32)
    wanted = np.arange(max(first, 1), stop)
    if not len(wanted):
        return losses
    window = np.maximum(0, -(-(wanted - train_length) // step))
    ids = torch.from_numpy(tokens.astype(np.int64))
    rows = control_rows(train_length)
    for low in range(int(window[0]), int(window[-1]) + 1, rows):
        starts = [index * step for index in range(low, min(low + rows, int(window[-1]) + 1))]
        span = torch.zeros(len(starts), train_length + 1, dtype=torch.int64)
        for row, begin in enumerate(starts):
            piece = ids[begin : begin + train_length + 1]
            span[row, : len(piece)] = piece
        skipped = train_length - step if low else 0  # what a window before has scored
        scored = np.concatenate(fresh_losses(model, span, skip=skipped), axis=1)
        here = (window >= low) & (window < low + rows)
        losses[wanted[here] - first] = scored[window[here] - low, wanted[here] - window[here] * step - 1 - skipped]
    return losses


def fresh_losses(
    model: LanguageModel,
    span: torch.Tensor,
    state: State | None = None,
    scans: Sequence[Scan] | None = None,
    *,
    skip: int = 0,
) -> list[np.ndarray]:
    """Losses of ``span`` (batch, 1 + seqlen) from ``state``, by default empty: [(batch, segment), ...].

    The first ``skip`` tokens are read and not scored.
    """
    span, losses = span.to(model.head.device), []
    state = model.zero_state(len(span)) if state is None else state
    with torch.inference_mode():
        for first in range(0, span.shape[1] - 1, SEGMENT):
            piece = span[:, first : first + SEGMENT + 1]
            hidden, state = model.hidden(piece[:, :-1], state, scans)
            unscored = max(0, skip - first)
            losses.append(losses_of(model, hidden[:, unscored:], piece[:, 1 + unscored :]).cpu().numpy())
    return losses
