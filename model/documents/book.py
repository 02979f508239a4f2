"""Electronic books (.epub) to text: the chapter files in the order of the spine, each read as a web page."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

from model.documents import xml_trees, zips
from model.documents.encodings import decode
from model.documents.pieces import Builder, Extract
from model.documents.webpage import declared_encoding, read_webpage
from model.errors import UserError

_CONTAINER = "META-INF/container.xml"
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")  # obfuscated fonts, not protection


def read_book(data: bytes, name: str, limit: int) -> Extract:
    """The text of every chapter file, with an empty line between two.

    Raises:
        UserError: ``document.encrypted_file``, ``document.broken_file``, ``document.archive_bomb`` or
            ``document.too_many_characters``.
    """
    with zips.opened(data, name) as archive:
        members = set(archive.namelist())
        if "META-INF/encryption.xml" in members:
            methods = xml_trees.member(archive, "META-INF/encryption.xml", name).iterfind(".//{*}EncryptionMethod")
            if any(method.get("Algorithm") not in _FONTS for method in methods):
                raise UserError("document.encrypted_file", name=name)
        rootfile = xml_trees.member(archive, _CONTAINER, name).find(".//{*}rootfile")
        package_path = rootfile.get("full-path", "") if rootfile is not None else ""
        package = xml_trees.member(archive, package_path, name)
        paths = {
            item.get("id"): posixpath.normpath(
                posixpath.join(posixpath.dirname(package_path), unquote(item.get("href", "")))
            )
            for item in package.iterfind(".//{*}manifest/{*}item")
        }
        out = Builder(name, limit)
        for number, reference in enumerate(package.iterfind(".//{*}spine/{*}itemref"), start=1):
            path = paths.get(reference.get("idref"), "")
            if path not in members:
                out.omit("omitted.missing_chapter", ("chapter", number), path=path)
                continue
            page = archive.read(path)
            if not page.strip():
                continue
            text = decode(page, path, None, declared_encoding(page))[0]
            chapter = read_webpage(text, name, limit).strip()
            if chapter:
                out.add("\n" if out.length else "", ("chapter", number))
                out.add(chapter + "\n")
    return out.done()
