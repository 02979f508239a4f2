"""A recording as two tables, for Parquet and CSV: one row a token, and one row a head at every chunk boundary.

Every column says its unit and its meaning: in Parquet as metadata of the field, in CSV after its name, ``loss [nats]``.
What was recorded for some rows only, as effective ranks, is empty in the others. Sketches are left out: they are
vectors, which :meth:`.reader.Recording.to_xarray` gives.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from model.disk import writing
from model.errors import UserError
from model.recording.reader import Recording
from model.recording.schema import (
    ARRAYS,
    CHARACTER,
    CONTROL_LOSS,
    EFFECTIVE_RANK,
    LOSS,
    POSITION,
    SNAPSHOT_POSITION,
    TOKEN_NORM,
)

UNIT, MEANING = b"unit", b"meaning"
"""Keys of a field's metadata."""
BOM = "\ufeff".encode()
"""With it spreadsheets read UTF-8."""


class Column(NamedTuple):
    """One column: its values, a row each, their unit and what they mean."""

    name: str
    values: np.ndarray | list[str]
    unit: str
    meaning: str


def base_columns(recording: Recording, starts: np.ndarray | None, text: str | None) -> list[Column]:
    """What a recording says of every token that was read: losses, their difference, norms if recorded by token.

    ``starts`` (tokens,) says where in the ``text`` each token begins, if that is known: then its text is in it, too.
    """
    count = recording.read_tokens
    loss = recording.array(LOSS)
    found = [Column("token", np.arange(count, dtype=np.int32), "1", "number of the token, from 0")]
    if starts is None:
        between = np.interp(np.arange(count), recording.array(POSITION), recording.array(CHARACTER))
        where = "about where it begins in the text, interpolated between chunk boundaries"
        found.append(Column(CHARACTER, between.astype(np.int32), "characters", where))
    else:
        found.append(Column(CHARACTER, starts[:count].astype(np.int32), "characters", "where it begins in the text"))
        if text is not None:
            found.append(Column("text", pieces_of(text, starts)[:count], "", "text of the token"))
    found.append(Column(LOSS, loss, ARRAYS[LOSS].unit, ARRAYS[LOSS].meaning))
    if recording.has(CONTROL_LOSS):
        control = recording.array(CONTROL_LOSS)
        found.append(Column(CONTROL_LOSS, control, ARRAYS[CONTROL_LOSS].unit, ARRAYS[CONTROL_LOSS].meaning))
        found.append(Column("excess", loss - control, "nats", "loss less control_loss: what the long memory costs"))
    if recording.has(TOKEN_NORM):
        norms = recording.array(TOKEN_NORM)
        found += [
            Column(f"norm_layer_{layer}", norms[:, layer].mean(axis=1), "1", "mean state norm of the layer's heads")
            for layer in range(norms.shape[1])
        ]
    return found


def pieces_of(text: str, starts: np.ndarray) -> list[str]:
    """The text of every token, from where each begins."""
    return [text[a:b] for a, b in pairwise([*starts.tolist(), len(text)])]


def table_of(columns: Sequence[Column], recording: Recording | None = None) -> pa.Table:
    """The table of ``columns``; what was run is its metadata, where it is of a ``recording``."""
    table = _Columns()
    for column in columns:
        table.add(*column)
    return table.done(recording)


def chunk_table(recording: Recording) -> pa.Table:
    """One row for every chunk boundary, layer and head: all statistics of the states, and the text of the chunk."""
    position = recording.array(POSITION)
    layers, heads = len(recording.meta.layers), recording.meta.nheads
    shape = (len(position), layers, heads)
    boundary, layer, head = (index.ravel() for index in np.indices(shape, np.int32))
    table = _Columns()
    for name in (POSITION, CHARACTER):
        table.add(name, recording.array(name)[boundary], ARRAYS[name].unit, ARRAYS[name].meaning)
    table.add("layer", layer, "1", "number of the layer, from 0")
    table.add("head", head, "1", "number of the head, from 0")
    for name, row in ARRAYS.items():
        if row.dimensions == ("boundary", "layer", "head") and recording.has(name):
            table.add(name, recording.array(name).ravel(), row.unit or "1", row.meaning)
    ranks = np.full(shape, np.nan, np.float32)
    known = np.isin(recording.array(SNAPSHOT_POSITION), position)
    rows = np.searchsorted(position, recording.array(SNAPSHOT_POSITION)[known])
    ranks[rows] = recording.array(EFFECTIVE_RANK)[known]
    table.add(EFFECTIVE_RANK, ranks.ravel(), "1", ARRAYS[EFFECTIVE_RANK].meaning)
    if recording.text is not None:
        starts = np.concatenate([[0], recording.array(CHARACTER)])
        texts = [recording.text[a:b] for a, b in pairwise(starts.tolist())]
        table.add("text", [texts[index] for index in boundary], "", "text of the chunk that ends here")
    return table.done(recording)


class _Columns:
    """Columns as they are added, each with its unit and its meaning."""

    def __init__(self) -> None:
        self.fields: list[pa.Field] = []
        self.arrays: list[pa.Array] = []

    def add(self, name: str, values: np.ndarray | list[str], unit: str, meaning: str) -> None:
        """One more column; a number that is not there (NaN) becomes an empty cell."""
        array = pa.array(values, from_pandas=True)
        self.fields.append(pa.field(name, array.type, metadata={UNIT: unit.encode(), MEANING: meaning.encode()}))
        self.arrays.append(array)

    def done(self, recording: Recording | None) -> pa.Table:
        """The table, with what was run as its metadata."""
        about = (
            None
            if recording is None
            else {
                "title": recording.title,
                "document": recording.document_name,
                "key": recording.key,
                "experiment": json.dumps(recording.experiment.to_json()),
                "versions": json.dumps(recording.meta.versions),
            }
        )
        return pa.Table.from_arrays(self.arrays, schema=pa.schema(self.fields, metadata=about))


def write_table(table: pa.Table, file: Path) -> None:
    """Write ``table`` as the ending of ``file`` says, .csv or .parquet; UserError for another one."""
    writers = {".csv": write_csv, ".parquet": write_parquet}
    if file.suffix.lower() not in writers:
        raise UserError("recordings.table_ending", name=file.name)
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        writers[file.suffix.lower()](table, file)


def write_parquet(table: pa.Table, file: Path) -> None:
    """Write ``table`` with the metadata of its columns."""
    pyarrow.parquet.write_table(table, file, compression="zstd")


def write_csv(table: pa.Table, file: Path) -> None:
    """Write ``table`` in UTF-8; a column's unit stands after its name, a missing number is an empty cell."""
    names = []
    for field in table.schema:
        unit = field.metadata[UNIT].decode()
        names.append(f"{field.name} [{unit}]" if unit not in ("", "1") else field.name)
    with file.open("wb") as stream:
        stream.write(BOM)
        pyarrow.csv.write_csv(table.rename_columns(names), stream)
