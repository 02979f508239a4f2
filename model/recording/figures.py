"""Figures of a recording by name. Those that draw are above the library and come in as entry points.

A figure is a function ``draw(recording, language, dark)`` that returns a Plotly figure; see :mod:`model.plugins`.
"""

from __future__ import annotations

from functools import cache
from types import FunctionType
from typing import Any

from model.errors import UserError
from model.plugins import rows_of


@cache
def figures() -> dict[str, FunctionType]:
    """The functions that draw a recording, by name; their titles are messages ``figures.<name>_title``."""
    return rows_of("figures", FunctionType, ())


def draw(recording: Any, name: str, language: str, dark: bool) -> Any:
    """The figure ``name`` of ``recording``; UserError if there is none, or the recording lacks its numbers."""
    known = figures()
    if not known:
        raise UserError("recordings.no_figures")
    if name not in known:
        raise UserError("recordings.unknown_figure", name=name, known=", ".join(known))
    return known[name](recording, language, dark)
