"""Passkey prompts in tokens: filler up to the depth, the needle, filler, the query.

    filler[:a]  needle  filler[a:n]  query          n = length - |needle| - |query|

    a = depth * n                               while the sentences are a noticeable part of the prompt
    a = min(depth * length, n)                  where they are at most a 16th of the filler

The filler of a trial is one endless stream that depends on neither length nor depth, and a key depends on the place
where it is inserted. So all prompts of a trial share their beginnings, and :mod:`.fork` shares the states
too. The second line is how the paper counts (its i-th key of n is inserted at i/n of the length); with lengths that
double and even depths, half of the places of a length are then those of the next.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tokenizers.pre_tokenizers import ByteLevel

from model.errors import UserError
from model.studies.passkey.questions import QUESTIONS, check_question
from model.studies.passkey.task import PasskeyTask
from model.studies.passkey.words import Item, Words
from model.tokenizer import encode

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SENTENCES = {
    "en": "The river runs past the old mill. A cat sleeps on the warm wall. Clouds drift over the hills. "
    "We walk on for a while, and then we walk back.\n",
    "ja": "川は古い水車小屋のそばを流れている。猫は暖かい塀の上で眠る。雲が丘の上をゆっくり流れていく。"
    "私たちはしばらく歩き、それからまた戻ってくる。\n",
}
"""What the "sentence" filler repeats: several sentences that have nothing to do with a key."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One question in tokens.

    ``ids`` (length,) int64 end where the answer has to begin; ``key_ids`` (digits,) int64 is the right answer and
    ``key`` the same as text. The needle is ``ids[needle_start:needle_end]``, the query ``ids[query_start:]``.
    ``scored`` are the places in ``ids`` and ``key_ids`` together that the model has to say: those of ``key_ids``, and
    of other answers within a query for several things.
    """

    ids: np.ndarray
    key_ids: np.ndarray
    key: str
    needle_start: int
    needle_end: int
    query_start: int
    scored: np.ndarray

    def pieces(self, tokenizer: Tokenizer) -> tuple[str, str, str, str]:
        """The text before the needle, the needle, the text after it, and the query."""
        edges = (0, self.needle_start, self.needle_end, self.query_start, len(self.ids))
        ids = self.ids.tolist()
        before, needle, after, query = (
            tokenizer.decode(ids[start:stop], skip_special_tokens=False) for start, stop in itertools.pairwise(edges)
        )
        return before, needle, after, query

    def text(self, tokenizer: Tokenizer) -> str:
        """The whole prompt as the model reads it."""
        return "".join(self.pieces(tokenizer))


class Place(NamedTuple):
    """Where the needle of a cell is inserted, in tokens of its trial's endless filler.

    ``filler[:cut]``, ``before`` line breaks, the needle, ``filler[cut:end]``, ``after`` line breaks, query.
    Line breaks stand in for the last character of the filler where it does not fit in whole; there are 0 to 3.
    """

    cut: int
    before: int
    end: int
    after: int


class Prompts:
    """Writes the prompts of a task. ``text`` is the document of the "text" filler.

    UserError for everything that does not fit, before any work starts.
    """

    def __init__(self, task: PasskeyTask, tokenizer: Tokenizer, text: str = "") -> None:
        """Check the task and tokenise what its prompts are made of."""
        task.check()
        check_question(task)
        self.task = task
        self.tokenizer = tokenizer
        self.words = Words(tokenizer)
        self._filler = self._filler_ids(text)
        self.least = self.item(0, 0).length
        self._check_length(min(task.lengths))

    def _check_length(self, length: int) -> None:
        if length < self.least:
            raise UserError("passkey.too_short", length=length, least=self.least)

    def _filler_ids(self, text: str) -> np.ndarray:
        if self.task.filler == "newlines":
            return self.words.newline
        if self.task.filler == "sentence":
            text = SENTENCES[self.task.language]
        if not text.strip():
            raise UserError("passkey.no_text")
        return encode(self.tokenizer, text)[0].astype(np.int64)

    @property
    def shared(self) -> bool:
        """Whether all trials have the same filler."""
        return self.task.filler != "text"

    def item(self, trial: int, position: int) -> Item:
        """What ``trial`` inserts after ``position`` tokens, and its query."""
        random = np.random.default_rng((self.task.seed, trial, position))
        return QUESTIONS[self.task.question].write(self.words, self.task, random)

    def prompt(self, length: int, depth: float, trial: int) -> Prompt:
        """The prompt of ``trial`` in the cell (``length``, ``depth``): exactly ``length`` tokens."""
        cut, before, end, after = self.place(length, depth, trial)
        filler = self.filler(trial, 0, end)
        item = self.item(trial, cut + before)
        ids = np.concatenate(
            [filler[:cut], self.breaks(before), item.needle, filler[cut:], self.breaks(after), item.query]
        )
        needle_start = cut + before
        query_start = len(ids) - len(item.query)
        return Prompt(
            ids=ids[:length],
            key_ids=ids[length:],
            key=item.key,
            needle_start=needle_start,
            needle_end=needle_start + len(item.needle),
            query_start=query_start,
            scored=query_start + item.scored,
        )

    def place(self, length: int, depth: float, trial: int) -> Place:
        """Where ``trial`` tells its sentence in the cell (``length``, ``depth``)."""
        self._check_length(length)
        count = length - self.least
        whole = ~self._inside_character[self.filler(trial, 0, count + 1)]
        whole[0] = True
        end = int(np.flatnonzero(whole)[-1])
        share = fraction(depth)
        wanted = min(round(share * length), count) if 16 * self.least <= count else round(share * count)
        cut = int(np.flatnonzero(whole[: wanted + 1])[-1])
        if wanted < end:
            return Place(cut, 0, end, count - end)
        return Place(end, wanted - end, end, count - wanted)

    def breaks(self, count: int) -> np.ndarray:
        """``count`` line breaks."""
        return np.repeat(self.words.newline, count)

    def filler(self, trial: int, start: int, stop: int) -> np.ndarray:
        """Tokens ``start`` to ``stop`` of the filler of ``trial``."""
        return self._filler[(self._begin(trial) + np.arange(start, stop)) % len(self._filler)]

    def _begin(self, trial: int) -> int:
        """Where in the filler ``trial`` begins: elsewhere in a document each time."""
        if self.shared:
            return 0
        begins = np.flatnonzero(~self._inside_character[self._filler])
        return int(begins[np.random.default_rng((self.task.seed, trial)).integers(len(begins))])

    @cached_property
    def _inside_character(self) -> np.ndarray:
        """For every token id, whether it begins within a character of UTF-8: (vocab_size,) bool."""
        spelling = ByteLevel(add_prefix_space=False, use_regex=False)
        # Byte-level tokens spell a byte as one letter; U+0080 to U+00BF end in the 64 bytes that continue a character.
        continuing = {spelling.pre_tokenize_str(chr(code))[0][0][-1] for code in range(0x80, 0xC0)}
        inside = np.zeros(self.tokenizer.get_vocab_size(), bool)
        for token, place in self.tokenizer.get_vocab().items():
            inside[place] = token[:1] in continuing
        return inside


def fraction(depth: float) -> Fraction:
    """``depth`` as it was meant: 0.3333 is a third, so that places at doubled lengths fall together."""
    exact = Fraction(depth)
    simple = exact.limit_denominator(100)
    return simple if abs(simple - exact) < Fraction(1, 10_000) else exact


def least_length(tokenizer: Tokenizer, language: str, digits: int) -> int:
    """Tokens of the shortest prompt in ``language`` with one key of so many digits."""
    task = PasskeyTask(language=language, lengths=(1 << 20,), depths=(0.0,), trials=1, digits=digits)
    return Prompts(task, tokenizer).least
