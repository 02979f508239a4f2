"""A file, archive or folder to text: what it says, where each part stands, and in one sentence why it cannot be read.

The content of a file decides how it is read (:mod:`.formats`), its name only among kinds of plain text. Nothing is
done with a file before its size is known to be within the limit, and no kind of file can unfold without bound.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PureWindowsPath

from model.documents.archive import Budget, inflated, read_archive, read_folder, too_large
from model.documents.encodings import ENCODINGS, Guess, decode
from model.documents.formats import FORMATS, SUFFIXES, recognised
from model.documents.pieces import Extract, Omission, Place, Step, joined, label
from model.documents.sniffing import File
from model.documents.webpage import declared_encoding, read_webpage
from model.errors import UserError

__all__ = ["ENCODINGS", "MAX_BYTES", "MAX_CHARACTERS", "SUFFIXES", "Document", "read_document", "read_path"]

MAX_BYTES = 64 * 2**20
"""Size of the largest upload that is read."""

MAX_CHARACTERS = 64 * 2**20
"""Characters of the longest text; only compressed formats can meet this limit before :data:`MAX_BYTES`."""

PREVIEW_CHARACTERS = 2_000


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
    """One of :data:`ENCODINGS`; None for formats that say it themselves, and for several files."""
    media: str
    """What the file was read as: a key of :data:`.formats.FORMATS`, ``"text"``, ``"archive"`` or ``"folder"``."""
    size: int
    """Size of the file in bytes."""
    places: tuple[Place, ...] = ()
    """Parts of the original in the order of the text; empty where lines are all that it has."""
    omissions: tuple[Omission, ...] = ()
    """What of the file is not in the text, and why."""
    guess: Guess | None = field(default=None, compare=False)
    """How the encoding was found, if it had to be guessed."""

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

    def steps(self, character: int) -> tuple[Step, ...]:
        """Where the character with that index stands in the file, from the outside in."""
        index = bisect_right(self.places, character, key=lambda place: place.start) - 1
        place = self.places[index] if index >= 0 else Place(0, (), "" if self.places else "line")
        if not place.unit:
            return place.steps
        above = bisect_left(self._newlines, character) - bisect_left(self._newlines, place.start)
        return (*place.steps, (place.unit, place.first + above))

    @cached_property
    def _newlines(self) -> array[int]:
        """Where lines end, so that a chart may ask for thousands of places."""
        return array("q", (match.start() for match in re.finditer("\n", self.text)))

    def place(self, character: int, language: str = "en") -> str:
        """The same in words, such as ``"page 12"`` or ``"sheet Stock, row 40"``."""
        return label(self.steps(character), language)


def read_document(
    data: bytes,
    name: str,
    encoding: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_characters: int = MAX_CHARACTERS,
    allow_blank: bool = False,
    main_text_only: bool = False,
) -> Document:
    """Read the bytes of a file.

    Args:
        data: the bytes as they were uploaded.
        name: the name of the file; its suffix tells kinds of plain text apart.
        encoding: the user's choice among :data:`ENCODINGS` or an alias of one; None detects it. Formats that need
            none ignore it.
        max_bytes: refuse a larger file at once.
        max_characters: refuse a longer text.
        allow_blank: also accept a text of nothing but white space, such as a degenerate prompt of newlines.
        main_text_only: of a web page, leave out navigation, footers and what else is not the article.

    Raises:
        UserError: with a key ``document.*``, for everything that can be wrong with a file; nothing else is raised.
    """
    name = _shown(name)
    if len(data) > max_bytes:
        raise too_large(name, len(data), max_bytes)
    media, extract, used, guess = _read(data, name, encoding, max_characters, allow_blank, Budget(), main_text_only)
    return _document(name, media, extract, len(data), used, guess)


def read_path(
    path: str | Path,
    encoding: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_characters: int = MAX_CHARACTERS,
    allow_blank: bool = False,
    main_text_only: bool = False,
) -> Document:
    """Read a file or folder on disk; the arguments are those of :func:`read_document`.

    Raises:
        UserError: as :func:`read_document`, and ``document.missing_file``, ``document.not_a_file`` and
            ``document.unreadable_file``.
    """
    path = Path(path)
    shown = _printable(str(path))
    try:
        if not path.exists():
            raise UserError("document.missing_file", path=shown)
        if path.is_dir():
            return _read_folder(path, encoding, max_bytes, max_characters)
        if not path.is_file():  # a device that never ends
            raise UserError("document.not_a_file", path=shown)
        size = path.stat().st_size
        if size > max_bytes:
            raise too_large(_shown(path.name), size, max_bytes)
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError("document.unreadable_file", path=shown, reason=reason) from error
    return read_document(data, path.name, encoding, max_bytes, max_characters, allow_blank, main_text_only)


def _read_folder(path: Path, encoding: str | None, max_bytes: int, max_characters: int) -> Document:
    budget = Budget()

    def read_one(data: bytes, name: str, limit: int) -> Extract:
        return _read(data, _shown(name), encoding, limit, False, budget)[1]

    name = _shown(path.resolve().name)
    extract, size = read_folder(path, name, max_characters, max_bytes, read_one)
    return _document(name, "folder", extract, size)


def _read(
    data: bytes,
    name: str,
    encoding: str | None,
    limit: int,
    allow_blank: bool,
    budget: Budget,
    main_text_only: bool = False,
) -> tuple[str, Extract, str | None, Guess | None]:
    """What the file was read as, what was found, its encoding, and how that was guessed."""
    if not data:
        raise UserError("document.empty", name=name)
    file = File(data, name)
    media = recognised(file)
    if file.compressed:
        inner, shorter = inflated(file, budget)
        budget.inside(name)
        try:
            return _read(inner, shorter, encoding, limit, allow_blank, budget, main_text_only)
        finally:
            budget.outside()
    used = guess = None
    found: str | Extract
    if media == "archive":

        def read_one(data: bytes, name: str, limit: int) -> Extract:
            return _read(data, _shown(name), encoding, limit, False, budget)[1]

        found = read_archive(file, limit, read_one, budget)
    elif media != "text" and not FORMATS[media].text:
        found = FORMATS[media].read(data, name, limit)
    else:
        hint = declared_encoding(data) if media in ("html", "feed") or file.suffix == "xml" else None
        text, used, guess = decode(data, name, encoding, hint)
        if media == "html":
            found = read_webpage(text, name, limit, main_text_only)
        else:
            found = FORMATS[media].read(text, name, limit) if media != "text" else joined([text], "", name, limit)
    extract = found if isinstance(found, Extract) else Extract(text=found)
    if not allow_blank and not extract.text.strip():
        raise UserError("document.blank", name=name)
    return media, extract, used, guess


def _document(
    name: str, media: str, extract: Extract, size: int, encoding: str | None = None, guess: Guess | None = None
) -> Document:
    digest = hashlib.sha256(extract.text.encode("utf-8")).hexdigest()
    return Document(
        name=name,
        text=extract.text,
        sha256=digest,
        encoding=encoding,
        media=media,
        size=size,
        places=extract.places,
        omissions=extract.omissions,
        guess=guess,
    )


def _shown(name: str) -> str:
    """The name without folders, fit to stand in a sentence."""
    return _printable(PureWindowsPath(name).name) or "?"


def _printable(text: str) -> str:
    """One printable line of at most 200 characters, the end of which is kept because it has the suffix."""
    line = "".join(char if char.isprintable() else " " for char in text).strip()
    return line if len(line) <= 200 else "…" + line[-199:]
