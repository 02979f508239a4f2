"""A recording, written: block by block, each of them on disk or not there at all."""

from __future__ import annotations

import hashlib
import platform
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from safetensors.numpy import save
from zarr.codecs import Crc32cCodec, ZstdCodec

from model.disk import LOCK, flush, write_whole, writing
from model.json_file import write_sealed
from model.mixers import erases
from model.recording.arrays import FOLDER, chunk_file, metadata_digest
from model.recording.reader import META, PROGRESS, RUNNING, Meta, Recording
from model.recording.schema import (
    ARRAYS,
    CHUNK,
    CONTROL_LOSS,
    OVERWRITING,
    SNAPSHOT_POSITION,
    TOKEN_NORM,
    Array,
    sizes,
)

BLOCK = 32_768
"""Tokens that are written, and can be lost, together: a multiple of every segment and chunk."""


class RecordingWriter:
    """Creates a recording and fills it block by block; opens one that was interrupted and resumes it.

    UserError if the recording is damaged, or if the disk does not take it: what was committed before stays.
    """

    def __init__(self, path: Path, meta: Meta, snapshot_positions: np.ndarray) -> None:
        self.path = path
        self.snapshot_positions = snapshot_positions
        self._changed: set[Path] = set()
        begun = Recording(path) if (path / META).exists() else None
        with writing(path):
            if begun is not None and begun.read_tokens:
                begun.stored.check()  # a lost chunk would be made anew without its first rows
                self.meta = replace(begun.meta, status=RUNNING, summary={})
                self.progress: dict[str, Any] = begun.progress
            else:
                self._begin(meta)
        self._arrays = {name: self._open(name) for name in Recording(path).stored.names}

    def _begin(self, meta: Meta) -> None:
        """Make an empty recording; it is one when ``recording.json`` is there, which is written last."""
        self.path.mkdir(parents=True, exist_ok=True)
        for left in self.path.iterdir():  # of a run that ended before its first block was safe
            if left.is_dir():
                shutil.rmtree(left)
            elif left.name != LOCK:
                left.unlink()
        zarr.open_group(str(self.path / FOLDER), mode="w", zarr_format=3)
        experiment = meta.experiment
        lengths = sizes(
            tokens=experiment.tokens,
            layers=len(meta.layers),
            heads=meta.nheads,
            snapshots=len(self.snapshot_positions),
        )
        wanted = {CONTROL_LOSS: experiment.control, TOKEN_NORM: experiment.token_norms}
        wanted |= dict.fromkeys(OVERWRITING, erases(meta.layers))
        names = [name for name, row in ARRAYS.items() if not row.optional or wanted[name]]
        for name in names:
            row = ARRAYS[name]
            self._create(name, row, tuple(lengths[word] for word in row.dimensions))
        self._open(SNAPSHOT_POSITION)[:] = self.snapshot_positions
        flush((file for file in (self.path / FOLDER).rglob("*") if file.is_file()), self.path.parent)
        self.progress = {"tokens": 0}
        write_sealed(self.path / PROGRESS, self.progress)
        self.meta = replace(
            meta,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=versions(),
            arrays={name: metadata_digest(self.path, name) for name in names},
        )
        self.meta.write(self.path)

    def _create(self, name: str, row: Array, shape: tuple[int, ...]) -> None:
        rows = {"token": BLOCK, "boundary": BLOCK // CHUNK}.get(row.dimensions[0], max(1, shape[0]))
        zarr.create_array(
            str(self.path / FOLDER),
            name=name,
            shape=shape,
            chunks=(min(rows, max(1, shape[0])), *shape[1:]),
            dtype=row.dtype,
            fill_value=row.fill,
            compressors=[ZstdCodec(), Crc32cCodec()],
            dimension_names=row.dimensions,
        )

    def _open(self, name: str) -> Any:
        """The array ``name``, which keeps chunks of nothing but NaN too, so that a chunk that is missing was lost."""
        with zarr.config.set({"array.write_empty_chunks": True}):  # an array that is there takes no other word for it
            return zarr.open_array(str(self.path / FOLDER / name), mode="r+")

    def put(self, name: str, start: int, values: np.ndarray) -> None:
        """Store ``values`` in the array ``name`` from row ``start`` on.

        An array that an earlier version did not make, in a recording that is resumed, stays out.
        """
        if not len(values) or name not in self._arrays:
            return
        array, stop = self._arrays[name], start + len(values)
        with writing(self.path):
            array[start:stop] = values
        for index in range(start // array.chunks[0], -(-stop // array.chunks[0])):
            self._changed.add(chunk_file(self.path, name, array, index))

    def commit(self, progress: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> None:
        """Make everything put so far safe, together with the memory from which to resume.

        It is on the disk before ``progress.json`` says so, and what that said before is there until then.
        """
        name, data = f"state-{progress['tokens']}.safetensors", save(dict(state))
        with writing(self.path):
            write_whole(self.path / name, data)
            flush(self._changed, self.path)
            self._changed.clear()
            self.progress = {**progress, "state": name, "state_sha256": hashlib.sha256(data).hexdigest()}
            write_sealed(self.path / PROGRESS, self.progress)
            for stale in self.path.glob("state-*.safetensors"):
                if stale.name != name:
                    stale.unlink()

    def finish(self, status: str, summary: dict[str, Any]) -> Recording:
        """Write the final status and key figures, and open the recording."""
        self.meta = replace(self.meta, status=status, summary=summary)
        self.meta.write(self.path)
        return Recording(self.path)


def versions() -> dict[str, str]:
    """Versions of everything that shapes the numbers."""
    found = {"python": platform.python_version()}
    for package in ("recurrent-memory-explorer", "torch", "numpy", "tokenizers", "zarr"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found
