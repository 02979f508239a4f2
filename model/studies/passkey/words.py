"""Sentences in tokens: templates with places for keys, keys in every shape, and what they come to, an item."""

from __future__ import annotations

import string
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from model.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SHAPES = {
    "digits": string.digits,
    "letters": string.ascii_uppercase,
    "hex": string.digits + "abcdef",
}
"""What keys are made of. Every symbol is a token of its own, so a key of n symbols is n tokens for every model."""


class Key(NamedTuple):
    """A key as text, and its tokens (symbols,) int64."""

    text: str
    ids: np.ndarray


class Item(NamedTuple):
    """What is inserted and the query for it, in tokens (int64).

    ``needle`` is inserted into the text. ``query`` is the question with its answer, ``scored`` the places in it that a
    model has to say itself; the last of them ends it. ``key`` is the right answer as text.
    """

    needle: np.ndarray
    query: np.ndarray
    scored: np.ndarray
    key: str

    @property
    def following(self) -> int:
        """Tokens of the answer at the very end, which follow the prompt."""
        gaps = np.flatnonzero(np.diff(self.scored) != 1)
        return len(self.scored) - (int(gaps[-1]) + 1 if len(gaps) else 0)

    @property
    def length(self) -> int:
        """Tokens of the prompt without any filler."""
        return len(self.needle) + len(self.query) - self.following


class Words:
    """Writes templates with one tokenizer, each of them tokenised once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._templates: dict[str, list[np.ndarray | str]] = {}

    def ids(self, text: str) -> np.ndarray:
        """Tokens of ``text`` (n_tokens,) int64."""
        return np.asarray(self.tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)

    @cached_property
    def newline(self) -> np.ndarray:
        """The token of a line break, (1,)."""
        return self.ids("\n")[-1:]

    def symbols(self, shape: str) -> np.ndarray:
        """The tokens of everything a key of ``shape`` is made of; UserError if one is no token of its own."""
        found = [self.tokenizer.token_to_id(symbol) for symbol in SHAPES[shape]]
        if None in found:
            raise UserError("passkey.no_digits")
        return np.asarray(found, dtype=np.int64)

    def key(self, shape: str, size: int, random: np.random.Generator) -> Key:
        """A key of ``size`` symbols, every one as likely as any other."""
        drawn = random.integers(len(SHAPES[shape]), size=size)
        return Key("".join(SHAPES[shape][place] for place in drawn), self.symbols(shape)[drawn])

    def fill(self, template: str, **values: np.ndarray) -> np.ndarray:
        """Tokens of ``template`` with ``values`` (tokens) where their names stand in braces."""
        if template not in self._templates:
            self._templates[template] = self._cut(template)
        pieces = self._templates[template]
        return np.concatenate([values[piece] if isinstance(piece, str) else piece for piece in pieces])

    def _cut(self, template: str) -> list[np.ndarray | str]:
        found: list[np.ndarray | str] = []
        for text, name, _, _ in string.Formatter().parse(template):
            if text:
                found.append(self.ids(text))
            if name:
                found.append(name)
        return found


def query_last(needle: np.ndarray, query: np.ndarray, key: Key) -> Item:
    """The item whose ``query`` ends with ``key``, which is all that has to be said."""
    return Item(needle, query, np.arange(len(query) - len(key.ids), len(query)), key.text)
