"""Spreadsheets (xlsx, xls, ods) to text: the name of each sheet, then one line for each row that is not empty."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

from model.documents import zips
from model.documents.pieces import CELL_SEPARATOR, Builder, Extract
from model.errors import UserError

MAX_SECONDS = 180.0
"""Time for the whole workbook."""

_PROCESS = Path(__file__).with_name("sheet_process.py")


def read_sheets(data: bytes, name: str, limit: int) -> Extract:
    """The cells of every visible sheet; empty rows are left out, and one empty line stands where some were.

    Raises:
        UserError: ``document.encrypted_file``, ``document.broken_file``, ``document.archive_bomb``,
            ``document.sheet_too_far``, ``document.slow_file`` or ``document.too_many_characters``.
    """
    if data.startswith(zips.START):
        zips.opened(data, name).close()
    out = Builder(name, limit)
    sheet, after, width, complete = "", 0, 0, False
    with contextlib.closing(_lines(data, name)) as lines:
        for kind, *values in lines:
            if kind in ("encrypted", "broken"):
                raise UserError(f"document.{kind}_file", name=name)
            complete = kind == "end"
            if kind == "sheet":
                sheet, after, width = values[0], 0, 0
                if values[1] == "hidden":
                    out.omit("omitted.hidden_sheet", ("sheet", sheet))
            elif kind == "row":
                number, cells = values
                if not after:
                    out.add(f"\n{sheet}\n" if out.length else f"{sheet}\n", ("sheet", sheet))
                if number != after + 1 or not after:
                    out.add("\n" if after else "")
                    out.start(("sheet", sheet), unit="row", first=number)
                    width = 0
                # Cells at the end are kept as far as the rows above have them, so that columns stay visible.
                width = max(width, len(cells))
                out.add(CELL_SEPARATOR.join(cells + [""] * (width - len(cells))) + "\n")
                after = number
    if not complete:
        raise UserError("document.sheet_too_far", name=name, sheet=sheet)
    return out.done()


def _lines(data: bytes, name: str) -> Generator[list[Any], None, None]:
    """What the process says, as it says it; the process is gone when the iterator is closed."""
    process = subprocess.Popen(
        [sys.executable, "-I", str(_PROCESS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    source, rows = process.stdin, process.stdout
    assert source is not None and rows is not None
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    def send() -> None:
        with contextlib.suppress(OSError), source:  # the process may end before it has read everything
            source.write(data)

    timer = threading.Timer(MAX_SECONDS, stop)
    timer.start()
    sender = threading.Thread(target=send)  # not a file, because uploads are never written to disk
    sender.start()
    try:
        for line in rows:
            if line.endswith(b"\n"):  # not one that was cut off
                yield json.loads(line)
        if late.is_set():
            raise UserError("document.slow_file", name=name, minutes=f"{MAX_SECONDS / 60:g}")
    finally:
        timer.cancel()
        process.kill()
        process.wait()
        sender.join()
        rows.close()
