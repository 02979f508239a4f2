"""The arrays of a recording on disk, checked as far as they are read.

Every chunk ends with its checksum (the codec crc32c of Zarr), the metadata of every array has its digest in
``recording.json``, and ``progress.json`` says which chunks there must be. Recordings of format 1 have no checksums;
of theirs it is checked what can be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from model.errors import UserError
from model.json_file import digest
from model.recording.schema import ARRAYS, CHUNK, CONTROL_LOSS, DELTA_RULE, SNAPSHOT_POSITION

FOLDER, METADATA = "data.zarr", "zarr.json"
SEALED = 2
"""The first format whose files all have checksums."""


class StoredArrays:
    """The arrays in the recording at ``path``; ``digests`` are those of their metadata, by name, if it has them.

    ``progress`` says how far they are filled. UserError for whatever is damaged, when it is read and not before.
    """

    def __init__(self, path: Path, digests: Mapping[str, str], progress: Mapping[str, Any]) -> None:
        self.path = path
        self.digests = digests
        self.progress = progress
        self._opened: dict[str, Any] = {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Those that were recorded."""
        if self.digests:
            return tuple(self.digests)
        return tuple(name for name in ARRAYS if (self.path / FOLDER / name).is_dir())

    def read(self, name: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows ``start`` to ``stop`` of the array ``name``, by default all that were read; KeyError if there is none.

        The last rows of a control that lags behind the reading are NaN.
        """
        array = self._open(name)
        self._check(name, start, stop)
        if stop is None:
            stop = self._rows(name)
        try:
            return np.asarray(array[start:stop])
        except Exception as error:  # whatever a codec makes of bytes that it did not write
            raise damaged_array(self.path, name) from error

    def check(self) -> None:
        """UserError unless every array has all chunks that it should have; only the last is read, to be completed."""
        for name in self.names:
            self._check(name)
            if written := self._written(name):
                self.read(name, written - 1, written)

    def _check(self, name: str, start: int = 0, stop: int | None = None) -> None:
        """UserError unless the chunks of rows ``start`` to ``stop`` are there, as far as they were written.

        Before the first token there need be none. Without checksums chunks of nothing but NaN were left out, as a
        delta rule has them.
        """
        array = self._open(name)
        written = self._written(name)
        stop = written if stop is None else min(stop, written)
        if not int(self.progress["tokens"]) or (not self.digests and ARRAYS[name].optional == DELTA_RULE):
            return
        for index in range(start // array.chunks[0], -(-stop // array.chunks[0])):
            file = chunk_file(self.path, name, array, index)
            if not file.is_file():
                raise damaged_array(self.path, name, file)

    def _rows(self, name: str) -> int:
        """Rows of what was read."""
        tokens = int(self.progress["tokens"])
        match ARRAYS[name].dimensions[0]:
            case "token":
                return tokens
            case "boundary":
                return -(-tokens // CHUNK) + 1
        if name == SNAPSHOT_POSITION:
            return int(np.searchsorted(self._snapshots, tokens, side="right"))
        return self._rows(SNAPSHOT_POSITION)

    def _written(self, name: str) -> int:
        """Rows that must be on disk: all that were read, but for a control that lags behind."""
        if name == SNAPSHOT_POSITION:
            return int(self._open(name).shape[0])  # known before anything is read
        return int(self.progress.get("controlled", 0)) if name == CONTROL_LOSS else self._rows(name)

    @cached_property
    def _snapshots(self) -> np.ndarray:
        array = self._open(SNAPSHOT_POSITION)
        return self.read(SNAPSHOT_POSITION, 0, array.shape[0])

    def _open(self, name: str) -> Any:
        if name not in self._opened:
            if name not in self.names:
                raise KeyError(name)
            self._opened[name] = self._opened_now(name)
        return self._opened[name]

    def _opened_now(self, name: str) -> Any:
        import zarr

        try:
            found = metadata_digest(self.path, name)
            if self.digests and found != self.digests[name]:
                raise ValueError("its digest is another")
            return zarr.open_array(str(self.path / FOLDER / name), mode="r", zarr_format=3)
        except Exception as error:  # whatever a parser stumbles over
            raise damaged_array(self.path, name, self.path / FOLDER / name / METADATA) from error


def chunk_file(path: Path, name: str, array: Any, index: int) -> Path:
    """Where the chunk ``index`` of ``array`` is stored: it is whole along all dimensions but the first."""
    key: str = array.metadata.encode_chunk_key((index, *(0 for _ in array.shape[1:])))
    return path / FOLDER / name / key


def damaged_array(path: Path, name: str, file: Path | None = None) -> UserError:
    """The sentence for the array ``name`` of the recording at ``path``, with the ``file`` where it is known."""
    place = (file or path / FOLDER / name).relative_to(path).as_posix()
    return UserError("recordings.damaged_array", name=path.name, array=name, file=place, folder=str(path))


def metadata_digest(path: Path, name: str) -> str:
    """The digest of the metadata of the array ``name`` in the recording at ``path``."""
    return digest(json.loads((path / FOLDER / name / METADATA).read_text("utf-8")))
