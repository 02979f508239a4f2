"""A recording, written: block by block, each of them on disk or not there at all."""

from __future__ import annotations

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
from safetensors.numpy import save_file

from model.json_file import write_json
from model.mixers import erases
from model.recording.reader import RUNNING, Meta, Recording
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
    """Creates a recording and fills it block by block; opens one that was interrupted and resumes it."""

    def __init__(self, path: Path, meta: Meta, snapshot_positions: np.ndarray) -> None:
        self.path = path
        self.meta = meta
        self.snapshot_positions = snapshot_positions
        if (path / "progress.json").exists():
            self.meta = replace(Meta.read(path), status=RUNNING, summary={})
            self._group = zarr.open_group(str(path / "data.zarr"), mode="r+")
            return
        if path.exists():
            shutil.rmtree(path)  # a run that ended before its first block was safe
        path.mkdir(parents=True)
        experiment = meta.experiment
        self.meta = replace(meta, created=datetime.now(UTC).isoformat(timespec="seconds"), versions=versions())
        self.meta.write(path)
        self._group = zarr.open_group(str(path / "data.zarr"), mode="w", zarr_format=3)
        lengths = sizes(
            tokens=experiment.tokens,
            layers=len(meta.layers),
            heads=meta.nheads,
            snapshots=len(snapshot_positions),
        )
        wanted = {CONTROL_LOSS: experiment.control, TOKEN_NORM: experiment.token_norms}
        wanted |= dict.fromkeys(OVERWRITING, erases(meta.layers))
        for name, row in ARRAYS.items():
            if not row.optional or wanted[name]:
                self._create(name, row, tuple(lengths[word] for word in row.dimensions))
        stored: Any = self._group[SNAPSHOT_POSITION]
        stored[:] = snapshot_positions

    def _create(self, name: str, row: Array, shape: tuple[int, ...]) -> None:
        rows = {"token": BLOCK, "boundary": BLOCK // CHUNK}.get(row.dimensions[0], max(1, shape[0]))
        self._group.create_array(
            name,
            shape=shape,
            chunks=(min(rows, max(1, shape[0])), *shape[1:]),
            dtype=row.dtype,
            fill_value=row.fill,
            dimension_names=row.dimensions,
        )

    def put(self, name: str, start: int, values: np.ndarray) -> None:
        """Store ``values`` in the array ``name`` from row ``start`` on.

        An array that an earlier version did not make, in a recording that is resumed, stays out.
        """
        if len(values) and name in self._group:
            stored: Any = self._group[name]
            stored[start : start + len(values)] = values

    def commit(self, progress: Mapping[str, Any], state: Mapping[str, np.ndarray]) -> None:
        """Make everything put so far safe, together with the memory from which to resume."""
        name = f"state-{progress['tokens']}.safetensors"
        save_file(dict(state), self.path / name)
        write_json(self.path / "progress.json", {**progress, "state": name})
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
