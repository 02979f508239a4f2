"""What the tests of documents share: reading, being refused, and files made byte by byte."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO

import docx
import pypdf
import pytest

from model.documents.document import Document, read_document
from model.errors import UserError

PAGE = b"BT /F 12 Tf 72 720 Td (The pump was stopped.) Tj ET"


def read(data: bytes, name: str = "a.txt", **arguments: object) -> Document:
    return read_document(data, name, **arguments)  # type: ignore[arg-type]


def refused(data: bytes, name: str, **arguments: object) -> str:
    """The key of the error, without its topic; the sentence must be ONE sentence in both languages."""
    with pytest.raises(UserError) as caught:
        read(data, name, **arguments)
    for language, full_stop in (("en", "."), ("ja", "。")):
        sentence = caught.value.sentence(language)
        assert sentence.endswith(full_stop)
        assert sentence.count("。") == (language == "ja")
        assert "\n" not in sentence
    return caught.value.key.removeprefix("document.")


def pdf(pages: list[bytes], compressed: bool = False) -> bytes:
    """A PDF written by hand: one font, one content stream for each page."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    kids = []
    for page in pages:
        stream = zlib.compress(page, 9) if compressed else page
        filtered = b"/Filter/FlateDecode" if compressed else b""
        objects.append(b"<</Length %d%s>>stream\n%s\nendstream" % (len(stream), filtered, stream))
        resource = b"/MediaBox[0 0 600 800]/Resources<</Font<</F 3 0 R>>>>"
        objects.append(b"<</Type/Page/Parent 2 0 R%s/Contents %d 0 R>>" % (resource, len(objects)))
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), b" ".join(kids))
    return pdf_of_objects(objects)


def pdf_of_objects(objects: list[bytes]) -> bytes:
    """A PDF of numbered objects; the first is its catalogue."""
    out = bytearray(b"%PDF-1.4\n")
    table = b"0000000000 65535 f \n"
    for number, content in enumerate(objects, start=1):
        table += b"%010d 00000 n \n" % len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    size = len(objects) + 1
    trailer = b"xref\n0 %d\n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (size, table, size, len(out))
    return bytes(out + trailer)


def encrypted(password: str) -> bytes:
    writer = pypdf.PdfWriter(clone_from=BytesIO(pdf([PAGE])))
    writer.encrypt(password, owner_password="owner", algorithm="RC4-128")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def word(*paragraphs: str, body: bytes = b"") -> bytes:
    """A Word document with paragraphs, and ``body`` as XML after them."""
    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    out = BytesIO()
    document.save(out)
    return (
        repacked(out.getvalue(), lambda name, part: part.replace(b"<w:sectPr", body + b"<w:sectPr", 1))
        if body
        else out.getvalue()
    )


def repacked(data: bytes, change: Callable[[str, bytes], bytes], extra: dict[str, bytes] | None = None) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, change(name, part) if name == "word/document.xml" else part)
        for name, part in (extra or {}).items():
            new.writestr(name, part)
    return out.getvalue()
