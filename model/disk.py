"""Files that survive a crash, and what goes wrong with a disk in a sentence.

A file is written under another name, flushed and renamed: it is there whole or not at all. One process at a time holds
the lock of a folder.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from model.errors import UserError

LOCK = "lock"
"""The file whose lock a writer holds, in the folder that it writes to. The system releases it when the process ends."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
OCCUPIED = {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}
TAKEN = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
"""What a system answers where another process has the lock; anything else says that there are no locks here."""


def write_whole(file: Path, data: bytes) -> None:
    """Write ``data`` to ``file``; once this returns, no crash loses it, and before, what was there is still there."""
    partial = file.with_suffix(".partial")
    try:
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        raise
    flush_folder(file.parent)


def flush(files: Iterable[Path], root: Path) -> None:
    """Wait until the disk has ``files`` and their names, in folders below ``root`` and in ``root`` itself.

    All at once, for a disk takes hardly longer for many files than for one.
    """
    known = set(files)
    folders = {folder for file in known for folder in file.parents if folder.is_relative_to(root)}
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(flush_file, known))
        list(pool.map(flush_folder, folders))


def flush_file(file: Path) -> None:
    """Wait until the disk has the content of ``file``."""
    with file.open("r+b") as stream:
        os.fsync(stream.fileno())


def flush_folder(folder: Path) -> None:
    """Wait until the disk has the names in ``folder``, where a system can be asked to."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def disk_error(error: OSError, path: Path) -> UserError | None:
    """``error``, met while ``path`` was written, as a sentence; None if it is none that a user can put right."""
    for key, numbers in (("full", FULL), ("refused", REFUSED), ("occupied", OCCUPIED)):
        if error.errno in numbers:
            return UserError(f"disk.{key}", path=str(error.filename or path))
    return None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in a sentence why ``path`` cannot be written."""
    try:
        yield
    except OSError as error:
        said = disk_error(error, path)
        if said is None:
            raise
        raise said from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder``, which is made if need be, against other writers; UserError if another one has it.

    Where the file system knows no locks, everybody is let in.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / LOCK).open("ab")
    with stream:
        try:
            _lock(stream.fileno())
        except OSError as error:
            if error.errno in TAKEN:
                raise UserError("disk.in_use", path=str(folder)) from error
        yield


def _lock(handle: int) -> None:
    """Take the lock of an open file, or raise OSError at once."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
