"""A recording as two tables, for Parquet and CSV: one row a token, and one row a head at every chunk boundary.

Every column says its unit and its meaning: in Parquet as metadata of the field, in CSV after its name, ``loss [nats]``.
What was recorded for some rows only, as effective ranks, is empty in the others. Sketches are left out: they are
vectors, which :meth:`.reader.Recording.to_xarray` gives.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

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


def token_table(recording: Recording, starts: np.ndarray | None = None) -> pa.Table:
    """One row a token that was read: losses, their difference, and state norms if they were recorded by token.

    ``starts`` (tokens,) says where in the text each token begins, if that is known: then a stored text is in it, too.
    """
    count = recording.read_tokens
    loss = recording.array(LOSS)
    table = _Columns()
    table.add("token", np.arange(count, dtype=np.int32), "1", "number of the token, from 0")
    if starts is None:
        between = np.interp(np.arange(count), recording.array(POSITION), recording.array(CHARACTER))
        where = "about where it begins in the text, interpolated between chunk boundaries"
        table.add(CHARACTER, between.astype(np.int32), "characters", where)
    else:
        table.add(CHARACTER, starts[:count].astype(np.int32), "characters", "where it begins in the text")
        if (text := recording.text) is not None:
            ends = [*starts[1:].tolist(), len(text)]
            pieces = [text[a:b] for a, b in zip(starts.tolist(), ends, strict=True)]
            table.add("text", pieces[:count], "", "text of the token")
    table.add(LOSS, loss, ARRAYS[LOSS].unit, ARRAYS[LOSS].meaning)
    if recording.has(CONTROL_LOSS):
        control = recording.array(CONTROL_LOSS)
        table.add(CONTROL_LOSS, control, ARRAYS[CONTROL_LOSS].unit, ARRAYS[CONTROL_LOSS].meaning)
        table.add("excess", loss - control, "nats", "loss less control_loss: what the long memory costs")
    if recording.has(TOKEN_NORM):
        norms = recording.array(TOKEN_NORM)
        for layer in range(norms.shape[1]):
            table.add(f"norm_layer_{layer}", norms[:, layer].mean(axis=1), "1", "mean state norm of the layer's heads")
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

    def done(self, recording: Recording) -> pa.Table:
        """The table, with what was run as its metadata."""
        about = {
            "title": recording.title,
            "document": recording.document_name,
            "key": recording.key,
            "experiment": json.dumps(recording.experiment.to_json()),
            "versions": json.dumps(recording.meta.versions),
        }
        return pa.Table.from_arrays(self.arrays, schema=pa.schema(self.fields, metadata=about))


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
