"""Running headers and footers: lines that return at the same place of page after page.

A line counts as running if it stands near the top or the bottom edge and returns on at least three pages that
follow each other or alternate (left and right pages have their own). A number in it may be the same on every page
or count with the pages. A page keeps all its lines if nothing else is on it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import product

from model.documents.pdf_pages.lines import Line

ZONE = 0.12
"""Share of the height of the page, from the top and from the bottom, where a running line may stand."""
MIN_PAGES = 3
_MAX_LENGTH = 200
_MAX_COUNTED = 2  # numbers of a line that may count with the pages: "Part 2, page 7"
_PLACES = 100  # a line returns at the same place to within about one hundredth of the height

_NUMBER = re.compile(r"[0-9]{1,6}")

Key = tuple[str, int]


def without_running_lines(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """The lines of every page without its running headers and footers."""
    found: dict[Key, list[int]] = defaultdict(list)
    for number, lines in enumerate(pages):
        for key in {key for line in lines for key in _keys(line, number)}:
            found[key].append(number)
    running = {key: _in_series(numbers) for key, numbers in found.items() if len(numbers) >= MIN_PAGES}
    out = []
    for number, lines in enumerate(pages):
        rest = [line for line in lines if not any(number in running.get(key, ()) for key in _keys(line, number))]
        out.append(rest or list(lines))
    return out


def _keys(line: Line, page: int) -> list[Key]:
    """What a line may be recognised by on another page: its text, with numbers as they are or less the page."""
    if not (line.top < ZONE or line.top > 1 - ZONE) or not line.text.strip() or len(line.text) > _MAX_LENGTH:
        return []
    place = round(line.top * _PLACES)
    parts = _NUMBER.split(line.text)
    numbers = _NUMBER.findall(line.text)
    counted = min(len(numbers), _MAX_COUNTED)
    out = []
    for choice in product((False, True), repeat=counted):
        written = [
            f"\0{int(number) - page}\0" if index < counted and choice[index] else number
            for index, number in enumerate(numbers)
        ]
        text = parts[0] + "".join(number + part for number, part in zip(written, parts[1:], strict=True))
        out += [(text, place), (text, place + 1)]  # two neighbouring places, for lines on the edge between them
    if numbers and not (parts[0].strip() and parts[-1].strip()):
        # A number at either end that counts with the pages is enough: the chapter beside it changes.
        number = numbers[0] if not parts[0].strip() else numbers[-1]
        side = "first" if not parts[0].strip() else "last"
        out += [(f"\1{side} {int(number) - page}", place), (f"\1{side} {int(number) - page}", place + 1)]
    return out


def _in_series(numbers: list[int]) -> set[int]:
    """Those of the ascending page numbers that are among at least three, each at most two after the one before."""
    out: set[int] = set()
    series: list[int] = []
    for number in [*numbers, None]:
        if number is not None and (not series or number - series[-1] <= 2):
            series.append(number)
            continue
        if len(series) >= MIN_PAGES:
            out.update(series)
        series = [number] if number is not None else []
    return out
