"""The files of a published checkpoint: which there are, whether their kind is read here, and what is in them.

Weights are safetensors only. A pickle can run any program while it is read, so one is never opened, and neither is
code that a checkpoint brings along.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from model.errors import UserError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
LARGEST_HEADER = 100_000_000
"""Bytes of a header: the format's own limit."""


class TensorEntry(NamedTuple):
    """Where a tensor is stored, its dtype and its shape."""

    file: Path
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Numbers in it."""
        count = 1
        for length in self.shape:
            count *= length
        return count


def check_names(names: Iterable[str], name: str) -> None:
    """UserError if files called ``names`` are no checkpoint ``name`` that can be read: pickled, or without weights."""
    found = [Path(entry).name for entry in names]
    if any(entry.endswith(".safetensors") for entry in found):
        return
    if any(entry.endswith(PICKLED) for entry in found):
        raise UserError("published.pickled", name=name)
    raise UserError("published.no_weights", name=name)


def weight_files(folder: Path, name: str) -> list[Path]:
    """The safetensors files in ``folder``; UserError if there are none, or some that the index names are missing."""
    if (folder / INDEX).exists():
        try:
            index = json.loads((folder / INDEX).read_text("utf-8"))
            files = sorted({folder / Path(entry).name for entry in index["weight_map"].values()})
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise UserError("checkpoints.bad_weights", name=name) from error
    else:
        files = [folder / SINGLE] if (folder / SINGLE).exists() else sorted(folder.glob("*.safetensors"))
    check_names([*(str(file) for file in files), *(entry.name for entry in folder.iterdir())], name)
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise UserError("published.missing_file", name=name, file=missing[0])
    return files


def tensors_in(folder: Path, name: str) -> dict[str, TensorEntry]:
    """Every tensor of a checkpoint by name, from the headers alone; UserError if a file is cut short or damaged."""
    found = {}
    for file in weight_files(folder, name):
        try:
            with file.open("rb") as stream:
                length = int.from_bytes(stream.read(8), "little")
                if not 0 < length <= LARGEST_HEADER:
                    raise ValueError("no header")
                header = json.loads(stream.read(length))
            end = 8 + length
            for entry, about in header.items():
                if entry != "__metadata__":
                    found[entry] = TensorEntry(file, tuple(about["shape"]), str(about["dtype"]))
                    first, last = about["data_offsets"]
                    if min((0, *found[entry].shape)) < 0 or not 0 <= found[entry].size <= 2 * (last - first):
                        raise ValueError("more numbers than bytes")  # two of them to a byte at most
                    end = max(end, 8 + length + int(last))
            if file.stat().st_size < end:
                raise ValueError("cut short")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError("checkpoints.bad_weights", name=name) from error
    return found


def shape_in_words(shape: Any) -> str:
    """A shape as people write it: 4 x 16."""
    return " × ".join(str(length) for length in shape)


def stamp(folder: Path) -> str:
    """Eight hexadecimal digits that change when a weight file does; no weight is read."""
    files = sorted(folder.glob("*.safetensors"))
    known = [f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:8]


def digest(folder: Path, name: str) -> str:
    """Sixteen hexadecimal digits of the weights: of every file's SHA-256, which the hub's cache has for a name."""
    sums = []
    for file in weight_files(folder, name):
        blob = file.resolve().name
        if not re.fullmatch(r"[0-9a-f]{64}", blob):
            with file.open("rb") as stream:
                blob = hashlib.file_digest(stream, "sha256").hexdigest()
        sums.append(f"{file.name}:{blob}")
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()[:16]
