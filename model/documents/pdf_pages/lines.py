"""A line of a page, and the joining of words that a hyphen breaks at the end of a line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

PDFIUM_HYPHEN = ("\x02", "\ufffe")
"""What pdfium writes for a hyphen that it takes for one at the end of a line."""

_HYPHEN = re.compile("[-\u2010\u00ad\x02\ufffe]$")
_LETTERS = r"[^\W\d_]"
_COMPOUND = re.compile(f"{_LETTERS}+-{_LETTERS}+")
_LAST_WORD = re.compile(f"{_LETTERS}*$")
_FIRST_WORD = re.compile(f"^{_LETTERS}*")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text and where its first fragment stands: 0 is the top of the page and 1 the bottom."""

    text: str
    top: float


def dehyphenated(lines: Sequence[Line]) -> list[Line]:
    """The lines with broken words joined.

    Between small letters the hyphen goes, unless the page has the word with its hyphen elsewhere; otherwise it
    stays, as in ``P-`` and ``101``.
    """
    compounds = {word for line in lines for word in _COMPOUND.findall(line.text)}
    out = list(lines[:1])
    pieces: list[str] = []  # of the last line of out: joined once, because a hostile page is one long chain
    for above, line in pairwise(lines):
        broken = _HYPHEN.search(above.text) and above.text[-2:-1].isalnum() and line.text[:1].isalnum()
        if not broken:
            _close(out, pieces)
            out.append(line)
            continue
        pieces = pieces or [out[-1].text]
        word = _LAST_WORD.findall(above.text[:-1])[0] + "-" + _FIRST_WORD.findall(line.text)[0]
        is_word = above.text[-2:-1].islower() and line.text[:1].islower() and word not in compounds
        pieces[-1] = pieces[-1][:-1] + ("" if is_word else "-")
        pieces.append(line.text)
    _close(out, pieces)
    return [Line(_shown(line.text), line.top) for line in out]


def _close(out: list[Line], pieces: list[str]) -> None:
    if pieces:
        out[-1] = Line("".join(pieces), out[-1].top)
        pieces.clear()


def _shown(text: str) -> str:
    for hyphen in PDFIUM_HYPHEN:
        text = text.replace(hyphen, "-")
    return text
