"""A recording, read: what was seen while a document was read, as a directory that outlives the process.

    recording.json      title, experiment, document (name, hash), model shape, status, summary
    progress.json       how many tokens are safely on disk: renamed into place last, so a block is there or it is not
    data.zarr/          arrays with named dimensions (Zarr v3): ``xarray.open_zarr`` opens it without this project
    state-N.safetensors the memory after the last safe token: where to resume, and the "carried" state of other runs
    text.txt            the document itself, only if its owner chose that
    notes.json          tags, a note and a pin, if there are any (:mod:`model.recording.notes`)

The arrays, their dimensions and units stand in :data:`model.recording.schema.ARRAYS`;
:mod:`model.recording.writer` fills them. Every file is checked when it is read: the two JSON files hold a digest of
themselves, ``progress.json`` that of the state, the experiment that of the text, and :mod:`model.recording.arrays`
checks the arrays.

Nothing here needs torch: a view opens a recording with numpy alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from model.disk import write_whole, writing
from model.errors import UserError
from model.experiment import Experiment
from model.json_file import unsealed, write_sealed
from model.mixers import with_state
from model.recording.arrays import SEALED, StoredArrays
from model.recording.figures import draw
from model.recording.schema import ARRAYS, CHARACTER, POSITION, SNAPSHOT_POSITION, VERSION

META, PROGRESS, TEXT = "recording.json", "progress.json", "text.txt"
RUNNING, COMPLETE, CANCELLED = "running", "complete", "cancelled"


@dataclass(frozen=True, kw_only=True)
class Meta:
    """The content of ``recording.json``; ``arrays`` are the digests of the arrays' metadata, by name."""

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
    arrays: dict[str, str] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> Meta:
        """Parse ``recording.json``; UserError if it is not one of ours, or damaged."""
        try:
            values = json.loads((path / META).read_text("utf-8"))
            if values.get("format", 1) > VERSION:
                raise UserError("recordings.newer", name=path.name)
            values = {"format": 1} | unsealed(values, required=values.get("format", 1) >= SEALED)
            values["experiment"] = Experiment.from_json(values["experiment"])
            values["layers"] = tuple(values["layers"])
            return Meta(**{name: values[name] for name in Meta.__dataclass_fields__ if name in values})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged("file", path, META) from error

    def write(self, path: Path) -> None:
        """Write ``recording.json`` whole or not at all."""
        write_sealed(path / META, {**asdict(self), "experiment": self.experiment.to_json()})


