"""The table of formats, one row and one file each. The content decides; the name only where texts look alike.

The first row that recognises a file reads it. What no row recognises is plain text, whatever its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pkgutil import resolve_name

from model.documents.pieces import Extract
from model.documents.sniffing import File
from model.errors import UserError

Reader = Callable[..., str | Extract]

# Text of these kinds can begin like a page, a mail or a feed and is still source code.
_SOURCE = {
    "asp",
    "aspx",
    "c",
    "cpp",
    "css",
    "ejs",
    "erb",
    "go",
    "hbs",
    "j2",
    "java",
    "js",
    "jsp",
    "php",
    "py",
    "rb",
    "rs",
}
_SOURCE |= {"sh", "svelte", "tmpl", "ts", "tsx", "vue"}
_OPENDOCUMENT = "application/vnd.oasis.opendocument."


@dataclass(frozen=True, kw_only=True)
class Format:
    """One row. ``path`` is "module:function"; ``recognises`` says whether a file is of this format.

    A reader of bytes is ``read(data, name, limit)``; where ``text`` is set it gets the decoded text instead.
    ``suffixes`` are the usual endings; a file that has one of ``promises`` and is text instead is not what its name
    says.
    """

    path: str
    recognises: Callable[[File], bool]
    suffixes: tuple[str, ...]
    text: bool = False
    promises: tuple[str, ...] = ()
    broken: str = "document.broken_file"

    def read(self, content: bytes | str, name: str, limit: int) -> str | Extract:
        """What the reader finds; its module, and the library behind it, are imported only now."""
        reader: Reader = resolve_name(self.path)
        return reader(content, name, limit)


FORMATS: dict[str, Format] = {
    "pdf": Format(
        path="model.documents.pdf:read_pdf",
        # Junk in front of the header is allowed within the first kilobyte.
        recognises=lambda file: (
            file.data.startswith(b"%PDF-") or (file.suffix == "pdf" and b"%PDF-" in file.data[:1024])
        ),
        suffixes=("pdf",),
        promises=("pdf",),
        broken="document.broken_pdf",
    ),
    "docx": Format(
        path="model.documents.word:read_word",
        recognises=lambda file: (
            file.is_office("word/") or (bool(file.members) and file.suffix in ("docx", "docm", "dotx"))
        ),
        suffixes=("docx", "docm", "dotx"),
        promises=("docx", "docm", "dotx"),
        broken="document.broken_word",
    ),
    "sheet": Format(
        path="model.documents.sheets:read_sheets",
        recognises=lambda file: (
            file.is_office("xl/") or file.purpose.startswith(_OPENDOCUMENT + "spreadsheet") or file.is_old_sheet
        ),
        suffixes=("xlsx", "xls", "ods"),
        promises=("xlsx", "xlsm", "xlsb", "ods"),
    ),
    "slides": Format(
        path="model.documents.slides:read_slides",
        recognises=lambda file: file.is_office("ppt/"),
        suffixes=("pptx",),
        promises=("pptx", "pptm", "ppsx"),
    ),
    "opendocument": Format(
        path="model.documents.opendocument:read_opendocument",
        recognises=lambda file: file.purpose.startswith((_OPENDOCUMENT + "text", _OPENDOCUMENT + "presentation")),
        suffixes=("odt", "odp"),
        promises=("odt", "odp"),
    ),
    "book": Format(
        path="model.documents.book:read_book",
        recognises=lambda file: file.purpose == "application/epub+zip" or "META-INF/container.xml" in file.members,
        suffixes=("epub",),
        promises=("epub",),
    ),
    "rich": Format(
        path="model.documents.rich:read_rich",
        recognises=lambda file: file.data.startswith(b"{\\rtf"),
        suffixes=("rtf",),
    ),
    "mail": Format(
        path="model.documents.mail:read_mail",
        recognises=lambda file: file.suffix in ("eml", "mht", "mhtml", "mbox") or (_is_open(file) and file.is_mail),
        suffixes=("eml", "mbox", "mht"),
    ),
    "notebook": Format(
        path="model.documents.notebook:read_notebook",
        recognises=lambda file: file.is_notebook,
        suffixes=("ipynb",),
        text=True,
    ),
    "feed": Format(
        path="model.documents.feed:read_feed",
        recognises=lambda file: _is_open(file) and file.start.startswith((b"<rss", b"<feed", b"<rdf:rdf")),
        suffixes=("rss",),
        text=True,
    ),
    "html": Format(
        path="model.documents.webpage:read_webpage",
        recognises=lambda file: (
            file.suffix in ("html", "htm", "xhtml")
            or (_is_open(file) and file.start.startswith((b"<!doctype html", b"<html")))
            or (file.suffix in ("doc", "xls") and file.start.startswith((b"<table", b"<meta", b"<head", b"<body")))
        ),
        suffixes=("html",),
        text=True,
    ),
    "csv": Format(
        path="model.documents.tables:read_table",
        recognises=lambda file: file.suffix in ("csv", "tsv", "tab", "xls"),
        suffixes=("csv", "tsv"),
        text=True,
    ),
}
"""Everything that is not plain text, by the name that a document remembers it by."""

SUFFIXES: tuple[str, ...] = (
    *("txt", "md", "log", "json", "jsonl", "xml", "yaml", "ini", "srt"),
    *(suffix for row in FORMATS.values() for suffix in row.suffixes),
    *("zip", "tar", "gz"),
)
"""Usual endings of what can be read, without the dot; a text is read under any other name as well."""


def recognised(file: File) -> str:
    """The key in :data:`FORMATS`, ``"archive"``, or ``"text"`` for everything that may be plain text.

    Raises:
        UserError: for a file that cannot hold text, or whose name promises what it is not.
    """
    name = file.name
    for key, row in FORMATS.items():
        if not row.text and row.recognises(file):
            return key
    if file.is_ole:
        raise UserError(_refusal_of_ole(file), name=name)
    if file.is_image:
        raise UserError("document.image", name=name)
    for row in FORMATS.values():  # also a ZIP that is damaged before its first name
        if file.suffix in row.promises and not file.start.startswith((b"<!doctype html", b"<html")):
            raise UserError(row.broken, name=name)
    if file.members or file.compressed or file.is_tar or file.data.startswith(b"PK\x05\x06"):
        return "archive"
    if file.is_other_archive:
        raise UserError("document.other_archive", name=name)
    if file.is_program or file.data.startswith(b"PK\x03\x04"):
        raise UserError("document.binary", name=name)
    return next((key for key, row in FORMATS.items() if row.text and row.recognises(file)), "text")


def _is_open(file: File) -> bool:
    """Whether the beginning of a text may say what it is; source code is text whatever it begins with."""
    return file.suffix not in _SOURCE


def _refusal_of_ole(file: File) -> str:
    """Why a compound file is not read."""
    if file.mentions("EncryptedPackage"):
        return "document.encrypted_word" if file.suffix in ("docx", "docm", "dotx") else "document.encrypted_file"
    if file.mentions("WordDocument") or file.suffix in ("doc", "dot"):
        return "document.old_word"
    if file.mentions("PowerPoint Document") or file.suffix in ("ppt", "pps"):
        return "document.old_slides"
    if file.mentions("__substg1.0_", "__properties_version1.0"):
        return "document.outlook_message"
    return "document.binary"
