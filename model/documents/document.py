"""An uploaded file to text: which kind of file it is, what it says, and in one sentence why it cannot be read.

The suffix of the name says what a file is, with one exception: a PDF or Word document is recognised by its first
bytes whatever its name, because its bytes under the name of a text would show only noise. A file whose bytes are
some other binary format is refused, also with a suffix that is accepted. Nothing is done with a file before its
size is known to be within the limit, and no kind of file can unfold without bound (:mod:`model.documents`).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from model.documents.encodings import ENCODINGS, decode
from model.documents.notices import Notice
from model.documents.pieces import joined, tidy
from model.documents.tables import read_table
from model.documents.webpage import declared_encoding, read_webpage
from model.errors import UserError

__all__ = ["ENCODINGS", "MAX_BYTES", "MAX_CHARACTERS", "SUFFIXES", "Document", "read_document", "read_path"]

MAX_BYTES = 64 * 2**20
"""Size of the largest upload that is read."""

MAX_CHARACTERS = 64 * 2**20
"""Characters of the longest text; only compressed formats can meet this limit before :data:`MAX_BYTES`."""

PREVIEW_CHARACTERS = 2_000

_MEDIA = {
    "txt": "text",
    "md": "text",
    "log": "text",
    "csv": "csv",
    "html": "html",
    "htm": "html",
    "pdf": "pdf",
    "docx": "docx",
}
SUFFIXES: tuple[str, ...] = tuple(_MEDIA)
"""Endings of the file names that are accepted, without the dot."""

_ZIP = b"PK\x03\x04"
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")  # old Office documents, and encrypted new ones
# Only signatures that no text can begin with; formats with others are known by their control characters.
_BINARY = (
    *(
        _ZIP,
        b"PK\x05\x06",
        _OLE,
        b"\x1f\x8b\x08",
        b"BZh91AY&SY",
        b"\xfd7zXZ\x00",
        b"7z\xbc\xaf\x27\x1c",
        b"Rar!\x1a\x07",
    ),
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"\x7fELF", b"MZ\x90\x00", b"\x28\xb5\x2f\xfd"),
)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text and where it comes from."""

    name: str
    """Name of the file, without folders."""
    text: str
    r"""The text, with ``\n`` for every newline."""
    sha256: str
    """Hash of the text in UTF-8, as hexadecimal digits."""
    encoding: str | None
    """One of :data:`ENCODINGS`; None for PDF and Word, which say it themselves."""
    media: str
    """What the file was read as: ``"text"``, ``"csv"``, ``"html"``, ``"pdf"`` or ``"docx"``."""
    size: int
    """Size of the file in bytes."""
    notices: tuple[Notice, ...] = ()
    """What of the file is not in the text: pages that are pictures, for example."""

    @staticmethod
    def of(text: str, name: str) -> Document:
        """A text that is at hand as it is."""
        data = text.encode("utf-8")
        digest = hashlib.sha256(data).hexdigest()
        return Document(name=name, text=text, sha256=digest, encoding="utf-8", media="text", size=len(data))

    @property
    def preview(self) -> str:
        """The first 2,000 characters."""
        return self.text[:PREVIEW_CHARACTERS]


def read_document(
    data: bytes,
    name: str,
    encoding: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_characters: int = MAX_CHARACTERS,
    allow_blank: bool = False,
) -> Document:
    """Read the bytes of a file.

    Args:
        data: the bytes as they were uploaded.
        name: the name of the file; its suffix says what the file is.
        encoding: the user's choice among :data:`ENCODINGS` or an alias of one; None detects it. PDF and Word
            documents need none and ignore it.
        max_bytes: refuse a larger file at once.
        max_characters: refuse a longer text.
        allow_blank: also accept a text of nothing but white space, such as a degenerate prompt of newlines.

    Raises:
        UserError: with a key ``document.*``, for everything that can be wrong with a file; nothing else is raised.
    """
    name = _shown(name)
    if len(data) > max_bytes:
        raise _too_large(name, len(data), max_bytes)
    if not data:
        raise UserError("document.empty", name=name)
    media = _media(data, name)
    used = None
    notices: tuple[Notice, ...] = ()
    if media == "pdf":
        from model.documents.pdf import read_pdf_pages

        text, notices = read_pdf_pages(data, name, max_characters)
    elif media == "docx":
        from model.documents.word import read_word

        text = read_word(data, name, max_characters)
    else:
        hint = declared_encoding(data) if media == "html" else None
        text, used = decode(data, name, encoding, hint)
        reader = {"csv": read_table, "html": read_webpage}.get(media)
        text = reader(text, name, max_characters) if reader else joined([text], "", name, max_characters)
    text = tidy(text)
    if not allow_blank and not text.strip():
        raise UserError("document.blank", name=name)
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    size = len(data)
    return Document(name=name, text=text, sha256=digest, encoding=used, media=media, size=size, notices=notices)


def read_path(
    path: str | Path,
    encoding: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_characters: int = MAX_CHARACTERS,
    allow_blank: bool = False,
) -> Document:
    """Read a file on disk; the arguments are those of :func:`read_document`.

    Raises:
        UserError: as :func:`read_document`, and ``document.missing_file``, ``document.not_a_file`` and
            ``document.unreadable_file``.
    """
    path = Path(path)
    shown = _printable(str(path))
    try:
        if not path.exists():
            raise UserError("document.missing_file", path=shown)
        if not path.is_file():  # a folder, or a device that never ends
            raise UserError("document.not_a_file", path=shown)
        size = path.stat().st_size
        if size > max_bytes:
            raise _too_large(_shown(path.name), size, max_bytes)
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError("document.unreadable_file", path=shown, reason=reason) from error
    return read_document(data, path.name, encoding, max_bytes, max_characters, allow_blank)


def _media(data: bytes, name: str) -> str:
    """What the file is to be read as: by its bytes if they are PDF or Word, otherwise by its suffix."""
    media = _MEDIA.get(Path(name).suffix.lower().removeprefix("."))
    is_word = data.startswith(_ZIP) and (media == "docx" or b"word/document" in data)
    if data.startswith(b"%PDF-") or (media == "pdf" and not is_word):
        # Junk in front of the header is allowed within the first kilobyte.
        if b"%PDF-" not in data[:1024]:
            raise UserError("document.broken_pdf", name=name)
        return "pdf"
    if is_word:
        return "docx"
    if media is None:
        raise UserError("document.unsupported", name=name, suffixes=", ".join(SUFFIXES))
    if media == "docx":
        if data.startswith(_OLE):
            encrypted = "EncryptedPackage".encode("utf-16-le") in data
            raise UserError("document.encrypted_word" if encrypted else "document.old_word", name=name)
        raise UserError("document.broken_word", name=name)
    if data.startswith(_BINARY):
        raise UserError("document.binary", name=name)
    return media


def _too_large(name: str, size: int, limit: int) -> UserError:
    return UserError("document.too_large", name=name, size=math.ceil(size / 2**20), limit=f"{limit / 2**20:g}")


def _shown(name: str) -> str:
    """The name without folders, fit to stand in a sentence."""
    return _printable(PureWindowsPath(name).name) or "?"


def _printable(text: str) -> str:
    """One printable line of at most 200 characters, the end of which is kept because it has the suffix."""
    line = "".join(char if char.isprintable() else " " for char in text).strip()
    return line if len(line) <= 200 else "…" + line[-199:]
