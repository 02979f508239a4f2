"""Word documents (.docx) to text: paragraphs and tables in the order of the document.

A .docx is a ZIP archive of XML, so a small upload can unfold into gigabytes. The archive is measured first, by
unpacking it piece by piece and counting; only an archive within the limits is handed to python-docx.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

import docx
from docx.oxml.ns import qn
from lxml import etree

from model.documents.pieces import CELL_SEPARATOR, joined
from model.errors import UserError

MAX_MEMBERS = 10_000
MAX_INFLATED = 256 * 2**20
"""Bytes of all members together, pictures included."""
MAX_XML = 64 * 2**20
"""Bytes of the XML members together: as a tree in memory they take several times as much."""
MAX_RATIO = 300
"""Bytes out for one byte in, above :data:`RATIO_FROM`. Long tables of equal rows reach 100; a bomb 1,000."""
RATIO_FROM = 16 * 2**20

_CENTRAL_DIRECTORY_ENTRY = b"PK\x01\x02"
_ENCRYPTED = 0x1  # general purpose flag of a ZIP member

# Text that a reader of the printed page does not see, or would see twice: deleted and moved-away revisions, the
# second version of a drawing for old programs, and the reading aids above kanji.
_SKIPPED = {
    qn("w:del"),
    qn("w:moveFrom"),
    qn("w:rt"),
    "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback",
}
_PARAGRAPH, _CELL, _ROW, _TEXT = qn("w:p"), qn("w:tc"), qn("w:tr"), qn("w:t")
_CHARACTERS = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}


def read_word(data: bytes, name: str, limit: int) -> str:
    """The text of a Word document, one line for each paragraph and each table row.

    Raises:
        UserError: ``document.encrypted_word``, ``document.broken_word``, ``document.word_bomb`` or
            ``document.too_many_characters``.
    """
    _measure(data, name)
    try:
        body = docx.Document(BytesIO(data)).element.body
    except Exception as error:  # python-docx lets KeyError, ValueError, XMLSyntaxError and others of its parts through
        raise UserError("document.broken_word", name=name) from error
    return joined(_lines(body), "\n", name, limit)


def _measure(data: bytes, name: str) -> None:
    """Unpack every member without keeping it, and refuse what is encrypted, damaged or far too large."""
    bomb = UserError("document.word_bomb", name=name, limit=MAX_INFLATED // 2**20)
    if data.count(_CENTRAL_DIRECTORY_ENTRY) > MAX_MEMBERS:  # before zipfile makes an object of each
        raise bomb
    try:
        with ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > MAX_INFLATED:
                raise bomb
            if any(member.flag_bits & _ENCRYPTED for member in members):
                raise UserError("document.encrypted_word", name=name)
            if any(member.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for member in members):
                raise UserError("document.broken_word", name=name)
            inflated = xml = 0
            for member in members:
                with archive.open(member) as stream:
                    while chunk := stream.read(2**20):
                        inflated += len(chunk)
                        xml += len(chunk) if member.filename.lower().endswith((".xml", ".rels")) else 0
                        suspicious = inflated > RATIO_FROM and inflated > MAX_RATIO * len(data)
                        if inflated > MAX_INFLATED or xml > MAX_XML or suspicious:
                            raise bomb
    except (BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise UserError("document.broken_word", name=name) from error


def _lines(body: etree._Element) -> Iterator[str]:
    """Lines of the body, walked without recursion because tables nest.

    ``open_parts`` holds what is being put together: text of the paragraph, or finished paragraphs of a cell, or
    finished cells of a row. Inside a table the finished part goes to the part around it, else it is a line.
    """
    open_parts: list[list[str]] = []
    rows = 0
    walker = etree.iterwalk(body, events=("start", "end"))
    for event, element in walker:
        tag = element.tag
        if event == "start":
            if tag in _SKIPPED:
                walker.skip_subtree()
            elif tag in (_PARAGRAPH, _CELL, _ROW):
                open_parts.append([])
                rows += tag == _ROW
            elif not open_parts:
                continue
            elif tag == _TEXT:
                open_parts[-1].append(element.text or "")
            elif tag in _CHARACTERS:
                open_parts[-1].append(_CHARACTERS[tag])
        elif tag in (_PARAGRAPH, _CELL, _ROW):
            separator = {_PARAGRAPH: "", _CELL: " ", _ROW: CELL_SEPARATOR}[tag]
            finished = separator.join(open_parts.pop())
            rows -= tag == _ROW
            if rows:
                finished = " ".join(finished.split("\n"))
            if open_parts:
                open_parts[-1].append(finished)
            else:
                yield finished
