"""HTML to the text that a reader of the page would see.

The scanner is our own and small because it has to be linear in time: the parser of the standard library takes
quadratic time on hostile pages (a megabyte of ``<a `` keeps it busy for hours) and fails on some others.
Here every search either moves forward for good or ends the document, as browsers do with an unclosed tag.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from model.documents.pieces import CELL_SEPARATOR, joined

_INVISIBLE = {"script", "style", "title", "template", "svg", "iframe", "noembed", "noframes", "object"}
_CELLS = {"td", "th"}
_ROWS = {"tr", "table", "body", "html"}
_BLOCK_NAMES = (
    "address article aside blockquote body br caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 head header hr html legend li main menu nav ol option p pre section "
    "select summary table tbody textarea tfoot thead tr ul"
)
_BLOCKS = _CELLS | set(_BLOCK_NAMES.split())
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_END_OR_QUOTE = re.compile(r">|=[ \t\n\f]*([\"'])")
_SPACE = re.compile(r"[ \t\n\f]+")  # not U+3000, which indents Japanese paragraphs
_ENTITY_WITH_TOO_MANY_DIGITS = re.compile(r"&#[0-9]{9,};?")
_DECLARED = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)")


def declared_encoding(data: bytes) -> str | None:
    """What ``<meta charset>`` or the XML declaration at the start of a page says, unchecked."""
    match = _DECLARED.search(data[:4096])
    return match.group(1).decode("ascii") if match else None


def read_webpage(text: str, name: str, limit: int) -> str:
    """The visible text of a page: one line for each block, table cells side by side.

    Raises:
        UserError: ``document.too_many_characters``.
    """
    return joined(webpage_lines(text), "\n", name, limit)


def webpage_lines(text: str) -> Iterator[str]:
    """Lines of visible text, without empty ones."""
    line = _Line()
    preformatted = 0
    for tag, closing, visible in _tokens(text):
        if preformatted:
            *whole, visible = visible.split("\n")
            for part in whole:
                line.parts.append(part)
                yield from line.ended()
            line.parts.append(visible)
        elif visible:
            if line.break_before_text and visible.strip():
                yield from line.ended(row=False)
            line.add(visible)
        if tag == "pre":
            preformatted = max(0, preformatted - 1) if closing else preformatted + 1
        if tag in _CELLS:
            if not closing:
                line.start_cell()
        elif tag in _ROWS or (tag in _BLOCKS and not line.cells):
            yield from line.ended()
        elif tag in _BLOCKS:
            # <td><p>a</p></td> is one cell of a row; only text that follows in the same cell starts a new line.
            line.break_before_text = line.cell_has_text
    yield from line.ended()


class _Line:
    """The line that is being put together; white space is folded as browsers fold it."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.cells = 0
        self.cell_has_text = False
        self.break_before_text = False

    def add(self, text: str) -> None:
        folded = _SPACE.sub(" ", text)
        if not self.parts or self.parts[-1].endswith(" "):
            folded = folded.removeprefix(" ")
        if folded:
            self.parts.append(folded)
        self.cell_has_text |= folded not in ("", " ")

    def start_cell(self) -> None:
        if self.cells:
            if self.parts:
                self.parts[-1] = self.parts[-1].rstrip(" ")
            self.parts.append(CELL_SEPARATOR)
        self.cells += 1
        self.cell_has_text = self.break_before_text = False

    def ended(self, row: bool = True) -> Iterator[str]:
        """The finished line unless it is empty; ``row`` says whether the row of a table ends with it."""
        text = "".join(self.parts).rstrip()
        self.parts = []
        self.break_before_text = False
        if row:
            self.cells = 0
        if text:
            yield text


def _tokens(text: str) -> Iterator[tuple[str, bool, str]]:
    """Triples (tag, whether it closes, visible text before it); tag is "" where only text was found."""
    position = 0
    while position < len(text):
        start = text.find("<", position)
        if start < 0:
            yield "", False, _characters(text[position:])
            return
        visible = _characters(text[position:start])
        tag = _TAG.match(text, start)
        if tag is None:
            end = _end_of_markup(text, start)
            if end == start:  # a lone "<" is text
                yield "", False, visible + "<"
                position = start + 1
                continue
            yield "", False, visible
            position = end
            continue
        name, closing = tag.group(2).lower(), tag.group(1) == "/"
        yield name, closing, visible
        position = _end_of_tag(text, tag.end())
        if name in _INVISIBLE and not closing and text[position - 2 : position] != "/>":
            end_tag = re.compile(f"</{name}", re.IGNORECASE).search(text, position)
            position = end_tag.start() if end_tag else len(text)


def _end_of_markup(text: str, start: int) -> int:
    """Where a comment, declaration or processing instruction ends; ``start`` itself if it is none of these."""
    if text.startswith("<!--", start):
        end = text.find("-->", start + 4)
        return end + 3 if end >= 0 else len(text)
    if text.startswith(("<!", "<?", "</"), start):
        end = text.find(">", start)
        return end + 1 if end >= 0 else len(text)
    return start


def _end_of_tag(text: str, position: int) -> int:
    """Where a tag ends, given a position inside it; a ``>`` inside a quoted attribute does not end it."""
    while found := _END_OR_QUOTE.search(text, position):
        quote = found.group(1)
        if quote is None:
            return found.end()
        end = text.find(quote, found.end())
        if end < 0:  # the quote is never closed: the next ">" has to do
            end = text.find(">", found.end()) - 1
            if end < 0:
                break
        position = end + 1
    return len(text)


def _characters(text: str) -> str:
    """``text`` with its character references resolved."""
    if "&" not in text:
        return text
    # Python refuses to read very long numbers; no such character exists anyway.
    return html.unescape(_ENTITY_WITH_TOO_MANY_DIGITS.sub("\ufffd", text))
