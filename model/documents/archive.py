"""Archives (zip, tar, gz, bz2, xz) and folders: all files in order as one text, with a heading line for each."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path, PurePosixPath
from zipfile import ZipFile, ZipInfo

from model.documents import zips
from model.documents.pieces import Builder, Extract
from model.documents.sniffing import File
from model.errors import UserError

MAX_FILES = 2_000
MAX_DEPTH = 3
"""Archives inside archives."""
MAX_MEMORY = 128 * 2**20
"""Bytes that unpacking xz may take for its dictionary."""

Member = tuple[str, Callable[[], bytes]]
"""Path inside the archive, and what reads the bytes."""
ReadOne = Callable[[bytes, str, int], Extract]
"""Reads the bytes of one file with that name, to at most that many characters."""

_UTF8_NAME = 0x800  # general purpose flag of a ZIP member
_NUMBERED = re.compile(r"(.+)\.(\d{1,4})(?:\.(?:gz|bz2|xz))?")
_DATED = re.compile(r"(.+)[.-](\d{4}-?\d{2}-?\d{2}.*)")
_LAST_ENDING = re.compile(r"(?i)\.(gz|bz2|xz|tgz|tbz2?|txz)$")
_DIGITS = re.compile(r"(\d+)")
_LEFTOVERS = {"__MACOSX", "Thumbs.db", "desktop.ini"}


@dataclass
class Budget:
    """What may still be unpacked of one upload, all archives inside each other together."""

    depth: int = MAX_DEPTH
    left: int = zips.MAX_INFLATED

    def take(self, size: int, name: str) -> None:
        """Spend ``size`` bytes.

        Raises:
            UserError: ``document.archive_bomb``.
        """
        self.left -= size
        if self.left < 0:
            raise zips.bomb(name)

    def inside(self, name: str) -> None:
        """Enter an archive; :meth:`outside` leaves it again.

        Raises:
            UserError: ``document.nested_archive``.
        """
        if self.depth == 0:
            raise UserError("document.nested_archive", name=name, limit=MAX_DEPTH)
        self.depth -= 1

    def outside(self) -> None:
        """Leave an archive."""
        self.depth += 1


def read_archive(file: File, limit: int, read_one: ReadOne, budget: Budget) -> Extract:
    """The files of a zip or tar that can be read; the others are noted as left out, with the reason.

    Raises:
        UserError: ``document.broken_archive``, ``document.encrypted_archive``, ``document.archive_bomb``,
            ``document.nested_archive``, ``document.too_many_files``, ``document.nothing_inside`` or
            ``document.too_many_characters``.
    """
    data, name = file.data, file.name
    budget.inside(name)
    try:
        if data.startswith((zips.START, zips.EMPTY)):
            with zips.opened(data, name, "archive") as packed:
                budget.take(sum(member.file_size for member in packed.infolist()), name)
                return read_files(_zip_members(packed), name, limit, read_one)
        with tarfile.open(fileobj=BytesIO(data), mode="r:") as archive:
            budget.take(len(data), name)
            members = list(islice(_tar_members(archive), MAX_FILES + 1))
            return read_files(members, name, limit, read_one)
    except tarfile.TarError as error:
        raise UserError("document.broken_archive", name=name) from error
    finally:
        budget.outside()


def read_folder(folder: Path, name: str, limit: int, max_bytes: int, read_one: ReadOne) -> tuple[Extract, int]:
    """The files below a folder, links aside, that can be read, as those of an archive; and their size in bytes.

    Raises:
        UserError: ``document.too_large``, or as :func:`read_archive`.
    """
    size = 0

    def members() -> Iterator[Member]:
        nonlocal size
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                size += path.stat().st_size
                if size > max_bytes:
                    raise too_large(name, size, max_bytes)
                yield path.relative_to(folder).as_posix(), partial(_on_disk, path)

    return read_files(members(), name, limit, read_one), size


def read_files(members: Iterable[Member], name: str, limit: int, read_one: ReadOne) -> Extract:
    """The files in order, as one text.

    Raises:
        UserError: ``document.too_many_files``, ``document.nothing_inside`` or ``document.too_many_characters``.
    """
    found: list[Member] = []
    for path, read in members:
        if _wanted(path):
            found.append((path, read))
            if len(found) > MAX_FILES:
                raise UserError("document.too_many_files", name=name, limit=MAX_FILES)
    out = Builder(name, limit)
    order = in_order([path for path, _ in found])
    by_path = dict(found)
    for path in order:
        place = ("file", path)
        try:
            part = read_one(_bytes_of(path, by_path[path]), path, limit - out.length)
        except UserError as error:
            if error.key in ("document.too_many_characters", "document.archive_bomb"):
                raise
            out.omit(error.key, place, **error.values)
            continue
        if len(order) > 1:
            out.add(f"{_gap(out)}=== {path} ===\n", place)
        out.include(part, place)
        if not part.text.endswith("\n"):
            out.add("\n")
    if not out.length:
        raise UserError("document.nothing_inside", name=name)
    return out.done()


def files_below(folder: Path) -> list[Path]:
    """The files that :func:`read_folder` would read, in the same order.

    Raises:
        UserError: ``document.too_many_files`` or ``document.nothing_inside``.
    """
    found = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if _wanted(name) and path.is_file() and not path.is_symlink():
            found.append(name)
            if len(found) > MAX_FILES:
                raise UserError("document.too_many_files", name=folder.name, limit=MAX_FILES)
    if not found:
        raise UserError("document.nothing_inside", name=folder.name)
    return [folder / name for name in in_order(found)]


def _wanted(path: str) -> bool:
    """Whether the file with that path below its folder is a document: not hidden, nor left there by a system."""
    return not any(part in _LEFTOVERS or part.startswith(".") for part in PurePosixPath(path).parts)


def in_order(paths: list[str]) -> list[str]:
    """By folder and name, numbers by value; rotated logs (app.log.2, app.log.1, app.log) from old to new."""
    names = set(paths)

    def key(path: str) -> tuple[object, ...]:
        numbered, dated = _NUMBERED.fullmatch(path), _DATED.fullmatch(path)
        if numbered and numbered[1] in names:
            return _natural(numbered[1]), 1, -int(numbered[2]), ""
        if dated and dated[1] in names:
            return _natural(dated[1]), 0, 0, dated[2]
        return _natural(path), 2, 0, ""

    return sorted(names, key=key)


def too_large(name: str, size: int, limit: int) -> UserError:
    """The error for a file or folder of ``size`` bytes where ``limit`` bytes are read."""
    return UserError("document.too_large", name=name, size=-(-size // 2**20), limit=f"{limit / 2**20:g}")


def _natural(path: str) -> tuple[tuple[int, int, str], ...]:
    parts = _DIGITS.split(path.casefold())
    return tuple((1, int(part[:18]), part) if part.isdecimal() else (0, 0, part) for part in parts if part)


def _gap(out: Builder) -> str:
    return "\n" if out.length else ""


def inflated(file: File, budget: Budget) -> tuple[bytes, str]:
    """What a compressed file (gz, bz2, xz) holds, and its name without the last ending.

    Raises:
        UserError: ``document.broken_archive`` or ``document.archive_bomb``.
    """
    data = _inflated(file)
    budget.take(len(data), file.name)
    return data, _LAST_ENDING.sub(lambda end: ".tar" if "t" in end[1].lower() else "", file.name)


def _inflated(file: File) -> bytes:
    out = bytearray()
    try:
        if file.compressed == "xz":
            unpacker = lzma.LZMADecompressor(memlimit=MAX_MEMORY)
            chunk = unpacker.decompress(file.data, 2**20)
            while chunk:
                out += chunk
                zips.check_size(len(out), len(file.data), file.name)
                chunk = b"" if unpacker.eof else unpacker.decompress(b"", 2**20)
            return bytes(out)
        unpack = gzip.open if file.compressed == "gz" else bz2.open
        with unpack(BytesIO(file.data)) as stream:
            while chunk := stream.read(2**20):
                out += chunk
                zips.check_size(len(out), len(file.data), file.name)
    except (lzma.LZMAError, *zips.DAMAGE) as error:
        raise UserError("document.broken_archive", name=file.name) from error
    return bytes(out)


def _bytes_of(path: str, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except (tarfile.TarError, *zips.DAMAGE) as error:
        raise UserError("document.broken_file", name=path) from error


def _on_disk(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError("document.unreadable_file", path=path, reason=error.strerror) from error


def _zip_members(archive: ZipFile) -> Iterator[Member]:
    for member in archive.infolist():
        if not member.is_dir():
            yield _zip_name(member), partial(archive.read, member)


def _zip_name(member: ZipInfo) -> str:
    """The name of a member; without the flag for UTF-8 it is in the encoding of the machine that made it."""
    if not member.flag_bits & _UTF8_NAME:
        for encoding in ("utf-8", "cp932"):
            try:
                return member.filename.encode("cp437").decode(encoding)
            except ValueError:
                continue
    return member.filename


def _tar_members(archive: tarfile.TarFile) -> Iterator[Member]:
    for member in archive:
        if member.isreg():  # no links, no devices, and no sparse files, which can be huge
            yield member.name, partial(_of_tar, archive, member)


def _of_tar(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return stream.read() if stream is not None else b""
