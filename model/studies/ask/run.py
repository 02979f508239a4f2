"""Read a document again and ask at moments of it: the next token, a continuation, an answer to a question.

At each moment the state is copied into nothing: a forward pass changes no state, so the reading continues from the same
one that the continuation started from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from model.checkpoints.catalogue import load_tokenizer_of, model_card
from model.errors import UserError
from model.machine import chosen_device
from model.reading.again import Moment, reader_of, states_at
from model.reading.stream import segment_of
from model.studies.ask.result import TABLE, Answer, NextToken, Question
from model.studies.ask.sampling import draw, entropy, probabilities
from model.tokenizer import encode

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from model.diagnostics.explored import Explored
    from model.experiment import Experiment
    from model.reading.prepare import Prepared
    from model.state import State

BEFORE = 8
"""Tokens before a continuation that are decoded with it: some tokenizers write a word differently at a text's start."""


class StoppedError(Exception):
    """The user cancelled."""


def ask(
    prepared: Prepared,
    wanted: Sequence[tuple[int, Question]],
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Question, Answer]]:
    """Every answer of ``wanted``, pairs of a moment in tokens and a question, as it is found along the document.

    One pass over the text serves all. Ends early where ``stop()`` turns true. ``on_progress`` gets tokens that were
    read or written and how many there will be. UserError for a moment outside the document, a question that cannot be
    asked, and one with a text where the model's tokenizer does not open.
    """
    for moment, question in wanted:
        question.check()
        if not 1 <= moment <= prepared.experiment.tokens:
            raise UserError("question.moment", moment=moment, tokens=prepared.experiment.tokens)
    needs_words = any(question.text for _, question in wanted)
    voice = Voice(prepared.experiment, prepared.explored, prepared.device, needs_words=needs_words)
    total = max((moment for moment, _ in wanted), default=0) + sum(question.length for _, question in wanted)
    written = 0

    def passed(tokens: int) -> bool:
        on_progress(tokens + written, total)
        return stop()

    for there in states_at(prepared, [moment for moment, _ in wanted], passed=passed):
        for question in [question for moment, question in wanted if moment == there.tokens]:
            before = there.tokens

            def wrote(tokens: int, before: int = before) -> None:
                if passed(before + tokens):
                    raise StoppedError

            try:
                answer = voice.answer(there, question, wrote, prepared.tokens)
            except StoppedError:
                return
            written += question.length
            yield question, answer


class Voice:
    """A model with the scans of a reading, which answers from states; it changes none.

    ``needs_words``: a tokenizer is needed, so UserError says why there is none; else ids stand for texts.
    """

    def __init__(
        self, experiment: Experiment, explored: Explored | None, device: str = "auto", *, needs_words: bool = False
    ) -> None:
        self.model, self.scans = reader_of(experiment, explored, chosen_device(device))
        self.size = segment_of(self.model.config, self.model.head.device)
        self.whole = model_card(experiment.model).published
        self.tokenizer: Tokenizer | None = None
        try:
            self.tokenizer = load_tokenizer_of(experiment.model)
        except UserError:
            if needs_words:
                raise

    def answer(
        self,
        there: Moment,
        question: Question,
        wrote: Callable[[int], None] = lambda tokens: None,
        document: np.ndarray | None = None,
    ) -> Answer:
        """What the model says from ``there``; ``document`` (n_tokens,) are all tokens of the text that is read.

        ``wrote`` gets the tokens written so far and may raise.
        """
        state, hidden = there.state, there.hidden
        before = np.empty(0, np.int64) if document is None else document[max(0, there.tokens - BEFORE) : there.tokens]
        follows = None
        if document is not None and there.tokens < len(document):
            scores = self.scores(hidden)
            follows = self.next_token(scores, probabilities(scores), int(document[there.tokens]))
        if question.text:
            state, hidden, asked = self.read(question.text, state, wrote)
            before = np.concatenate([before, asked])[-BEFORE:]
        scores = self.scores(hidden)
        table = self.table(scores)
        tokens, nats = self.continued(scores, state, question, wrote)
        return Answer(
            moment=there.tokens,
            next=table,
            follows=follows,
            tokens=tuple(tokens),
            text=self.text_of(tokens, before),
            entropy=tuple(nats),
            decoded=self.tokenizer is not None,
        )

    def read(
        self, text: str, state: State, wrote: Callable[[int], None]
    ) -> tuple[State, torch.Tensor | None, np.ndarray]:
        """Read ``text`` on from ``state``: the state after it, what the head reads there, and the tokens."""
        assert self.tokenizer is not None
        tokens, _ = encode(self.tokenizer, text, whole=self.whole)
        if not len(tokens):
            raise UserError("question.no_tokens")
        if tokens.max() >= self.model.config.vocab_size:
            raise UserError("question.foreign_token")
        hidden = None
        for first in range(0, len(tokens), self.size):
            state, hidden = self.step(tokens[first : first + self.size], state)
            wrote(0)
        return state, hidden, tokens

    def step(self, tokens: Sequence[int] | np.ndarray, state: State) -> tuple[State, torch.Tensor]:
        """Read ``tokens``; the state after them and what the head reads there, (1, d_model)."""
        ids = torch.as_tensor(np.asarray(tokens, np.int64))[None].to(self.model.head.device)
        with torch.inference_mode():
            hidden, state = self.model.hidden(ids, state, self.scans)
        return state, hidden[:, -1]

    def scores(self, hidden: torch.Tensor | None) -> np.ndarray:
        """Scores of the next token, (vocab_size,) float64; UserError without a token that was read."""
        if hidden is None:
            raise UserError("question.nothing_read")
        with torch.inference_mode():
            return self.model.logits(hidden)[0].double().cpu().numpy()

    def continued(
        self, scores: np.ndarray, state: State, question: Question, wrote: Callable[[int], None]
    ) -> tuple[list[int], list[float]]:
        """The tokens that follow ``scores`` and ``state``, and the entropy before each; until numbers overflow."""
        random = np.random.default_rng(question.seed)
        tokens: list[int] = []
        nats: list[float] = []
        while len(tokens) < question.length and np.isfinite(scores).all():
            nats.append(entropy(probabilities(scores)))
            tokens.append(draw(scores, question.temperature, question.top_p, random))
            wrote(len(tokens))
            if len(tokens) < question.length:
                state, hidden = self.step(tokens[-1:], state)
                scores = self.scores(hidden)
        return tokens, nats

    def table(self, scores: np.ndarray) -> tuple[NextToken, ...]:
        """The most probable next tokens; none where a score is not finite."""
        if not np.isfinite(scores).all():
            return ()
        probability = probabilities(scores)
        best = np.argsort(-scores, kind="stable")[:TABLE]
        return tuple(self.next_token(scores, probability, int(token)) for token in best)

    def next_token(self, scores: np.ndarray, probability: np.ndarray, token: int) -> NextToken:
        """``token`` as one that may come next."""
        rank = 1 + int((scores > scores[token]).sum())
        return NextToken(token=token, text=self.text_of([token]), probability=float(probability[token]), rank=rank)

    def text_of(self, tokens: Sequence[int], before: np.ndarray | None = None) -> str:
        """The text of ``tokens``, as it follows the tokens ``before``; their ids where there is no tokenizer."""
        if self.tokenizer is None:
            return " ".join(map(str, tokens))

        def decoded(ids: Sequence[int]) -> str:
            assert self.tokenizer is not None
            return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))

        first = [] if before is None else [int(token) for token in before]
        start, whole = decoded(first), decoded([*first, *tokens])
        return whole[len(start) :] if first and whole.startswith(start) else decoded(tokens)
