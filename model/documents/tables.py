"""CSV to lines of text: one line for each record, however many lines its quoted cells span."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

from model.documents.pieces import CELL_SEPARATOR, Builder, Extract

DELIMITERS = (",", "\t", ";", "|")
_SNIFFED_RECORDS = 200
_SEPARATOR_LINE = re.compile(r"sep=(.)(?:\n|$)", re.IGNORECASE)  # Excel takes the delimiter from it and hides the line
_FORMULA_OF_TEXT = re.compile(r'="(.*)"', re.DOTALL)  # how exports keep the zeros of 0012
_QUOTED = re.compile(r'\s*"([^"]*)"\s*')
_MAX_LINES = 1_000
"""Lines of the longest record; a quote that spans more was never meant to open a cell."""
_MAX_OPEN = 100
"""Quotes that never close; if a file has more, its quotes mean nothing."""
_END = "\x00"
"""A record that no text contains: whether it comes back whole says whether the last quote was closed."""


def read_table(text: str, name: str, limit: int) -> Extract:
    """The records of ``text`` as lines, cells joined by ``" | "``; newlines inside a cell become spaces.

    Raises:
        UserError: ``document.too_many_characters``.
    """
    separator = _SEPARATOR_LINE.match(text)
    body = text[separator.end() :] if separator else text
    if separator:
        delimiter = separator.group(1)
    else:
        delimiter = "\t" if name.lower().endswith((".tsv", ".tab")) and "\t" in body else sniffed_delimiter(body)
    out = Builder(name, limit)
    out.start(unit="row", first=2 if separator else 1)
    for number, record in enumerate(_records(body, delimiter)):
        line = CELL_SEPARATOR.join(_shown(cell) for cell in record)
        out.add(f"\n{line}" if number else line)
    return out.done()


def sniffed_delimiter(text: str) -> str:
    """The delimiter that cuts the first records into the same number of cells most often, then the most cells."""

    def score(delimiter: str) -> tuple[float, int]:
        widths = Counter(len(record) for record in islice(_records(text, delimiter), _SNIFFED_RECORDS) if record)
        width, records = widths.most_common(1)[0] if widths else (0, 0)
        return (records / widths.total(), width) if width > 1 else (0.0, 0)

    return max(DELIMITERS, key=score)


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    """The records as spreadsheets read them: text may follow a closing quote, and spaces may precede an opening one.

    A quote that never closes is a character of its line, and the lines after it are records of their own.
    """
    lines = text.removesuffix("\n").split("\n")
    position = width = 0
    for _ in range(_MAX_OPEN):
        started = position
        source = chain((f"{line}\n" for line in islice(lines, started, None)), [_END])
        reader = csv.reader(source, delimiter=delimiter, skipinitialspace=True)
        try:
            for record in reader:
                if record == [_END]:
                    return
                end = started + reader.line_num
                if end > len(lines) or end - position > _MAX_LINES:
                    break
                width = width or len(record)
                if end - position > 1 and not _is_well_formed(lines[position:end], delimiter):
                    single = [_cut(line, delimiter) for line in lines[position:end]]
                    if all(len(cells) == width for cells in single):  # the quote opened and closed in different rows
                        yield from single
                        position = end
                        continue
                position = end
                yield record
        except csv.Error:  # a cell longer than the module allows
            pass
        yield _cut(lines[position], delimiter)
        position += 1
    yield from (_cut(line, delimiter) for line in islice(lines, position, None))


def _is_well_formed(lines: list[str], delimiter: str) -> bool:
    """Whether the quotes of one record follow the rules of CSV."""
    try:
        return bool(list(csv.reader([f"{line}\n" for line in lines], delimiter=delimiter, strict=True)))
    except csv.Error:
        return False


def _cut(line: str, delimiter: str) -> list[str]:
    """The cells of a line in which a quote is a character, save where two enclose a whole cell."""
    return [match.group(1) if (match := _QUOTED.fullmatch(cell)) else cell for cell in line.split(delimiter)]


def _shown(cell: str) -> str:
    formula = _FORMULA_OF_TEXT.fullmatch(cell)
    return " ".join((formula.group(1).replace('""', '"') if formula else cell).split("\n")).strip()
