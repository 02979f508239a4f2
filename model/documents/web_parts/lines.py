"""Lines and rows of a page: white space is folded as browsers fold it, and cells stay in their columns.

The row of a table is one line. A cell over several columns is followed by empty cells, and under a cell over several
rows there are empty ones. A line break inside a cell becomes a space, except in tables that only lay out the page: a
row of one cell, a cell of more than :data:`LAYOUT` characters, or text and then a block in one cell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from model.documents.pieces import CELL_SEPARATOR

LAYOUT = 300
"""Characters of a cell with several lines above which it is not a cell of data."""
MAX_COLUMNS = 1_000
"""Columns that spans may add to a row."""
MAX_ROWS = 65_534
MAX_PADDING = 500_000
"""Empty cells that spans may add to a page; later spans count as one cell."""
MAX_TABLES = 100
"""Tables inside one another; deeper ones go on in the one around them."""

_FOLDED = re.compile(r"[ \t\n\f\r]+")  # not U+3000, which indents Japanese paragraphs


@dataclass
class _Row:
    """The row that is open in a table."""

    cells: list[str] = field(default_factory=list)
    in_cell: bool = False
    column: int = 0
    columns: int = 1
    """Columns of the open cell."""
    rows: int = 1
    """Rows of the open cell."""
    spans: dict[int, int] = field(default_factory=dict)
    """Columns that a cell above fills, and for how many rows from this one on."""
    next_spans: dict[int, int] = field(default_factory=dict)


class Lines:
    """Puts text and breaks together; :attr:`out` has the finished lines, which the caller takes away."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self._parts: list[str] = []
        self._length = 0
        self._row = _Row()
        self._around: list[_Row] = []
        self._deeper = 0
        self._break = False  # a line break comes before the next text of the cell
        self._is_bare = False  # the cell has text outside blocks
        self._has_block = False
        self._padding = MAX_PADDING

    def add(self, text: str, preformatted: bool = False) -> None:
        """Text as it stands in the page; lines of preformatted text stay."""
        if preformatted:
            first, *rest = text.split("\n")
            self._append(first)
            for line in rest:
                self.new_line()
                self._append(line)
            return
        folded = _FOLDED.sub(" ", text)
        if self._break and folded.strip(" "):
            self._break_now()
        if not self._parts or self._parts[-1].endswith((" ", "\n")):
            folded = folded.removeprefix(" ")
        self._append(folded)
        self._is_bare |= self._row.in_cell and not self._has_block and bool(folded.strip(" "))

    def new_line(self) -> None:
        """``<br>``, or a newline of preformatted text."""
        if not self._row.in_cell:
            self._end_line()
        elif self._length:
            self._append("\n")

    def block(self) -> None:
        """A block begins or ends."""
        if self._row.in_cell:
            self._has_block = True
            self._break = self._length > 0
        else:
            self.end_row()

    def start_cell(self, columns: int, rows: int) -> None:
        """A cell begins over so many columns and rows."""
        self.end_cell()
        self._end_line()
        row = self._row
        self._fill(row)
        row.in_cell, row.columns, row.rows = True, max(1, columns), max(1, min(rows, MAX_ROWS))
        self._break = self._is_bare = self._has_block = False

    def end_cell(self) -> None:
        """The open cell ends, if there is one."""
        row = self._row
        if not row.in_cell:
            return
        row.cells.append(self._taken().strip(" \n"))
        width = max(1, min(row.columns, MAX_COLUMNS - row.column)) if self._padding > 0 else 1
        self._padding -= width - 1
        row.cells += [""] * (width - 1)
        if row.rows > 1 and row.column < MAX_COLUMNS and self._padding > 0:
            row.next_spans |= dict.fromkeys(range(row.column, row.column + width), row.rows - 1)
        row.column += width
        row.in_cell = False

    def end_row(self) -> None:
        """The row ends, or the line where no row is open."""
        self.end_cell()
        self._end_line()
        row = self._row
        if not row.cells and not row.column:
            return
        self._fill(row)
        self._write(row.cells)
        self._padding -= len(row.spans)
        spans = {column: rows - 1 for column, rows in row.spans.items() if rows > 1 and self._padding > 0}
        self._row = _Row(spans=spans | row.next_spans)

    def start_table(self) -> None:
        """A table begins, perhaps inside a cell: the row around it is written as far as it has come."""
        if self._row.in_cell:
            self._write([*self._row.cells, self._taken().strip(" \n")])
            self._row.cells = []
        else:
            self.end_row()
        if len(self._around) < MAX_TABLES:
            self._around.append(self._row)
            self._row = _Row()
        else:
            self._deeper += 1

    def end_table(self) -> None:
        """The innermost table ends."""
        self.end_row()
        if self._deeper:
            self._deeper -= 1
        elif self._around:
            self._row = self._around.pop()
            self._break = self._is_bare = self._has_block = False

    def finish(self) -> None:
        """The page ends."""
        self.end_row()
        while self._around:
            self.end_table()
            self.end_row()

    def _append(self, text: str) -> None:
        if text:
            self._parts.append(text)
            self._length += len(text)

    def _taken(self) -> str:
        text = "".join(self._parts)
        self._parts, self._length, self._break = [], 0, False
        return text

    def _break_now(self) -> None:
        """The break inside a cell: in a layout it ends the line, with the cells before it."""
        self._break = False
        if self._is_bare:
            self._write([*self._row.cells, self._taken().strip(" \n")])
            self._row.cells = []
        else:
            self._append("\n")

    def _end_line(self) -> None:
        """Write the text that stands outside cells."""
        if not self._row.in_cell:
            text = self._taken().rstrip()
            if text:
                self.out.append(text)

    def _fill(self, row: _Row) -> None:
        """Empty cells where a cell from above reaches into the row."""
        while row.spans.get(row.column, 0) > 0 and self._padding > 0:
            row.cells.append("")
            row.column += 1
            self._padding -= 1

    def _write(self, cells: list[str]) -> None:
        if not any(cells):
            return
        is_layout = len(cells) == 1 or any(len(cell) > LAYOUT and "\n" in cell for cell in cells)
        if is_layout:
            self.out += [line.strip(" ") for cell in cells for line in cell.split("\n") if line.strip(" ")]
        else:
            self.out.append(CELL_SEPARATOR.join(" ".join(cell.split("\n")) for cell in cells))
