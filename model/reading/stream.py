"""The one loop through time: tokens in segments, state from one to the next, the loss of every token.

Segments are cut at absolute positions, so a document that arrives in pieces, or is resumed after a kill, goes through
the very same arithmetic as one that is read at once. Memory is bounded by a segment, whatever the length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kernels.cpu.chunked_scalar import LOG2_E
from kernels.types import Scan
from model.arch.lm import LanguageModel
from model.config import ModelConfig
from model.state import State

SEGMENT = 512
"""Tokens of a segment: measured fastest on CPUs, whose caches it fits, for all but small models."""

CHANNELS = 1 << 20
"""Tokens times channels of all layers that a segment of a small model has: fewer, longer calls, still milliseconds."""

CONTROL_BATCH = 4096
"""Tokens that the control reads at once: enough for full products, few enough to stop within a second."""

TILE = 2048
"""Words of the vocabulary that are scored at once: with a segment's tokens, what a cache holds."""


class Segment(NamedTuple):
    """What one step of the loop gives: ``losses`` (stop - start,) are those of the tokens start + 1 to stop, in nats.

    Nothing follows the last token of a document, so its segment has one loss less.
    """

    start: int
    stop: int
    losses: np.ndarray
    state: State


def read(
    model: LanguageModel, tokens: np.ndarray, state: State, scans: Sequence[Scan], start: int = 0
) -> Iterator[Segment]:
    """Read ``tokens`` (n_tokens,) from position ``start``, whose memory is ``state``, through ``scans``."""
    ids = torch.from_numpy(tokens.astype(np.int64)).to(model.head.device)
    size = segment_of(model.config)
    for first in range(start, len(ids), size):
        with torch.inference_mode():  # entered anew for each segment: a generator must not leave it open
            segment = ids[None, first : first + size]
            hidden, state = model.hidden(segment, state, scans)
            targets = ids[None, first + 1 : first + size + 1]
            losses = losses_of(model, hidden[:, : targets.shape[1]], targets)[0].cpu().numpy()
        yield Segment(first, first + segment.shape[1], losses, state)


def segment_of(config: ModelConfig) -> int:
    """Tokens that a model reads at a time, a multiple of SEGMENT: up to four of them where it is small."""
    channels = len(config.layers) * config.d_inner
    return SEGMENT * max(1, min(4, CHANNELS // (SEGMENT * channels)))


def losses_of(model: LanguageModel, hidden: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats of each target: (batch, seqlen, d_model), (batch, seqlen) -> (batch, seqlen).

    The vocabulary is scored in tiles that a cache holds, and only their sums of exponentials are kept: the logits of a
    large vocabulary would be the largest tensor of all, and are never formed. For inference only.
    """
    flat, wanted = hidden.flatten(0, 1), targets.flatten()
    parts = [
        _tiled_losses(model, flat[row : row + SEGMENT], wanted[row : row + SEGMENT])
        for row in range(0, len(wanted), SEGMENT)
    ]
    return torch.cat(parts).view(targets.shape) if parts else torch.zeros(targets.shape)


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


def control_border(first: int, train_length: int) -> int:
    """The end of the stretch of tokens, ``first`` among them, that one batch of the control's windows scores."""
    step = max(1, train_length // 2)
    window = max(0, -(-(first - train_length) // step))
    last = (window // control_rows(train_length) + 1) * control_rows(train_length) - 1
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
        stretch = torch.zeros(len(starts), train_length + 1, dtype=torch.int64)
        for row, begin in enumerate(starts):
            piece = ids[begin : begin + train_length + 1]
            stretch[row, : len(piece)] = piece
        scored = np.concatenate(fresh_losses(model, stretch), axis=1)
        here = (window >= low) & (window < low + rows)
        losses[wanted[here] - first] = scored[window[here] - low, wanted[here] - window[here] * step - 1]
    return losses


def fresh_losses(model: LanguageModel, stretch: torch.Tensor) -> list[np.ndarray]:
    """Losses of ``stretch`` (batch, 1 + seqlen) from an empty memory, segment by segment: [(batch, segment), ...]."""
    stretch = stretch.to(model.head.device)
    state, losses = model.zero_state(len(stretch)), []
    with torch.inference_mode():
        for first in range(0, stretch.shape[1] - 1, SEGMENT):
            piece = stretch[:, first : first + SEGMENT + 1]
            hidden, state = model.hidden(piece[:, :-1], state)
            losses.append(losses_of(model, hidden, piece[:, 1:]).cpu().numpy())
    return losses
