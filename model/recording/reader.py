"""A recording, read: what was seen while a document was read, as a directory that outlives the process.

    recording.json      title, experiment, document (name, hash), model shape, status, summary
    progress.json       how many tokens are safely on disk: renamed into place last, so a block is there or it is not
    data.zarr/          arrays with named dimensions (Zarr v3): ``xarray.open_zarr`` opens it without this project
    state.safetensors   the memory after the last safe token: where to resume, and the "carried" state of other runs
    text.txt            the document itself, only if its owner chose that
    notes.json          tags, a note and a pin, if there are any (:mod:`model.recording.notes`)

The arrays, their dimensions and units stand in :data:`model.recording.schema.ARRAYS`;
:mod:`model.recording.writer` fills them.

Nothing here needs torch: a view opens a recording with numpy alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from model.errors import UserError
from model.experiment import Experiment
from model.json_file import write_json
from model.recording.schema import ARRAYS, CHARACTER, CHUNK, POSITION, SNAPSHOT_POSITION, VERSION

RUNNING, COMPLETE, CANCELLED = "running", "complete", "cancelled"


@dataclass(frozen=True, kw_only=True)
class Meta:
    """The content of ``recording.json``."""

    title: str
    experiment: Experiment
    document_name: str
    characters: int
    layers: tuple[str, ...]
    nheads: int
    headdim: int
    d_state: int
    status: str = RUNNING
    created: str = ""
    format: int = VERSION
    versions: dict[str, str] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> Meta:
        """Parse ``recording.json``; UserError if it is not one of ours."""
        try:
            values = json.loads((path / "recording.json").read_text("utf-8"))
            if values.setdefault("format", 1) > VERSION:
                raise UserError("recordings.newer", name=path.name)
            values["experiment"] = Experiment.from_json(values["experiment"])
            values["layers"] = tuple(values["layers"])
            return Meta(**{name: values[name] for name in Meta.__dataclass_fields__ if name in values})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError("recordings.unreadable", name=path.name) from error

    def write(self, path: Path) -> None:
        """Write ``recording.json`` whole or not at all."""
        write_json(path / "recording.json", {**asdict(self), "experiment": self.experiment.to_json()})


class Recording:
    """A recording on disk, read on demand; arrays are cached as numpy and must not be changed in place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meta = Meta.read(path)
        self._arrays: dict[str, np.ndarray] = {}

    @property
    def key(self) -> str:
        """The experiment's key, also the directory's name."""
        return self.meta.experiment.key

    @property
    def title(self) -> str:
        """The name its owner gave it."""
        return self.meta.title

    @property
    def document_name(self) -> str:
        """The name of the document's file."""
        return self.meta.document_name

    @property
    def experiment(self) -> Experiment:
        """What was run."""
        return self.meta.experiment

    @property
    def train_length(self) -> int:
        """Tokens of a training sequence of the model."""
        return self.meta.experiment.train_length

    @property
    def tokens(self) -> int:
        """Tokens of the whole document."""
        return self.meta.experiment.tokens

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop`` of an array that may not fit in memory whole, read from disk each time."""
        return np.asarray(self._group[name][start:stop])

    @cached_property
    def read_tokens(self) -> int:
        """Tokens that were read: fewer than :attr:`tokens` if the run was cancelled."""
        return read_progress(self.path)["tokens"]

    @property
    def complete(self) -> bool:
        """Whether the document was read to its end."""
        return self.meta.status == COMPLETE

    @property
    def summary(self) -> dict[str, Any]:
        """The key figures (see :func:`model.diagnostics.summary.summarise`); empty while the run is not finished."""
        return self.meta.summary

    @cached_property
    def _group(self) -> Any:
        import zarr

        return zarr.open_group(str(self.path / "data.zarr"), mode="r")

    def has(self, name: str) -> bool:
        """Whether the array ``name`` was recorded."""
        return name in self._group

    def array(self, name: str) -> np.ndarray:
        """The array ``name``, cut to what was read; KeyError if it was not recorded."""
        if name not in self._arrays:
            stored = self._group[name]
            dimension = stored.metadata.dimension_names[0]
            count = {
                "token": self.read_tokens,
                "boundary": -(-self.read_tokens // CHUNK) + 1,
            }.get(dimension)
            if count is None:
                count = int(np.searchsorted(self._group[SNAPSHOT_POSITION][:], self.read_tokens, side="right"))
            self._arrays[name] = stored[:count]
        return self._arrays[name]

    @cached_property
    def text(self) -> str | None:
        """The document, if its owner let it be stored."""
        file = self.path / "text.txt"
        return file.read_text("utf-8") if file.exists() else None

    def to_xarray(self) -> Any:
        """Everything that was read as an ``xarray.Dataset``, with units and meanings; UserError without xarray."""
        try:
            import xarray
        except ImportError as error:
            raise UserError("recordings.no_xarray") from error

        found = {name: row for name, row in ARRAYS.items() if self.has(name)}
        return xarray.Dataset(
            {
                name: (row.dimensions, self.array(name), {"units": row.unit, "long_name": row.meaning})
                for name, row in found.items()
            },
            coords={"token": np.arange(self.read_tokens), "layer": list(range(len(self.meta.layers)))},
            attrs={"title": self.title, "key": self.key, "train_length": self.train_length},
        ).set_coords([POSITION, CHARACTER, SNAPSHOT_POSITION])

    def rename(self, title: str) -> None:
        """Give the recording another title."""
        self.meta = replace(self.meta, title=title)
        self.meta.write(self.path)


def read_progress(path: Path) -> dict[str, Any]:
    """The content of ``progress.json``; ``{"tokens": 0}`` if no block is safe yet."""
    try:
        return json.loads((path / "progress.json").read_text("utf-8"))
    except FileNotFoundError:
        return {"tokens": 0}
    except (OSError, ValueError) as error:
        raise UserError("recordings.unreadable", name=path.name) from error


def read_state(path: Path) -> dict[str, np.ndarray]:
    """The memory after the last safe token of the recording at ``path``, by tensor name."""
    progress = read_progress(path)
    if "state" not in progress:
        raise UserError("recordings.no_state", name=path.name)
    return load_file(path / progress["state"])


def recordings(*folders: Path) -> Iterator[Recording]:
    """Every readable recording in ``folders``, newest first within each."""
    for folder in folders:
        found = []
        for file in folder.glob("*/recording.json"):
            try:
                found.append(Recording(file.parent))
            except UserError:
                continue  # a half-written or foreign directory is not a recording
        yield from sorted(found, key=lambda recording: recording.meta.created, reverse=True)
