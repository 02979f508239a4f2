"""Several files in one command: each is worked on in turn, and one that fails says why without stopping the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from model.documents.archive import files_below
from model.errors import UserError

Result = TypeVar("Result")


def files_of(paths: Sequence[Path], each: bool = False) -> list[Path]:
    """The documents that ``paths`` name, each once: files, and folders, which are one document.

    With ``each`` a folder stands for the files below it. UserError for a folder without files, or with too many.
    """
    found = [file for path in paths for file in (files_below(path) if each and path.is_dir() else [path])]
    return list(dict.fromkeys(found))


def attempts(files: Iterable[Path], work: Callable[[Path], Result]) -> Iterator[tuple[Path, Result | UserError]]:
    """``work`` on every file, one after the other: what came of it, or the sentence that says why nothing did."""
    for file in files:
        try:
            yield file, work(file)
        except UserError as error:
            yield file, error
