"""Jupyter notebooks (.ipynb) to text: the source of every cell, then what it printed; pictures are left out."""

from __future__ import annotations

import json
from typing import Any

from model.documents.pieces import Builder, Extract, joined

MAX_OUTPUT = 100_000
"""Characters of the output of one cell; a training log can have millions."""


def read_notebook(text: str, name: str, limit: int) -> Extract:
    """The cells with an empty line between two; a file that is no notebook after all is kept as it is.

    Raises:
        UserError: ``document.too_many_characters``.
    """
    try:
        notebook = json.loads(text)
        cells = notebook.get("cells") or [cell for sheet in notebook["worksheets"] for cell in sheet["cells"]]
        sources = [_lines(cell.get("source", cell.get("input", ""))) for cell in cells]
        printed = [[_printed(output) for output in cell.get("outputs", ())] for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Extract(text=str(joined([text], "", name, limit)))
    out = Builder(name, limit)
    for number, (source, outputs) in enumerate(zip(sources, printed, strict=True), start=1):
        out.add("\n" if out.length else "", ("cell", number))
        for part in (source, *(words for words, _ in outputs)):
            if part.strip():
                out.add(part[:MAX_OUTPUT].rstrip("\n") + "\n")
        pictures = sum(picture for _, picture in outputs)
        if pictures:
            out.omit("omitted.pictures", ("cell", number), count=pictures)
    return out.done()


def _lines(source: Any) -> str:
    return source if isinstance(source, str) else "".join(source)


def _printed(output: dict[str, Any]) -> tuple[str, bool]:
    """The text of an output, and whether it is a picture without one that says something."""
    kind = output.get("output_type")
    if kind == "stream":
        return _lines(output.get("text", "")), False
    if kind in ("error", "pyerr"):
        return f"{output.get('ename', '')}: {output.get('evalue', '')}", False
    data = output.get("data", {})
    if any(name.startswith("image/") for name in data):
        return "", True
    return _lines(data.get("text/plain", output.get("text", ""))), False
