"""What the bytes of a file look like, whatever its name: the evidence by which the table of formats chooses."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

from model.documents import zips

OLE = bytes.fromhex("d0cf11e0a1b11ae1")
"""Start of a compound file: old Office documents, encrypted new ones, Outlook messages."""

_COMPRESSED = {b"\x1f\x8b\x08": "gz", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}
_OTHER_ARCHIVES = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x28\xb5\x2f\xfd", b"MSCF\x00\x00\x00\x00")
# Only signatures that no text can begin with; formats with others are known by their control characters.
_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"GIF87a", b"GIF89a")
_PROGRAMS = (b"\x7fELF", b"MZ\x90\x00", b"OggS\x00", b"ID3\x03\x00", b"ID3\x04\x00", b"SQLite format 3\x00")
_BOOK_MARK = re.compile(rb"^(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*|<!--(?:(?!-->).){0,2000}-->\s*){0,5}", re.DOTALL)
_HEADER = re.compile(rb"([A-Za-z][A-Za-z0-9-]*):[ \t]?[^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*\r?\n")
_MAIL_ALONE = {b"mime-version", b"message-id", b"received", b"return-path", b"x-mailer", b"delivered-to"}
_MAIL_USUAL = {b"from", b"to", b"subject", b"date", b"content-type"}
_TAR_MAGIC = slice(257, 262)


@dataclass(frozen=True)
class File:
    """A file and what can be seen of it without reading it; everything is found when it is first asked for."""

    data: bytes
    name: str

    @cached_property
    def suffix(self) -> str:
        """Ending of the name, in lower case and without the dot."""
        return PurePath(self.name).suffix.lower().removeprefix(".")

    @cached_property
    def members(self) -> frozenset[str]:
        """Names of the members, if it is a ZIP."""
        return zips.names(self.data)

    def is_office(self, folder: str) -> bool:
        """Whether it is an Office file of today whose parts stand in ``folder``."""
        in_folder = any(member.startswith(folder) for member in self.members)
        return in_folder and not {"[Content_Types].xml", f"{folder}document.xml"}.isdisjoint(self.members)

    @cached_property
    def purpose(self) -> str:
        """What a ZIP of OpenDocument or EPUB says it is, such as ``"application/epub+zip"``; empty elsewhere."""
        # The member "mimetype" comes first and is not compressed, so that it stands at a fixed place.
        declared = self.data[38:100] if self.data[30:38] == b"mimetype" else b""
        match = re.match(rb"[a-z]+/[a-z.+-]+", declared)
        return match.group().decode("ascii").split("PK")[0] if match else ""

    @cached_property
    def is_ole(self) -> bool:
        """Whether it is a compound file."""
        return self.data.startswith(OLE)

    def mentions(self, *names: str) -> bool:
        """Whether it is a compound file in which one of ``names`` stands, as the names of streams are written."""
        return self.is_ole and any(name.encode("utf-16-le") in self.data for name in names)

    @cached_property
    def is_old_sheet(self) -> bool:
        """Whether it is a compound file with a stream that is called as those of old Excel are."""
        if not self.is_ole or self.mentions("WordDocument", "PowerPoint Document", "EncryptedPackage"):
            return False
        # An entry of its directory takes 128 bytes and begins with the name; the same word elsewhere proves nothing.
        found = re.finditer(rb"(?:W\x00o\x00r\x00k\x00b|B)\x00o\x00o\x00k\x00\x00\x00", self.data)
        return any(match.start() % 128 == 0 for match in found)

    @cached_property
    def compressed(self) -> str:
        """``"gz"``, ``"bz2"`` or ``"xz"`` for one compressed file, else empty."""
        return next((kind for start, kind in _COMPRESSED.items() if self.data.startswith(start)), "")

    @cached_property
    def is_tar(self) -> bool:
        """Whether it is a tar archive."""
        return self.data[_TAR_MAGIC] == b"ustar"

    @cached_property
    def is_other_archive(self) -> bool:
        """Whether it is an archive that is not unpacked here."""
        return self.data.startswith(_OTHER_ARCHIVES)

    @cached_property
    def is_image(self) -> bool:
        """Whether it is a picture."""
        data = self.data
        boxed = data[4:12] in (b"ftypheic", b"ftypavif", b"ftypmif1", b"ftypheix")
        bitmap = data.startswith(b"BM") and data[6:10] == b"\x00\x00\x00\x00"
        return data.startswith(_IMAGES) or boxed or bitmap or (data.startswith(b"RIFF") and data[8:12] == b"WEBP")

    @cached_property
    def is_program(self) -> bool:
        """Whether it is a program, a sound or a database."""
        return self.data.startswith(_PROGRAMS)

    @cached_property
    def start(self) -> bytes:
        """The beginning in lower case, after white space, an XML declaration and comments."""
        head = self.data[:8192]
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            head = head[2:].replace(b"\x00", b"")
        mark = _BOOK_MARK.match(head)
        return head[mark.end() if mark else 0 :][:4096].lower()

    @cached_property
    def is_mail(self) -> bool:
        """Whether it begins with the header of a mail, or with the line that separates mails in a mailbox."""
        head = self.data[: 1 << 16]
        if head.startswith(b"From "):
            head = head.partition(b"\n")[2]
            return re.match(rb"[A-Za-z-]+:", head) is not None
        names, position = set(), 0
        while match := _HEADER.match(head, position):
            names.add(match.group(1).lower())
            position = match.end()
        return bool(names & _MAIL_ALONE) and bool(names & _MAIL_USUAL)

    @cached_property
    def is_notebook(self) -> bool:
        """Whether it is a Jupyter notebook."""
        if not self.start.startswith(b"{") or b'"nbformat"' not in self.data:
            return False
        try:
            return isinstance(json.loads(self.data).get("nbformat"), int)
        except (ValueError, RecursionError):
            return False
