"""Rows that other packages add to a table, through entry points that app and command line both find.

A package that is installed beside this one names a row in its ``pyproject.toml``:

    [project.entry-points."memory_explorer.mitigations"]
    mute = "my_package.mute:MUTE"

``MUTE`` is a row of the table, as :class:`model.interventions.mitigations.Mitigation`. Its title and help are in a file
``mitigations.toml`` beside its module, in the layout of :mod:`model.messages`; without one its name stands for both.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from model.messages import add_file, add_missing

Row = TypeVar("Row")


def rows_of(table: str, kind: type[Row], taken: Collection[str], *, titled: bool = True) -> dict[str, Row]:
    """The rows of ``table`` that installed packages add, by name, each a ``kind``.

    ``titled``: whether a row has a title and a help text. A row that cannot be loaded, or whose name is ``taken``, is
    left out with a warning that says which package it is from: one broken package must not keep the others from
    working.
    """
    found: dict[str, Row] = {}
    for point in entry_points(group=f"memory_explorer.{table}"):
        source = f"{point.name} ({point.value})"
        if point.name in taken or point.name in found:
            warnings.warn(f"{source} is left out: the name is taken", stacklevel=2)
            continue
        try:
            row = point.load()
            spec = find_spec(point.module)
        except Exception as error:  # whatever a foreign module raises on import
            warnings.warn(f"{source} is left out: {type(error).__name__}: {error}", stacklevel=2)
            continue
        if not isinstance(row, kind):
            warnings.warn(f"{source} is left out: it is no {kind.__name__}", stacklevel=2)
            continue
        found[point.name] = row
        if not titled:
            continue
        words = Path(spec.origin).parent / f"{table}.toml" if spec and spec.origin else None
        if words and words.exists():
            add_file(words, table)
        add_missing(f"{table}.{point.name}_title", point.name)
        add_missing(f"{table}.{point.name}_help", point.value)
    return found
