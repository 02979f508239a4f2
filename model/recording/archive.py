"""A recording as one zip file: for a colleague, or for another machine.

What comes in is not trusted. Only the files of a recording are taken, by a pattern of what their names may be, within
bounds that are counted while they unfold; the arrays must be exactly those that the experiment says, in plain types
and one known codec, holding numbers that can be numbers. Nothing in a recording is ever executed or unpickled.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from model.errors import UserError
from model.interventions.initial_states import INITIAL_STATES
from model.interventions.mitigations import MITIGATIONS
from model.interventions.parts import Off
from model.json_file import write_json
from model.recording.arrays import FOLDER, SEALED
from model.recording.reader import CANCELLED, COMPLETE, Recording
from model.recording.schema import ARRAYS, CHARACTER, SNAPSHOT_POSITION, Array, sizes

WORDS = "device", "kernels"
"""Key figures that are text: what the reading ran on."""
MAX_FILES = 20_000
MAX_BYTES = 1 << 30
"""Bytes of all files of a recording, unpacked."""
MAX_TOKENS = 64 << 20
MAX_ELEMENTS = 1 << 28
"""Numbers of one array: a few bytes of zip can stand for any number of zeros."""
PIECE = 32_768
"""Rows of an array that are looked at together."""
CODECS, CHECKSUM = ("bytes", "zstd"), "crc32c"
"""How chunks are stored, and from format 2 on also the last of their codecs."""
STATE = r"state-\d{1,12}\.safetensors"
NAMES = re.compile(
    rf"recording\.json|progress\.json|text\.txt|{STATE}"
    r"|data\.zarr/zarr\.json|data\.zarr/[a-z_]{1,30}/zarr\.json|data\.zarr/[a-z_]{1,30}/c(/\d{1,6}){1,3}"
)


class RefusedError(ValueError):
    """What came in is not a recording of ours; the reason is for the log, the user gets one sentence."""


def pack(recording: Recording, target: IO[bytes], *, with_text: bool = True) -> None:
    """Write ``recording`` to ``target`` as a zip file; its text is in it only if it was stored, and wanted."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # the arrays are compressed already
        for file in sorted(recording.path.rglob("*")):
            name = file.relative_to(recording.path).as_posix()
            if file.is_file() and NAMES.fullmatch(name) and (with_text or name != "text.txt"):
                archive.write(file, f"{recording.key}/{name}")


