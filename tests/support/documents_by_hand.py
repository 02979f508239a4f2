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


_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_STRICT = (
    (_W, "http://purl.oclc.org/ooxml/wordprocessingml/main"),
    (_OFFICE, "http://purl.oclc.org/ooxml/officeDocument/relationships"),
)
_NAMESPACES = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in {
        "w": _W,
        "r": _OFFICE,
        "m": "http://schemas.openxmlformats.org/officeDocument/2006/math",
        "a": "http://schemas.openxmlformats.org/drawingml/2006/main",
        "c": "http://schemas.openxmlformats.org/drawingml/2006/chart",
        "dgm": "http://schemas.openxmlformats.org/drawingml/2006/diagram",
        "mc": "http://schemas.openxmlformats.org/markup-compatibility/2006",
        "v": "urn:schemas-microsoft-com:vml",
    }.items()
)


def word_package(body: str, strict: bool = False, **parts: str | bytes) -> bytes:
    """A Word document written by hand: the inside of its body, and of parts by their kinds (``footnotes="..."``).

    Each part is the target of the relationship whose id is its kind; bytes are stored as they are.
    """
    written = {"document": f"<w:body>{body}</w:body>"}
    written |= {kind: content for kind, content in parts.items() if isinstance(content, str)}
    files = {
        f"word/{kind}.xml": f"<w:{kind} {_NAMESPACES}>{content}</w:{kind}>".encode()
        for kind, content in written.items()
    }
    files |= {f"word/{kind}.bin": content for kind, content in parts.items() if isinstance(content, bytes)}
    files["_rels/.rels"] = _relationships({"officeDocument": "word/document.xml"})
    names = {kind: f"{kind}.{'xml' if isinstance(content, str) else 'bin'}" for kind, content in parts.items()}
    files["word/_rels/document.xml.rels"] = _relationships(names)
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            for old, new in _STRICT if strict else ():
                content = content.replace(old.encode(), new.encode())
            archive.writestr(name, content)
    return out.getvalue()


def _relationships(targets: dict[str, str]) -> bytes:
    links = "".join(f'<Relationship Id="{k}" Type="{_OFFICE}/{k}" Target="{v}"/>' for k, v in targets.items())
    namespace = "http://schemas.openxmlformats.org/package/2006/relationships"
    return f'<Relationships xmlns="{namespace}">{links}</Relationships>'.encode()
