"""The process that opens a spreadsheet with calamine: the file on standard input, a line of JSON for every row out.

A few bytes can name a cell in the last row and column, for which calamine asks for hundreds of gigabytes; where they
are not given, it ends the process. So it runs in one of its own, with a limit of memory. This file is started as a
script and imports nothing of ours.

Lines: ``["sheet", name, "visible" | "hidden"]``, ``["row", number, [cells]]``,
and last ``["end"]``, ``["encrypted"]`` or ``["broken"]``; if none of these comes, memory was not enough.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from io import BytesIO
from typing import Any

from python_calamine import CalamineWorkbook, PasswordError, SheetTypeEnum, SheetVisibleEnum

try:
    import resource
except ImportError:  # Windows has none, and no limit
    resource = None  # type: ignore[assignment]

MAX_MEMORY = 3 * 2**30


def main() -> None:
    """Write the rows of the workbook on standard input."""
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = sys.stdout
    try:
        for line in _lines(sys.stdin.buffer.read()):
            out.write(json.dumps(line) + "\n")
    except PasswordError:
        out.write('["encrypted"]\n')
    except BaseException:  # a panic of the library is not an Exception
        out.write('["broken"]\n')
    out.flush()


def _lines(data: bytes) -> Iterator[list[Any]]:
    book = CalamineWorkbook.from_filelike(BytesIO(data))
    for index, sheet in enumerate(book.sheets_metadata):
        if sheet.typ != SheetTypeEnum.WorkSheet:
            continue
        hidden = sheet.visible != SheetVisibleEnum.Visible
        yield ["sheet", sheet.name, "hidden" if hidden else "visible"]
        sys.stdout.flush()  # known to the reader should the next line end the process
        if hidden:
            continue
        rows = book.get_sheet_by_index(index)
        for number, row in enumerate(rows.iter_rows(), start=1):  # from row 1, but from the first column with a value
            cells = [shown(value) for value in row]
            while cells and not cells[-1]:
                cells.pop()
            if cells:
                yield ["row", number, cells]
    yield ["end"]


def shown(value: Any) -> str:
    """A cell as a sheet shows it: whole numbers without a point, fifteen digits, dates in ISO order."""
    match value:
        case bool():
            return str(value).upper()
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")
        case date():
            return value.isoformat()
        case time():
            return value.strftime("%H:%M:%S").removesuffix(":00")
        case timedelta():
            minutes, seconds = divmod(round(value.total_seconds()), 60)
            return f"{minutes // 60}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")
        case _:
            return " ".join(str(value).split("\n")).replace("\r", "").strip()


if __name__ == "__main__":
    main()
