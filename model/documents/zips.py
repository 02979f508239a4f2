"""ZIP containers (spreadsheets, presentations, OpenDocument, EPUB, plain archives), opened only within limits.

A small ZIP can unfold into gigabytes, and its headers can lie about it. So every member is unpacked once, piece by
piece, and counted; only an archive within the limits is handed on.
"""

from __future__ import annotations

import re
import zlib
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from model.errors import UserError

MAX_MEMBERS = 10_000
MAX_INFLATED = 512 * 2**20
"""Bytes of all members together, pictures included."""
MAX_XML = 64 * 2**20
"""Bytes of one XML member that becomes a tree in memory, where it takes several times as much."""
MAX_RATIO = 300
"""Bytes out for one byte in, above :data:`RATIO_FROM`. Long tables of equal rows reach 100; a bomb 1,000."""
RATIO_FROM = 16 * 2**20

START = b"PK\x03\x04"
EMPTY = b"PK\x05\x06"
_CENTRAL_DIRECTORY_ENTRY = b"PK\x01\x02"
_LOCAL_NAME = re.compile(rb"PK\x03\x04.{22}(..)..([^\x00]{1,200})", re.DOTALL)
_ENCRYPTED = 0x1  # general purpose flag of a ZIP member
DAMAGE = (BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError, KeyError)


def names(data: bytes) -> frozenset[str]:
    """Names of the members, also of a ZIP that was cut off; empty for anything else."""
    if not data.startswith(START):
        return frozenset()
    if data.count(_CENTRAL_DIRECTORY_ENTRY) <= MAX_MEMBERS:  # zipfile makes an object of each
        try:
            with ZipFile(BytesIO(data)) as archive:
                return frozenset(archive.namelist())
        except DAMAGE:
            pass
    found = (match.group(2)[: int.from_bytes(match.group(1), "little")] for match in _LOCAL_NAME.finditer(data))
    return frozenset(name.decode("utf-8", "replace") for name in found)


def opened(data: bytes, name: str, kind: str = "file") -> ZipFile:
    """The archive, after every member was unpacked once within the limits.

    Raises:
        UserError: ``document.broken_*``, ``document.encrypted_*``, each with ``kind``, or ``document.archive_bomb``.
    """
    if data.count(_CENTRAL_DIRECTORY_ENTRY) > MAX_MEMBERS:
        raise bomb(name)
    try:
        archive = ZipFile(BytesIO(data))
        members = archive.infolist()
        if sum(member.file_size for member in members) > MAX_INFLATED:
            raise bomb(name)
        if any(member.flag_bits & _ENCRYPTED for member in members):
            raise UserError(f"document.encrypted_{kind}", name=name)
        if any(member.compress_type not in (ZIP_STORED, ZIP_DEFLATED) for member in members):
            raise UserError(f"document.broken_{kind}", name=name)
        inflated = 0
        for member in members:
            with archive.open(member) as stream:
                while chunk := stream.read(2**20):
                    inflated += len(chunk)
                    check_size(inflated, len(data), name)
    except DAMAGE as error:
        raise UserError(f"document.broken_{kind}", name=name) from error
    return archive


def check_size(inflated: int, packed: int, name: str) -> None:
    """Refuse what unfolds too far: ``inflated`` bytes out of ``packed`` bytes.

    Raises:
        UserError: ``document.archive_bomb``.
    """
    if inflated > MAX_INFLATED or (inflated > RATIO_FROM and inflated > MAX_RATIO * packed):
        raise bomb(name)


def bomb(name: str) -> UserError:
    """The error for an archive that unfolds too far."""
    return UserError("document.archive_bomb", name=name, limit=MAX_INFLATED // 2**20)
