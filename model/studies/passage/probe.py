"""What a model still knows of a passage, by what it does: the passage comes again, and where it holds a key, a query.

Both are read on from a copy of a state; the reading that the state is of does not change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.documents.token_ids import MEDIA as TOKEN_IDS
from model.machine import chosen_device
from model.reading.again import Moment
from model.reading.runner import read_with
from model.reading.stream import fresh_losses, losses_of, segment_of
from model.state import State
from model.studies.ask.run import Voice
from model.studies.passage.result import Passage, Recalled
from model.studies.passkey.answer import said
from model.studies.passkey.words import Words
from model.studies.recall import PAIR, PASSKEYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer

    from kernels.types import Scan
    from model.arch.lm import LanguageModel
    from model.reading.prepare import Prepared


class StoppedError(Exception):
    """The user cancelled; what was stored stays."""


class Query(NamedTuple):
    """A query with its answer, in tokens (n,) int64, of which the last ``key`` are the answer."""

    ids: np.ndarray
    key: int


class Prober:
    """A model that reads a passage, or the query for its key, on from states of a reading."""

    def __init__(self, prepared: Prepared, passage: Passage) -> None:
        self.voice = Voice(prepared.experiment, prepared.explored, prepared.device)
        self.model, self.scans = self.voice.model, self.voice.scans
        self.plain = read_with(prepared.experiment, prepared.experiment.precision, chosen_device(prepared.device))
        self.train_length = prepared.experiment.train_length
        self.tokens = prepared.tokens.astype(np.int64)
        self.passage = passage
        self.ids = self.tokens[passage.start : passage.stop]
        self.query = None
        if self.voice.tokenizer is not None and prepared.document.media != TOKEN_IDS:
            ends = [*prepared.characters.tolist(), len(prepared.document.text)]
            text = prepared.document.text[ends[passage.start] : ends[passage.stop]]
            self.query = query_in(text, self.voice.tokenizer)

    def again(self, state: State, hidden: Tensor | None) -> np.ndarray:
        """Losses of the passage, read on from ``state``, (rows, tokens); ``hidden`` is what the head reads there.

        Without ``hidden`` nothing predicts the first token, whose loss is NaN.
        """
        return losses_from(self.model, self.scans, state, hidden, self.ids)

    def fresh(self, distance: int) -> np.ndarray:
        """Losses of the passage (tokens,), ``distance`` tokens after its end, with a fresh state of the plain model.

        It has read what came last after the passage, a training length of it at most, so never the passage itself.
        """
        end = self.passage.stop + distance
        before = self.tokens[end - min(distance, self.train_length) : end]
        span = torch.from_numpy(np.concatenate([before, self.ids]))[None]
        parts = fresh_losses(self.plain, span, skip=max(0, len(before) - 1))
        found = np.concatenate([np.full(1, np.nan, np.float32), *(part[0] for part in parts)])
        return found[-len(self.ids) :]

    def recalled(self, state: State) -> list[Recalled]:
        """What each row of ``state`` answers to the query; empty without one."""
        if self.query is None:
            return []
        rows = len(state[0].memory.state)
        ids = torch.from_numpy(self.query.ids)[None].expand(rows, -1).to(self.model.head.device)
        with torch.inference_mode():
            hidden, _ = self.model.hidden(ids[:, :-1], state, self.scans)
        key = self.query.key
        found = said(self.model, hidden[:, -key:], ids[:, -key:])
        return [Recalled(float(probability.mean()), bool(right.all())) for probability, right in found]


def losses_from(
    model: LanguageModel, scans: Sequence[Scan], state: State, hidden: Tensor | None, tokens: np.ndarray
) -> np.ndarray:
    """Losses of ``tokens`` (n,) read on from ``state``, in nats, (rows, n); without ``hidden`` the first is NaN."""
    rows, device = len(state[0].memory.state), model.head.device
    ids = torch.from_numpy(tokens.astype(np.int64))[None].expand(rows, -1).to(device)
    found = [np.full((rows, 1), np.nan, np.float32)]
    size = segment_of(model.config, device)
    with torch.inference_mode():
        if hidden is not None:
            found = [losses_of(model, hidden[:, None], ids[:, :1]).float().cpu().numpy()]
        for first in range(0, len(tokens) - 1, size):
            piece = ids[:, first : min(first + size, len(tokens) - 1)]
            seen, state = model.hidden(piece, state, scans)
            targets = ids[:, first + 1 : first + 1 + piece.shape[1]]
            found.append(losses_of(model, seen, targets).float().cpu().numpy())
    return np.concatenate(found, axis=1)


def walk(
    model: LanguageModel,
    scans: Sequence[Scan],
    start: Moment,
    tokens: np.ndarray,
    moments: Sequence[int],
    passed: Callable[[int], None] = lambda tokens: None,
) -> Iterator[Moment]:
    """The memory after each of ``moments``, sorted numbers of tokens of the document, from ``start`` on.

    ``tokens`` (n,) are those of the document. A piece that is read ends at a moment, so nothing is read twice;
    ``passed`` gets the tokens of every piece, and may raise.
    """
    device = model.head.device
    ids = torch.from_numpy(tokens.astype(np.int64))[None].to(device)
    size = segment_of(model.config, device)
    place, state, hidden = start
    for moment in moments:
        while place < moment:
            end = min(moment, (place // size + 1) * size)
            with torch.inference_mode():
                seen, state = model.hidden(ids[:, place:end], state, scans)
            hidden = seen[:, -1]
            passed(end - place)
            place = end
        yield Moment(moment, state, hidden)


def query_in(text: str, tokenizer: Tokenizer) -> Query | None:
    """The query for the key that ``text`` holds in the words of a needle; None if it holds none."""
    words = Words(tokenizer)
    for form in (*PASSKEYS.values(), PAIR):
        pattern = re.escape(form.needle.strip())
        for name in ("key", "name"):  # what a name stands for is the same wherever it comes again
            place = re.escape(f"{{{name}}}")
            pattern = pattern.replace(place, f"(?P<{name}>[0-9A-Za-z]{{1,20}})", 1).replace(place, f"(?P={name})")
        match = re.search(pattern, text)
        if match is None:
            continue
        key = [tokenizer.token_to_id(symbol) for symbol in match["key"]]
        if None in key:
            return None
        named = {"name": words.ids(match["name"])} if form.named else {}
        query = words.fill(form.query.partition("{key}")[0], **named)
        return Query(np.concatenate([query, np.array(key, np.int64)]), len(key))
    return None
