"""Archives and Office files made for tests."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import openpyxl
import pptx

OPENDOCUMENT = "application/vnd.oasis.opendocument."
_NAMESPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{path}:1.0"'
    for name, path in (
        *(("office", "office"), ("text", "text"), ("table", "table"), ("draw", "drawing")),
        ("presentation", "presentation"),
    )
)


def packed(members: Mapping[str, str | bytes], mimetype: str = "") -> bytes:
    """A ZIP archive; ``mimetype`` is stored first, as OpenDocument and EPUB want it."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        if mimetype:
            archive.writestr("mimetype", mimetype, zipfile.ZIP_STORED)
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def workbook(fill: Callable[[Any], None]) -> bytes:
    """A spreadsheet that ``fill`` wrote into."""
    book, out = openpyxl.Workbook(), BytesIO()
    fill(book)
    book.save(out)
    return out.getvalue()


def presentation(fill: Callable[[Any], None]) -> bytes:
    """A presentation that ``fill`` wrote into."""
    made, out = pptx.Presentation(), BytesIO()
    fill(made)
    made.save(out)
    return out.getvalue()


def opendocument(body: str, kind: str = "text", doctype: str = "") -> bytes:
    """An OpenDocument file with ``body`` as XML."""
    content = f"<office:body><office:{kind}>{body}</office:{kind}></office:body>"
    root = f"{doctype}<office:document-content {_NAMESPACES}>{content}</office:document-content>"
    entry = f'<m:file-entry m:full-path="/" m:media-type="{OPENDOCUMENT + kind}"/>'
    manifest = f'<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">{entry}</m:manifest>'
    members = {"META-INF/manifest.xml": manifest, "content.xml": f'<?xml version="1.0"?>{root}'}
    return packed(members, OPENDOCUMENT + kind)


def book(chapters: Mapping[str, str], spine: list[str], extra: Mapping[str, str] | None = None) -> bytes:
    """An EPUB with chapter files in a folder, listed in another order than they are read in."""
    items = "".join(f'<item id="{name}" href="text/{name}.xhtml"/>' for name in sorted(spine))
    order = "".join(f'<itemref idref="{name}"/>' for name in spine)
    package = (
        f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{order}</spine></package>'
    )
    container = '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
    pages = {f"OPS/text/{name}.xhtml": f"<html><body>{body}</body></html>" for name, body in chapters.items()}
    members = {"META-INF/container.xml": container, "OPS/book.opf": package, **pages, **(extra or {})}
    return packed(members, "application/epub+zip")