def unpack(source: IO[bytes], name: str, folder: Path) -> Recording:
    """Check the zip file ``source`` and put its recording into ``folder``; UserError, and nothing left, if it is none.

    ``name`` is the file's, for the sentence. A recording of the same experiment that is already there stays as it is
    and is returned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=folder) as temporary:
        path = Path(temporary) / "recording"
        try:
            extract(source, path)
            check(path)
            key = Recording(path).key
        except UserError as error:
            if error.key == "recordings.newer":
                raise UserError("recordings.newer", name=name) from error
            raise UserError("archive.not_a_recording", name=name) from error
        except Exception as error:  # whatever a parser stumbles over: bad zip, bad JSON, missing keys, bad chunks
            raise UserError("archive.not_a_recording", name=name) from error
        target = folder / key
        if not target.exists():
            shutil.move(path, target)
    return Recording(target)


def extract(source: IO[bytes], path: Path) -> None:
    """Unpack the files of a recording into the new folder ``path``; what is not one of them is left out."""
    with zipfile.ZipFile(source) as archive:
        entries = archive.infolist()
        roots = [
            entry.filename for entry in entries if re.fullmatch(r"([^/\\]{1,100}/)?recording\.json", entry.filename)
        ]
        if len(roots) != 1 or len(entries) > MAX_FILES:
            raise RefusedError("not exactly one recording.json, or too many files")
        prefix = roots[0].removesuffix("recording.json")
        left = MAX_BYTES
        for entry in entries:
            relative = entry.filename.removeprefix(prefix)
            if not entry.filename.startswith(prefix) or not NAMES.fullmatch(relative):
                continue
            target = path / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as stream, target.open("xb") as file:
                while block := stream.read(min(1 << 20, left + 1)):
                    left -= len(block)
                    if left < 0:
                        raise RefusedError("too large")
                    file.write(block)


def check(path: Path) -> None:
    """Refuse what is not, to the last number, a recording that this program could have written."""
    recording = Recording(path)
    meta, progress = recording.meta, recording.progress
    experiment = meta.experiment
    _require(meta.status in (COMPLETE, CANCELLED), "status")
    for text, limit in ((meta.title, 300), (meta.document_name, 300), (meta.created, 40), (experiment.model, 200)):
        _require(isinstance(text, str) and len(text) <= limit and text.isprintable(), "a text")
    _require(re.fullmatch(r"[0-9a-f]{64}", experiment.document) is not None, "hash")
    _require(re.fullmatch(r"[0-9a-f]{0,64}", experiment.weights) is not None, "weights")
    _require(re.fullmatch(r"[0-9a-f]{12}|", experiment.strategy.source) is not None, "source")
    _require(experiment.strategy.initial_state in INITIAL_STATES, "initial state")
    _require(
        all(known in MITIGATIONS and math.isfinite(value) for known, value in experiment.strategy.mitigations),
        "mitigation",
    )
    _require(experiment.off == Off.of(experiment.off).words, "a part")
    for count, low, high in (
        (experiment.tokens, 2, MAX_TOKENS),
        (experiment.train_length, 16, 1_000_000),
        (experiment.attention_window, 0, MAX_TOKENS),
        (progress["tokens"], 2, experiment.tokens),
        (meta.characters, 0, 1 << 31),
        (meta.nheads, 1, 4096),
        (meta.headdim, 1, 65_536),
        (meta.d_state, 1, 65_536),
        (len(meta.layers), 1, 1024),
    ):
        _require(type(count) is int and low <= count <= high, "a size")
    _require(all(isinstance(layer, str) and len(layer) <= 40 for layer in meta.layers), "layers")
    _require(isinstance(meta.summary, dict) and all(_plain(*entry) for entry in meta.summary.items()), "summary")
    if meta.status == COMPLETE:
        _require(progress["tokens"] == experiment.tokens, "complete")
    _check_state(recording)
    _check_arrays(recording)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise RefusedError(what)


def _plain(name: str, value: Any) -> bool:
    if name in WORDS:
        return isinstance(value, str) and len(value) <= 200 and value.isprintable()
    return value is None or (isinstance(value, bool | int | float) and math.isfinite(value))


def _check_state(recording: Recording) -> None:
    """The memory to resume from: named like ours, finite, plain arrays."""
    _require(re.fullmatch(STATE, str(recording.progress.get("state"))) is not None, "state")
    for array in recording.state().values():
        _require(array.dtype.kind not in "fc" or bool(np.isfinite(array).all()), "state")


def _check_arrays(recording: Recording) -> None:
    root, meta, stored = recording.path / FOLDER, recording.meta, recording.stored
    write_json(root / "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": {}})
    tokens, found = meta.experiment.tokens, {folder.name for folder in root.iterdir() if folder.is_dir()}
    snapshots = json.loads((root / "snapshot_position" / "zarr.json").read_text("utf-8"))["shape"][0]
    _require(type(snapshots) is int and 0 <= snapshots <= 65_536, "snapshots")
    lengths = sizes(tokens=tokens, layers=len(meta.layers), heads=meta.nheads, snapshots=snapshots)
    for name, row in ARRAYS.items():
        if name in found or not row.optional:
            _check_layout(root / name, row, tuple(lengths[word] for word in row.dimensions), meta.format >= SEALED)
    _require(found <= ARRAYS.keys(), "an unknown array")
    _require(found == set(stored.names), "an array is missing")
    stored.check()
    for name in found:
        rows = lengths[ARRAYS[name].dimensions[0]]
        for start in range(0, rows, PIECE):
            _require(not np.isinf(stored.read(name, start, min(rows, start + PIECE))).any(), "infinite numbers")
    for name in (name for name, row in ARRAYS.items() if row.dtype == "int32"):
        # Boundaries after the end of a cancelled reading are zeros; places for snapshots are all known beforehand.
        values = stored.read(name, 0, snapshots) if name == SNAPSHOT_POSITION else recording.array(name)
        limit = meta.characters if name == CHARACTER else tokens
        rising = bool((np.diff(values) >= 0).all())
        _require(not len(values) or (rising and values[0] >= 0 and values[-1] <= limit), "positions")


def _check_layout(folder: Path, row: Array, shape: tuple[int, ...], checksums: bool) -> None:
    """Metadata of one array, and of each of its chunks how large it says to be unpacked."""
    metadata = json.loads((folder / "zarr.json").read_text("utf-8"))
    chunk = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])
    _require(metadata["node_type"] == "array" and metadata["data_type"] == row.dtype, "type")
    _require(tuple(metadata["dimension_names"]) == row.dimensions and tuple(metadata["shape"]) == shape, "shape")
    _require(math.prod(shape) <= MAX_ELEMENTS, "too large")
    _require(all(type(a) is int and 1 <= a <= b for a, b in zip(chunk, shape, strict=True)), "chunks")
    _require([codec["name"] for codec in metadata["codecs"]] == [*CODECS, *([CHECKSUM] if checksums else [])], "codec")
    _require(not metadata.get("storage_transformers"), "transformer")
    _require(metadata["fill_value"] in (0, "NaN"), "fill")
    for file in (folder / "c").rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                _require(unpacked_size(stream.read(18)) == math.prod(chunk) * 4, "chunk")


def unpacked_size(head: bytes) -> int | None:
    """The size that a Zstandard frame says to have unpacked (RFC 8878, 3.1.1.1); None if it does not say."""
    if head[:4] != b"\x28\xb5\x2f\xfd" or len(head) < 6:
        return None
    flag, single, dictionary = head[4] >> 6, head[4] >> 5 & 1, (0, 1, 2, 4)[head[4] & 3]
    width = (1 if single else 0, 2, 4, 8)[flag]
    if not width:
        return None
    start = 5 + (0 if single else 1) + dictionary
    return int.from_bytes(head[start : start + width], "little") + (256 if width == 2 else 0)
