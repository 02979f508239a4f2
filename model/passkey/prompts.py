"""Passkey prompts in tokens: filler up to the depth, the told sentence, filler, the question.

    filler[:a]  tell  filler[a:n]  ask          a = depth * n,  n = length - |tell| - |ask|

The filler of a trial is one endless stream that depends on neither length nor depth, and a key depends on the place
where it is told. So all prompts of a trial share their beginnings, and a reader could share the states too.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from model.errors import UserError
from model.passkey.task import PasskeyTask
from model.recall import PASSKEYS

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
    ``key`` the same as text. The told sentence is ``ids[told:told_end]``, the question ``ids[asked:]``.
    """

    ids: np.ndarray
    key_ids: np.ndarray
    key: str
    told: int
    told_end: int
    asked: int

    def pieces(self, tokenizer: Tokenizer) -> tuple[str, str, str, str]:
        """The text before the told sentence, that sentence, the text after it, and the question."""
        edges = (0, self.told, self.told_end, self.asked, len(self.ids))
        ids = self.ids.tolist()
        before, told, after, asked = (
            tokenizer.decode(ids[start:stop], skip_special_tokens=False) for start, stop in itertools.pairwise(edges)
        )
        return before, told, after, asked

    def text(self, tokenizer: Tokenizer) -> str:
        """The whole prompt as the model reads it."""
        return "".join(self.pieces(tokenizer))


class Prompts:
    """Writes the prompts of a task. ``text`` is the document of the "text" filler.

    UserError for everything that does not fit, before any work starts.
    """

    def __init__(self, task: PasskeyTask, tokenizer: Tokenizer, text: str = "") -> None:
        """Check the task and tokenise what its prompts are made of."""
        from model.training.data import parts

        task.check()
        self.task = task
        self.tokenizer = tokenizer
        form = PASSKEYS[task.language]
        self._tell, self._ask = parts(tokenizer, form.tell), parts(tokenizer, form.ask)[:-1]
        digits = [tokenizer.token_to_id(str(digit)) for digit in range(10)]
        if None in digits:
            raise UserError("passkey.no_digits")
        self._digits = np.asarray(digits, dtype=np.int64)
        self._newline = np.asarray(tokenizer.encode("\n", add_special_tokens=False).ids, dtype=np.int64)[-1:]
        self._filler = self._filler_ids(text)
        self.least = least_length(tokenizer, task.language, task.digits)
        self._check_length(min(task.lengths))

    def _check_length(self, length: int) -> None:
        if length < self.least:
            raise UserError("passkey.too_short", length=length, least=self.least)

    def _filler_ids(self, text: str) -> np.ndarray:
        from model.tokenizer import encode

        if self.task.filler == "newlines":
            return self._newline
        if self.task.filler == "sentence":
            text = SENTENCES[self.task.language]
        if not text.strip():
            raise UserError("passkey.no_text")
        return encode(self.tokenizer, text)[0].astype(np.int64)

    def prompt(self, length: int, depth: float, trial: int) -> Prompt:
        """The prompt of ``trial`` in the cell (``length``, ``depth``): exactly ``length`` tokens."""
        self._check_length(length)
        filler, whole = self._stretch(trial, length - self.least)
        told = int(np.flatnonzero(whole[: round(depth * len(filler)) + 1])[-1])
        key = np.random.default_rng((self.task.seed, trial, told)).integers(10, size=self.task.digits)
        key_ids = self._digits[key]
        tell, ask = joined(self._tell, key_ids), joined(self._ask, key_ids)
        return Prompt(
            ids=np.concatenate([filler[:told], tell, filler[told:], ask]),
            key_ids=key_ids,
            key="".join(map(str, key)),
            told=told,
            told_end=told + len(tell),
            asked=length - len(ask),
        )

    def _stretch(self, trial: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The first ``count`` filler tokens of ``trial`` and where they may be cut, (count + 1,) bool.

        Tokens may be parts of a character. A character that does not fit in whole gives way to line breaks.
        """
        start = 0
        if self.task.filler == "text":  # every trial begins elsewhere in the document
            begins = np.flatnonzero(~self._inside_character[self._filler])
            start = int(begins[np.random.default_rng((self.task.seed, trial)).integers(len(begins))])
        filler = self._filler[(start + np.arange(count + 1)) % len(self._filler)]
        whole = ~self._inside_character[filler]
        whole[0] = True
        end = int(np.flatnonzero(whole)[-1])
        filler[end:] = self._newline
        whole[end:] = True
        return filler[:count], whole

    @cached_property
    def _inside_character(self) -> np.ndarray:
        """For every token id, whether it begins within a character of UTF-8: (vocab_size,) bool."""
        from tokenizers.pre_tokenizers import ByteLevel

        spelling = ByteLevel(add_prefix_space=False, use_regex=False)
        # Byte-level tokens spell a byte as one letter; U+0080 to U+00BF end in the 64 bytes that continue a character.
        continuing = {spelling.pre_tokenize_str(chr(code))[0][0][-1] for code in range(0x80, 0xC0)}
        inside = np.zeros(self.tokenizer.get_vocab_size(), bool)
        for token, place in self.tokenizer.get_vocab().items():
            inside[place] = token[:1] in continuing
        return inside


def least_length(tokenizer: Tokenizer, language: str, digits: int) -> int:
    """Tokens of the shortest prompt in ``language`` with a key of so many digits."""
    from model.training.data import parts

    form = PASSKEYS[language]
    pieces = (*parts(tokenizer, form.tell), *parts(tokenizer, form.ask)[:-1])
    return sum(digits if isinstance(piece, str) else len(piece) for piece in pieces)


def joined(template: list[np.ndarray | str], key_ids: np.ndarray) -> np.ndarray:
    """Tokens of a template (see :func:`model.training.data.parts`) with the key where it belongs."""
    return np.concatenate([key_ids if isinstance(part, str) else part for part in template]).astype(np.int64)
