"""Read whole spans and ever shorter ends of them, side by side, and compare what is predicted next.

A pass over n tokens is cheap where n is small, and the numbers of kept tokens are spread over its logarithm, so all
suffixes of a span together cost about three times the span. Rows of a batch are the same suffix of several end
points; suffixes that fill equally many chunks of the scan are filled up on the right, where a causal model does not
look, and join one batch. Every pass begins with the same initial state, so forgetting means going back to that.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.checkpoints.card import same_tokenizer
from model.checkpoints.catalogue import available, model_card
from model.recording.schema import CHUNK
from model.studies.effective_context.result import EffectiveContextResult
from model.studies.passkey.result import WORK
from model.studies.passkey.run import open_reader

if TYPE_CHECKING:
    from torch import Tensor

    from kernels.types import Scan
    from model.arch.lm import LanguageModel
    from model.state import State

Report = Callable[[EffectiveContextResult, int], None]
"""``report(what there is so far, tokens read)``"""


def sharing_tokenizer(model: str) -> list[str]:
    """The other installed models whose tokenizer file is that of ``model``: their predictions can be compared."""
    card = model_card(model)
    return [name for name, other in available().items() if name != model and same_tokenizer(other, card)]


def measure(
    begun: EffectiveContextResult,
    tokens: np.ndarray,
    *,
    source: Path | None = None,
    report: Report = lambda result, done: None,
    stop: Callable[[], bool] = lambda: False,
) -> EffectiveContextResult:
    """Load what ``begun.reader`` names and run what ``begun`` lacks: :func:`run_effective_context` from names.

    ``tokens`` (n_tokens,) are the document as the model's own tokenizer gives it, ``source`` the folder of the
    recording of a carried state. UserError for whatever does not fit, before any reading.
    """
    begun.task.check()
    begun.task.end_points(len(tokens))
    model, scans_over, state = open_reader(begun.reader, source)
    return run_effective_context(model, tokens, begun, scans=scans_over(), state=state, report=report, stop=stop)


def run_effective_context(
    model: LanguageModel,
    tokens: np.ndarray,
    begun: EffectiveContextResult,
    *,
    scans: Sequence[Scan] | None = None,
    state: State | None = None,
    report: Report = lambda result, done: None,
    stop: Callable[[], bool] = lambda: False,
) -> EffectiveContextResult:
    """Run the end points of ``begun.task`` in ``tokens`` (n_tokens,) that ``begun`` lacks.

    ``begun`` is an empty result, or one that was cancelled; ``state`` is of one row, ``scans`` are per layer. The end
    points that are read together are spread over the document, so that a part of them already speaks for all of it.
    ``report`` is called first, and after every segment of a batch. When ``stop()`` turns true, the end points that are
    finished are returned, at most one segment later.
    """
    from model.reading.stream import SEGMENT

    task, result = begun.task, begun
    task.check()
    missing = [end for end in task.end_points(len(tokens)) if end not in begun.distances]
    channels = len(model.config.layers) * model.config.d_inner
    groups = -(-len(missing) // max(1, WORK // (channels * min(task.length, SEGMENT))))
    started = time.monotonic()
    done = begun.tokens
    report(result, done)
    for group in range(groups):
        ends = missing[group::groups]

        def passed(read: int, before: int = done, so_far: EffectiveContextResult = result) -> bool:
            report(so_far, before + read)
            return stop()

        found = distances(model, tokens, ends, task.length, task.lengths, scans=scans, state=state, passed=passed)
        if found is None:
            return result
        done += len(ends) * task.tokens_per_end
        rows = {end: tuple(row.tolist()) for end, row in zip(ends, found, strict=True)}
        seconds = begun.seconds + time.monotonic() - started
        result = replace(result, distances={**result.distances, **rows}, seconds=seconds)
        report(result, done)
    return result


def distances(
    model: LanguageModel,
    tokens: np.ndarray,
    ends: Sequence[int],
    length: int,
    lengths: Sequence[int],
    *,
    scans: Sequence[Scan] | None = None,
    state: State | None = None,
    passed: Callable[[int], bool] = lambda read: False,
) -> np.ndarray | None:
    """Total variation between the predictions after ``length`` tokens and after the last n of them.

    ``ends`` (ends,): positions in ``tokens`` (n_tokens,) at which the spans end; ``lengths``: every n, ascending.
    Returns (ends, lengths), or None if ``passed(tokens read so far)`` turned true. UserError if a prediction is not
    finite, as where a state overflowed.
    """
    kept = [n for n in lengths if n < length]
    found = np.zeros((len(ends), len(lengths)))  # and 0 by definition where nothing is forgotten
    read = 0

    def predictions(*sizes: int) -> Tensor | None:
        nonlocal read
        before, read = read, read + sum(sizes) * len(ends)
        spans = [tokens[end - size : end] for size in sizes for end in ends]
        return last_predictions(model, spans, scans, state, lambda count: passed(before + count))

    whole = predictions(length)
    if whole is None:
        return None
    for _, together in itertools.groupby(kept, key=lambda n: -(-n // CHUNK)):
        sizes = list(together)
        after = predictions(*sizes)
        if after is None:
            return None
        moved = (after.unflatten(0, (len(sizes), len(ends))) - whole).abs().sum(-1) / 2
        first = kept.index(sizes[0])
        found[:, first : first + len(sizes)] = moved.clamp(max=1).T.cpu().numpy()
    return found


def last_predictions(
    model: LanguageModel,
    spans: Sequence[np.ndarray],
    scans: Sequence[Scan] | None,
    state: State | None,
    passed: Callable[[int], bool],
) -> Tensor | None:
    """The distribution after the last token of each of ``spans`` (tokens,): (spans, vocab_size).

    They are read side by side from ``state`` (of one row), the shorter ones filled up on the right. None if
    ``passed(tokens read so far)`` turned true between two segments. UserError if one is not finite.
    """
    import torch

    from model.reading.finite import check_scores
    from model.reading.stream import SEGMENT
    from model.state import map_state

    rows = len(spans)
    lengths = torch.tensor([len(span) for span in spans])
    ids = torch.zeros(rows, int(lengths.max()), dtype=torch.int64)
    for row, span in enumerate(spans):
        ids[row, : len(span)] = torch.from_numpy(span.astype(np.int64))
    weight = model.norm.weight
    ids, last = ids.to(weight.device), (lengths - 1).to(weight.device)
    if state is not None:
        state = map_state(state, lambda tensor: tensor.expand(rows, *tensor.shape[1:]))
    with torch.inference_mode():
        final = weight.new_zeros(rows, model.config.d_model)
        for first in range(0, ids.shape[1], SEGMENT):
            hidden, state = model.hidden(ids[:, first : first + SEGMENT], state, scans)
            here = (last >= first) & (last < first + SEGMENT)
            final[here] = hidden[here, last[here] - first]
            if passed(int(lengths.clamp(max=first + SEGMENT).sum())):
                return None
        logits = model.logits(final)
        check_scores(model, logits)
        return logits.to(torch.promote_types(logits.dtype, torch.float32)).softmax(-1)
