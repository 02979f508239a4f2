"""What every reader of a document shares: text put together within a limit, its places in the original, and tidying.

A place says where a character of the text stands in the file: steps from the outside in, such as
``(("file", "stock.xlsx"), ("sheet", "Stock"), ("row", 40))``. The words for them stand in ``messages/places.toml``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import NamedTuple

from model.errors import UserError
from model.messages import message

CELL_SEPARATOR = " | "
"""Between the cells of a table row, whatever kind of document the table is in."""

Step = tuple[str, str | int]
"""A kind of part, such as ``"page"`` or ``"sheet"``, and its number or name."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_COLOUR = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\))"
)  # CSI and OSC sequences of terminals


class Place(NamedTuple):
    """A part of the original, from ``start`` in the text to the next place."""

    start: int
    """Index of its first character."""
    steps: tuple[Step, ...] = ()
    unit: str = ""
    """What its lines are in the original: ``"line"``, ``"row"``, or empty where they have no number there."""
    first: int = 1
    """Number of its first line."""


@dataclass(frozen=True)
class Omission:
    """Something of the file that is not in the text, and why: ``key`` names a message, ``values`` fill it."""

    steps: tuple[Step, ...]
    key: str
    values: Mapping[str, object] = field(default_factory=dict)

    def place(self, language: str) -> str:
        """Where it stands in the file; empty for the file as a whole."""
        return label(self.steps, language)

    def reason(self, language: str) -> str:
        """Why it was left out, as a sentence."""
        return message(self.key, language, **self.values)

    def sentence(self, language: str) -> str:
        """The reason after the place."""
        where = self.place(language)
        return f"{where}: {self.reason(language)}" if where else self.reason(language)


@dataclass(frozen=True, kw_only=True)
class Extract:
    """What a reader found in a file."""

    text: str
    places: tuple[Place, ...] = ()
    """In the order of the text; empty where lines are all that the file has."""
    omissions: tuple[Omission, ...] = ()


class Builder:
    """Puts an :class:`Extract` together, piece by piece, and stops as soon as it would pass ``limit`` characters."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.limit = limit
        self.length = 0
        self._out = StringIO()
        self._places: list[Place] = []
        self._omissions: list[Omission] = []

    def add(self, text: str, *steps: Step, unit: str = "", first: int = 1) -> None:
        """Append ``text``, which starts a new place if ``steps`` or ``unit`` are given.

        Raises:
            UserError: ``document.too_many_characters``.
        """
        if steps or unit:
            self.start(*steps, unit=unit, first=first)
        text = tidy(text)
        if self.length + len(text) > self.limit:
            raise too_many_characters(self.name, self.limit)
        self.length += len(text)
        self._out.write(text)

    def start(self, *steps: Step, unit: str = "", first: int = 1) -> None:
        """What is added next belongs to another place."""
        place = Place(self.length, steps, unit, first)
        if self._places and self._places[-1].start == self.length:
            self._places.pop()
        self._places.append(place)

    def include(self, part: Extract, *steps: Step) -> None:
        """Append a part that another reader made, with ``steps`` in front of its own."""
        for place in part.places or (Place(0, (), "line"),):
            self._places.append(place._replace(start=place.start + self.length, steps=(*steps, *place.steps)))
        self._omissions += [replace(omission, steps=(*steps, *omission.steps)) for omission in part.omissions]
        self.add(part.text)

    def omit(self, key: str, *steps: Step, **values: object) -> None:
        """Note that something was left out, and why."""
        self._omissions.append(Omission(steps, key, values))

    def done(self) -> Extract:
        """What was put together."""
        return Extract(text=self._out.getvalue(), places=tuple(self._places), omissions=tuple(self._omissions))


def label(steps: Iterable[Step], language: str) -> str:
    """``steps`` in words, such as ``"sheet Stock, row 40"``; empty without steps."""
    words = [message(f"places.{kind}", language, value=value) for kind, value in steps]
    return (", " if language == "en" else "・").join(words)


def joined(pieces: Iterable[str], separator: str, name: str, limit: int) -> str:
    """Join tidied ``pieces`` and stop as soon as the result would pass ``limit`` characters.

    The pieces come from a generator, so a small file that unfolds into a huge text costs no more than the limit.

    Raises:
        UserError: ``document.too_many_characters``.
    """
    out = StringIO()
    length = 0
    for number, piece in enumerate(pieces):
        between, piece = separator if number else "", tidy(piece)
        length += len(between) + len(piece)
        if length > limit:
            raise too_many_characters(name, limit)
        out.write(between)
        out.write(piece)
    return out.getvalue()


def too_many_characters(name: str, limit: int) -> UserError:
    """The error for a text that is longer than ``limit`` characters."""
    return UserError("document.too_many_characters", name=name, limit=limit)


def tidy(text: str) -> str:
    r"""``text`` with ``\n`` for every newline, without NULs, byte order marks, terminal colours and lone surrogates.

    Byte order marks stand inside a text where files were appended to each other. PDFs can yield halves of surrogate
    pairs, which no encoding can store: pairs are put together, and a half that stays alone becomes U+FFFD.
    Everything else is kept as it is.
    """
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if "\x1b" in text:
        text = _COLOUR.sub("", text)
    return text.replace("\x00", "").replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")
