"""The archive that a Word document is: measured, then opened part by part.

A small upload can unfold into gigabytes, so the archive is unpacked once piece by piece and counted; only an archive
within the limits is read. XML is parsed without entities, without the network, and to a depth of 256.
"""

from __future__ import annotations

import posixpath
import zlib
from dataclasses import dataclass
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from lxml import etree

from model.errors import UserError

_CENTRAL_DIRECTORY_ENTRY = b"PK\x01\x02"
_ENCRYPTED = 0x1  # general purpose flag of a ZIP member
_OFFICE_DOCUMENT = "/officeDocument"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an archive may hold."""

    members: int
    inflated: int
    """Bytes of all members together."""
    xml: int
    """Bytes of the XML members together."""
    ratio: int
    """Bytes out for one byte in, above ``ratio_from`` bytes."""
    ratio_from: int


@dataclass(frozen=True)
class Relationship:
    """A link of one part to another: the last word of its type, and the name of the other part."""

    kind: str
    target: str


class BrokenPackageError(Exception):
    """The archive is not a Word document, or a part is damaged."""


class Package:
    """The parts of a document by their names."""

    def __init__(self, data: bytes) -> None:
        try:
            self._archive = ZipFile(BytesIO(data))
        except (BadZipFile, OSError, ValueError) as error:
            raise BrokenPackageError from error
        self._names = {name.lstrip("/").lower(): name for name in self._archive.namelist()}

    def part(self, name: str) -> bytes | None:
        """The bytes of a part, or None if there is none of that name; capitals do not matter."""
        stored = self._names.get(name.lstrip("/").lower())
        try:
            return None if stored is None else self._archive.read(stored)
        except (BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
            raise BrokenPackageError from error

    def tree(self, name: str) -> etree._Element | None:
        """The root of an XML part, or None if there is no such part.

        Raises:
            BrokenPackageError: if it is not well-formed, or too deep.
        """
        data = self.part(name)
        if data is None:
            return None
        parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)
        try:
            return etree.fromstring(data, parser)
        except etree.XMLSyntaxError as error:
            raise BrokenPackageError from error

    def relationships(self, name: str) -> dict[str, Relationship]:
        """The links of the part ``name`` (``""`` is the package itself) to parts inside the archive, by their ids."""
        folder, file = posixpath.split(name)
        root = self.tree(posixpath.join(folder, "_rels", f"{file}.rels"))
        out = {}
        for link in root if root is not None else ():
            identifier, kind, target = link.get("Id"), link.get("Type"), link.get("Target")
            if identifier and kind and target and link.get("TargetMode") != "External":
                path = target if target.startswith("/") else posixpath.join("/", folder, target)
                out[str(identifier)] = Relationship(kind.rpartition("/")[2], posixpath.normpath(path).lstrip("/"))
        return out

    def main(self) -> str:
        """The name of the part that holds the text.

        Raises:
            BrokenPackageError: if there is none.
        """
        links = self.relationships("").values()
        found = [link.target for link in links if f"/{link.kind}" == _OFFICE_DOCUMENT]
        if not found:
            raise BrokenPackageError
        return found[0]


def measure(data: bytes, name: str, limits: Limits) -> None:
    """Unpack every member without keeping it, and refuse what is encrypted, damaged or far too large.

    Raises:
        UserError: ``document.encrypted_word``, ``document.broken_word`` or ``document.word_bomb``.
    """
    bomb = UserError("document.word_bomb", name=name, limit=limits.inflated // 2**20)
    if data.count(_CENTRAL_DIRECTORY_ENTRY) > limits.members:  # before zipfile makes an object of each
        raise bomb
    try:
        with ZipFile(BytesIO(data)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > limits.inflated:
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
                        suspicious = inflated > limits.ratio_from and inflated > limits.ratio * len(data)
                        if inflated > limits.inflated or xml > limits.xml or suspicious:
                            raise bomb
    except (BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise UserError("document.broken_word", name=name) from error
