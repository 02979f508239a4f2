"""Word documents to text: paragraphs and tables in the order of the document, then footnotes and endnotes.

Headers, footers and comments are left out. What belongs to a paragraph is read by
:mod:`model.documents.word_parts`; here are the limits, the tables, and documents inside the document.
"""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import chain

from lxml import etree

from model.documents.encodings import decode
from model.documents.pieces import CELL_SEPARATOR, joined
from model.documents.rich import read_rich
from model.documents.webpage import declared_encoding, webpage_lines
from model.documents.word_parts.names import attribute, child, is_on, name_of, number, value
from model.documents.word_parts.numbering import Numbering
from model.documents.word_parts.package import BrokenPackageError, Limits, Package, measure
from model.documents.word_parts.paragraph import SKIPPED, Notes, Paragraphs
from model.documents.word_parts.styles import Styles
from model.errors import UserError

MAX_MEMBERS = 10_000
MAX_INFLATED = 256 * 2**20
"""Bytes of all members together, pictures included."""
MAX_XML = 64 * 2**20
"""Bytes of the XML members together: as a tree in memory they take several times as much."""
MAX_RATIO = 300
"""Bytes out for one byte in, above :data:`RATIO_FROM`. Long tables of equal rows reach 100; a bomb 1,000."""
RATIO_FROM = 16 * 2**20
MAX_NESTED = 3
"""Documents inside one another (``w:altChunk``)."""
MAX_IMPORTED = 64
"""Documents inside one document: each is measured and parsed."""
MAX_COLUMNS = 63
"""Columns of a table that Word can have."""


def read_word(data: bytes, name: str, limit: int) -> str:
    """The text of a Word document, one line for each paragraph and each table row.

    Raises:
        UserError: ``document.encrypted_word``, ``document.broken_word``, ``document.word_bomb`` or
            ``document.too_many_characters``.
    """
    try:
        return joined(_document_lines(data, name, [MAX_IMPORTED], 0), "\n", name, limit)
    except (BrokenPackageError, RecursionError, ValueError, LookupError) as error:
        raise UserError("document.broken_word", name=name) from error


def _document_lines(data: bytes, name: str, imports: list[int], depth: int) -> Iterator[str]:
    limits = Limits(members=MAX_MEMBERS, inflated=MAX_INFLATED, xml=MAX_XML, ratio=MAX_RATIO, ratio_from=RATIO_FROM)
    measure(data, name, limits)
    package = Package(data)
    main = package.main()
    root = package.tree(main)
    body = child(root, "w:body")
    if body is None:
        raise BrokenPackageError
    yield from _Document(package, main, name, imports, depth).lines(body)


class _Document:
    """The blocks of one document: paragraphs, tables, imported documents."""

    def __init__(self, package: Package, main: str, name: str, imports: list[int], depth: int) -> None:
        links = package.relationships(main)
        parts = {link.kind: link.target for link in links.values()}

        def tree(kind: str) -> etree._Element | None:
            try:
                return package.tree(parts[kind]) if kind in parts else None
            except BrokenPackageError:  # the text can be read without its styles or numbers
                return None

        styles = Styles(tree("styles"))
        self._notes = Notes()
        for kind in ("footnotes", "endnotes"):
            notes = tree(kind)
            for note in notes if notes is not None else ():
                self._notes.elements[kind, attribute(note, "w:id") or ""] = note
        self._paragraphs = Paragraphs(
            package=package,
            links=links,
            styles=styles,
            numbering=Numbering(tree("numbering"), styles),
            notes=self._notes,
            blocks=self._blocks,
        )
        self._package, self._links, self._name = package, links, name
        self._imports, self._depth = imports, depth

    def lines(self, body: etree._Element) -> Iterator[str]:
        yield from self._blocks(body)
        done = 0
        while done < len(self._notes.numbers):  # a note may refer to another
            for key, mark in list(self._notes.numbers.items())[done:]:
                lines = self._blocks(self._notes.elements[key])
                yield from chain([f"[{mark}] " + next(lines, "").lstrip()], lines)
                done += 1

    def _blocks(self, element: etree._Element) -> Iterator[str]:
        for part in element:
            name = name_of(part)
            if name == "w:p":
                yield from self._paragraphs.lines(part)
            elif name == "w:tbl":
                for row in _found(part, "w:tr"):
                    yield from self._row(row)
            elif name == "w:altChunk":
                yield from self._imported(attribute(part, "r:id"))
            elif name and name not in SKIPPED and not name.endswith("Pr"):
                yield from self._blocks(part)
        carried = self._paragraphs.carried()
        if carried:
            yield carried

    def _row(self, row: etree._Element) -> Iterator[str]:
        """A row as a line. A cell over several columns is followed by empty ones, so that columns stay in place."""
        properties = child(row, "w:trPr")
        if child(properties, "w:del") is not None or is_on(properties, "w:hidden"):
            return
        cells = [""] * number(value(properties, "w:gridBefore"), 0, MAX_COLUMNS)
        for cell in _found(row, "w:tc"):
            text = " ".join(self._blocks(cell))
            cells.append(" ".join(text.split("\n")))
            span = number(value(cell, "w:tcPr", "w:gridSpan"), 1, MAX_COLUMNS)
            cells += [""] * min(span - 1, MAX_COLUMNS - len(cells))
        yield CELL_SEPARATOR.join(cells)

    def _imported(self, identifier: str | None) -> Iterator[str]:
        """Lines of a document inside this one: Word, HTML, a web archive or plain text."""
        link = self._links.get(identifier or "")
        data = self._package.part(link.target) if link is not None else None
        if link is None or not data or not self._imports[0]:
            return
        self._imports[0] -= 1
        if data.startswith(b"PK\x03\x04"):
            if self._depth < MAX_NESTED:
                yield from _document_lines(data, self._name, self._imports, self._depth + 1)
        elif data.startswith(b"{\\rtf"):
            yield from read_rich(data, link.target, MAX_XML).text.split("\n")
        else:
            yield from _text_lines(data, link.target, self._name)


def _found(element: etree._Element, name: str) -> Iterator[etree._Element]:
    """Rows of a table or cells of a row, also those inside content controls and the like."""
    for part in element:
        kind = name_of(part)
        if kind == name:
            yield part
        elif kind and kind not in SKIPPED and not kind.endswith("Pr") and kind not in ("w:tr", "w:tc", "w:tbl"):
            yield from _found(part, name)


def _text_lines(data: bytes, target: str, name: str) -> Iterator[str]:
    if target.lower().endswith((".mht", ".mhtml")) or data[:13].lower() == b"mime-version:":
        message = message_from_bytes(data, policy=policy.default)
        body = message.get_body(("html", "plain")) if isinstance(message, EmailMessage) else None
        content = body.get_payload(decode=True) if body is not None else None
        data = content if isinstance(content, bytes) else b""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    is_page = target.lower().endswith((".htm", ".html", ".xhtml", ".mht", ".mhtml")) or start.startswith(b"<")
    try:
        text, *_ = decode(data, name, None, declared_encoding(data) if is_page else None)
    except UserError:  # the document around it can be read
        return
    yield from webpage_lines(text) if is_page else text.split("\n")