class Recording:
    """A recording on disk, read on demand; arrays are cached as numpy and must not be changed in place.

    UserError for a file that is damaged: here for what says what was read, else when the file is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.meta = Meta.read(path)
        self.progress = read_progress(path, self.meta)
        self.stored = StoredArrays(path, self.meta.arrays, self.progress)
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

    @property
    def state_layers(self) -> tuple[int, ...]:
        """The numbers of the layers that have a state of fixed size; those of attention have a cache."""
        return with_state(self.meta.layers)

    def rows(self, name: str, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop`` of an array that may not fit in memory whole, read from disk each time."""
        return self.stored.read(name, start, stop)

    @property
    def read_tokens(self) -> int:
        """Tokens that were read: fewer than :attr:`tokens` if the run was cancelled."""
        return int(self.progress["tokens"])

    @property
    def complete(self) -> bool:
        """Whether the document was read to its end."""
        return self.meta.status == COMPLETE

    @property
    def summary(self) -> dict[str, Any]:
        """The key figures (see :func:`model.diagnostics.summary.summarise`); empty while the run is not finished."""
        return self.meta.summary

    def has(self, name: str) -> bool:
        """Whether the array ``name`` was recorded."""
        return name in self.stored.names

    def array(self, name: str) -> np.ndarray:
        """The array ``name``, cut to what was read; KeyError if it was not recorded."""
        if name not in self._arrays:
            self._arrays[name] = self.stored.read(name)
        return self._arrays[name]

    @cached_property
    def text(self) -> str | None:
        """The document, if its owner let it be stored."""
        file = self.path / TEXT
        if not file.exists():
            return None
        data = file.read_bytes()
        if self.meta.format >= SEALED and hashlib.sha256(data).hexdigest() != self.experiment.document:
            raise damaged("text", self.path, TEXT)
        return data.decode("utf-8")

    def state(self) -> dict[str, np.ndarray]:
        """The memory after the last token that was read, by tensor name; UserError if none was stored."""
        name = self.progress.get("state")
        if name is None:
            raise UserError("recordings.no_state", name=self.path.name)
        try:
            data = (self.path / name).read_bytes()
            wanted = self.progress.get("state_sha256")
            if wanted is not None and hashlib.sha256(data).hexdigest() != wanted:
                raise ValueError("its digest is another")
            return load(data)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise damaged("state", self.path, str(name)) from error

    def to_xarray(self) -> Any:
        """Everything that was read as an ``xarray.Dataset``, with units and meanings; UserError without xarray.

        Coordinates are token, layer and head by number, and the positions of boundaries and snapshots in tokens and
        characters.
        """
        try:
            import xarray
        except ImportError as error:
            raise UserError("recordings.no_xarray") from error

        found = {name: row for name, row in ARRAYS.items() if self.has(name)}
        lengths = {"token": self.read_tokens, "layer": len(self.meta.layers), "head": self.meta.nheads}
        return xarray.Dataset(
            {
                name: (row.dimensions, self.array(name), {"units": row.unit, "long_name": row.meaning})
                for name, row in found.items()
            },
            coords={
                name: (name, np.arange(length), {"units": "1", "long_name": f"number of the {name}, from 0"})
                for name, length in lengths.items()
            },
            attrs={"title": self.title, "key": self.key, "train_length": self.train_length},
        ).set_coords([POSITION, CHARACTER, SNAPSHOT_POSITION])

    def figure(self, name: str, language: str = "en", dark: bool = False) -> Any:
        """The Plotly figure ``name`` of this recording; :func:`model.recording.figures.figures` lists the names.

        UserError if there is none of that name, or if what it shows was not recorded.
        """
        return draw(self, name, language, dark)

    def rename(self, title: str) -> None:
        """Give the recording another title."""
        self.meta = replace(self.meta, title=title)
        self.meta.write(self.path)


def read_progress(path: Path, meta: Meta) -> dict[str, Any]:
    """The content of ``progress.json``: ``tokens`` that are safe, 0 if no block is, and the file of their state."""
    file = path / PROGRESS
    if meta.format < SEALED and meta.status == RUNNING and not file.exists():
        return {"tokens": 0}
    try:
        progress = unsealed(json.loads(file.read_text("utf-8")), required=meta.format >= SEALED)
        if not 0 <= progress["tokens"] <= meta.experiment.tokens:
            raise ValueError("not so many tokens")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged("file", path, PROGRESS) from error
    return progress


def read_state(path: Path) -> dict[str, np.ndarray]:
    """The memory after the last safe token of the recording at ``path``, by tensor name."""
    return Recording(path).state()


def write_text(path: Path, text: str) -> None:
    """Store the document ``text`` in the recording at ``path``."""
    with writing(path):
        write_whole(path / TEXT, text.encode())


def damaged(what: str, path: Path, file: str) -> UserError:
    """The sentence for a damaged ``file`` of the recording at ``path``: a "file", its "state" or its "text"."""
    return UserError(f"recordings.damaged_{what}", name=path.name, file=file, folder=str(path))


def recordings(*folders: Path) -> Iterator[Recording]:
    """Every readable recording in ``folders``, newest first within each."""
    for folder in folders:
        found = []
        for file in sorted(folder.glob(f"*/{META}")):
            with suppress(UserError):  # the catalogue says why it cannot be opened
                found.append(Recording(file.parent))
        yield from sorted(found, key=lambda recording: recording.meta.created, reverse=True)
