"""OpenDocument texts (.odt) and presentations (.odp) to text: paragraphs, tables row by row, notes at the end."""

from __future__ import annotations

import re

from lxml import etree

from model.documents import xml_trees, zips
from model.documents.pieces import CELL_SEPARATOR, Builder, Extract
from model.errors import UserError

MAX_REPEATED = 1_000
"""Spaces that one element may stand for, and cells of a row that repeated ones may fill up to."""

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_NOTES = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}notes"

_PARAGRAPHS = {f"{_TEXT}p", f"{_TEXT}h"}
_CELL, _COVERED, _ROW = f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell", f"{_TABLE}table-row"
_NOTE, _CITATION, _NOTE_BODY = f"{_TEXT}note", f"{_TEXT}note-citation", f"{_TEXT}note-body"
_PAGE = f"{_DRAW}page"
# What a reader of the printed page does not see, or would see twice.
_SKIPPED = {
    *(f"{_TEXT}tracked-changes", f"{_TEXT}hidden-text", f"{_TEXT}ruby-text", f"{_TEXT}page-number"),
    *(f"{_OFFICE}annotation", f"{_OFFICE}forms", f"{_DRAW}page-thumbnail", f"{_TEXT}sequence-decls"),
}
_CHARACTERS = {f"{_TEXT}tab": "\t", f"{_TEXT}line-break": "\n", f"{_TEXT}soft-hyphen": ""}
_SPACE = re.compile(r"[ \t\r\n]+")


def read_opendocument(data: bytes, name: str, limit: int) -> Extract:
    """The text of the body; of a presentation each slide and its notes.

    Raises:
        UserError: ``document.encrypted_file``, ``document.broken_file``, ``document.archive_bomb`` or
            ``document.too_many_characters``.
    """
    with zips.opened(data, name) as archive:
        members = set(archive.namelist())
        if "META-INF/manifest.xml" in members and b"encryption-data" in archive.read("META-INF/manifest.xml"):
            raise UserError("document.encrypted_file", name=name)
        body = xml_trees.member(archive, "content.xml", name).find(f"{_OFFICE}body")
    if body is None:
        raise UserError("document.broken_file", name=name)
    out = Builder(name, limit)
    _Walk(out).through(body)
    return out.done()


class _Walk:
    """One walk through a body, without recursion because tables and frames nest.

    ``open`` holds what is being put together, the innermost last: the text of a paragraph, the paragraphs of a cell,
    the cells of a row, the paragraphs of a note. A paragraph inside another, that of a text box, follows it.
    """

    def __init__(self, out: Builder) -> None:
        self.out = out
        self.open: list[tuple[str, list[str]]] = []
        self.following: list[str] = []
        self.notes: list[str] = []
        self.slide = 0

    def through(self, body: etree._Element) -> None:
        """Walk, and add the notes at the end."""
        walker = etree.iterwalk(body, events=("start", "end"))
        for event, element in walker:
            if event == "start":
                if element.tag in _SKIPPED:
                    walker.skip_subtree()
                else:
                    self._start(element)
            else:
                if element.tag not in _SKIPPED:
                    self._end(element)
                self._text(element.tail)
        for note in self.notes:
            self.out.add(note + "\n")

    def _start(self, element: etree._Element) -> None:
        tag = element.tag
        if tag in (*_PARAGRAPHS, _CELL, _COVERED, _ROW, _NOTE_BODY, _CITATION):
            self.open.append((tag, []))
        elif tag == f"{_TEXT}s":
            self._put(" " * _count(element, f"{_TEXT}c"))
        elif tag in _CHARACTERS:
            self._put(_CHARACTERS[tag])
        elif tag == _PAGE:
            self.slide += 1
            self.out.add("\n" if self.out.length else "", ("slide", self.slide))
        elif tag == _NOTES:
            self.out.start(("notes", self.slide))
        self._text(element.text)

    def _end(self, element: etree._Element) -> None:
        tag = element.tag
        if not self.open or self.open[-1][0] != tag:
            return
        parts = self.open.pop()[1]
        if tag in _PARAGRAPHS:
            self._line("".join(parts))
        elif tag in (_CELL, _COVERED):
            if self.open:
                row = self.open[-1][1]
                repeated = min(_count(element, f"{_TABLE}number-columns-repeated"), max(1, MAX_REPEATED - len(row)))
                row.extend([" ".join(" ".join(parts).split("\n"))] * repeated)
        elif tag == _ROW:
            self._line(CELL_SEPARATOR.join(parts))
        elif tag == _CITATION:
            self._put(f"[{''.join(parts)}]")
        elif tag == _NOTE_BODY:
            citation = element.getprevious()
            number = "".join(citation.itertext()) if citation is not None else ""
            self.notes.append(f"[{number}] {' '.join(parts)}")

    def _line(self, line: str) -> None:
        """A finished paragraph or row goes into the cell or note around it, else it is a line of the text."""
        if not self.open:
            self.out.add("".join(f"{text}\n" for text in (line, *self.following)))
            self.following = []
        elif self.open[-1][0] in _PARAGRAPHS:
            self.following.append(line)
        else:
            self.open[-1][1].append(line)

    def _put(self, text: str) -> None:
        if self.open and self.open[-1][0] in (*_PARAGRAPHS, _CITATION):
            self.open[-1][1].append(text)

    def _text(self, text: str | None) -> None:
        if text and self.open and self.open[-1][0] in (*_PARAGRAPHS, _CITATION):
            parts = self.open[-1][1]
            folded = _SPACE.sub(" ", text)
            if not parts or parts[-1].endswith((" ", "\n")):
                folded = folded.removeprefix(" ")
            parts.append(folded)


def _count(element: etree._Element, attribute: str) -> int:
    value = element.get(attribute, "1")
    return min(int(value), MAX_REPEATED) if value.isdecimal() and len(value) < 10 else 1
