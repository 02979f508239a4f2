"""CSV to lines of text: one line for each record, however many lines its quoted cells span."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from itertools import islice

from model.documents.pieces import CELL_SEPARATOR, joined

DELIMITERS = (",", "\t", ";", "|")
_SNIFFED_RECORDS = 200


def read_table(text: str, name: str, limit: int) -> str:
    """The records of ``text`` as lines, cells joined by ``" | "``; newlines inside a cell become spaces.

    A file that breaks the rules of CSV (a quote that never closes, say) keeps its own lines as they are: its text
    is what matters here, not its columns.

    Raises:
        UserError: ``document.too_many_characters``.
    """
    delimiter = sniffed_delimiter(text)
    try:
        return joined(_lines(text, delimiter), "\n", name, limit)
    except csv.Error:
        return joined([text], "", name, limit)


def sniffed_delimiter(text: str) -> str:
    """The delimiter that cuts the first records into the same number of cells most often, then the most cells."""

    def score(delimiter: str) -> tuple[float, int]:
        reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
        try:
            widths = Counter(len(record) for record in islice(reader, _SNIFFED_RECORDS) if record)
        except csv.Error:
            return 0.0, 0
        width, records = widths.most_common(1)[0] if widths else (0, 0)
        return (records / widths.total(), width) if width > 1 else (0.0, 0)

    return max(DELIMITERS, key=score)


def _lines(text: str, delimiter: str) -> Iterator[str]:
    for record in csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True):
        yield CELL_SEPARATOR.join(" ".join(cell.split("\n")).strip() for cell in record)
