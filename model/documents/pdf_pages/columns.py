"""Reading order of a page: columns of prose one after another, everything else as the file has it.

A page is a list of fragments: stretches of one line without a wide gap. A gutter is an x that gaps of several lines
share. Two columns stand beside a gutter only if both read as prose, that is, if most lines continue the line above;
the cells of a table do not, and a table stays in rows. Coordinates are in points, y points down the page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MAX_FRAGMENTS = 1_500
"""Fragments of a page that is searched for columns: the search compares them in pairs."""
MAX_DEPTH = 5
MIN_ROWS = 3
_MIN_GAP = 0.8  # in em
_CANDIDATES = 4

_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uff01-\uff9f]")
_SENTENCE_END = re.compile(r"[.:;!?。．：！？」）)]$")
_HYPHEN_END = re.compile("[^\\W\\d_][-\u2010\u00ad]$")


@dataclass(frozen=True, kw_only=True)
class Fragment:
    """A stretch of text on one line."""

    text: str
    joint: str
    """What stands between the fragment before and this one: spaces, or a newline."""
    left: float
    top: float
    right: float
    bottom: float

    @property
    def em(self) -> float:
        """Height in points, about the size of the font."""
        return max(self.bottom - self.top, 1.0)


def in_reading_order(fragments: list[Fragment]) -> list[tuple[Fragment, str]]:
    """The fragments, columns one after another, each with its joint: one that was moved begins a line."""
    if len(fragments) > MAX_FRAGMENTS:
        return [(fragment, fragment.joint) for fragment in fragments]
    order, _ = _ordered(list(enumerate(fragments)), 0)
    before = -1
    out = []
    for index, fragment in order:
        out.append((fragment, fragment.joint if index == before + 1 else "\n"))
        before = index
    return out


Numbered = tuple[int, Fragment]  # a fragment with its place in the file


def _ordered(fragments: list[Numbered], depth: int) -> tuple[list[Numbered], bool]:
    """The fragments in reading order, and whether columns were found among them."""
    if len(fragments) < 2 * MIN_ROWS - 1 or depth == MAX_DEPTH:
        return fragments, False
    gaps = _gaps([fragment for _, fragment in fragments])
    for _ in range(_CANDIDATES):
        gutter = _most_shared(gaps)
        if gutter is None:
            break
        order = _split(fragments, gutter, depth)
        if order is not None:
            return order, True
        gaps = [gap for gap in gaps if not gap[0] < gutter < gap[1]]
    return fragments, False


def _split(fragments: list[Numbered], gutter: float, depth: int) -> list[Numbered] | None:
    """The fragments with the columns beside ``gutter`` in order, or None if there are no columns.

    What crosses the gutter, a heading say, ends the columns above it and begins others below.
    """
    bands: list[list[Numbered]] = [[]]
    for item in sorted(fragments, key=lambda item: item[1].top):
        if item[1].left < gutter < item[1].right:
            bands += [[item], []]
        else:
            bands[-1].append(item)
    found = False
    order: list[Numbered] = []
    for band in bands:
        columns = _columns(band, gutter, depth)
        found |= columns is not None
        order += columns or sorted(band, key=lambda item: item[0])
    return order if found else None


def _columns(band: list[Numbered], gutter: float, depth: int) -> list[Numbered] | None:
    left = sorted(item for item in band if item[1].right <= gutter)
    right = sorted(item for item in band if item[1].right > gutter)
    if max(len(left), len(right)) < MIN_ROWS or min(len(left), len(right)) < MIN_ROWS - 1:
        return None
    overlap = min(_bottom(left), _bottom(right)) - max(_top(left), _top(right))
    if overlap < 0.5 * min(_bottom(left) - _top(left), _bottom(right) - _top(right)):
        return None
    out: list[Numbered] = []
    for side in (left, right):
        order, split = _ordered(side, depth + 1)
        if not split and not _is_prose([fragment for _, fragment in side]):
            return None
        out += order if split else sorted(side, key=lambda item: item[1].top)
    return out


def _top(items: list[Numbered]) -> float:
    return min(fragment.top for _, fragment in items)


def _bottom(items: list[Numbered]) -> float:
    return max(fragment.bottom for _, fragment in items)


def _is_prose(side: list[Fragment]) -> bool:
    """Whether most lines of a column continue the line above."""
    lines = sorted(side, key=lambda fragment: fragment.top)
    wide = sum(len(line.text) * (2 if _CJK.search(line.text) else 1) for line in lines) / len(lines)
    if wide < 10:
        return False
    edge = max(line.right for line in lines)
    width = edge - min(line.left for line in lines)
    continued = 0
    for above, line in pairwise(lines):
        if line.top < above.bottom - 0.5 * min(above.em, line.em):
            return False  # two fragments on one line: cells of a table
        continued += _continues(above, line, edge, width)
    return continued >= 0.5 * (len(lines) - 1)


def _continues(above: Fragment, line: Fragment, edge: float, width: float) -> bool:
    if line.text[:1].islower() or _HYPHEN_END.search(above.text):
        return True
    if _SENTENCE_END.search(above.text):
        return False
    slack = 1.6 * above.em if _CJK.match(above.text[-1:]) else 0.12 * width
    return above.right >= edge - slack and len(above.text) >= 8


def _gaps(fragments: Sequence[Fragment]) -> list[tuple[float, float]]:
    """For each fragment the interval of x between it and its neighbour to the right on the same line."""
    rows = sorted(fragments, key=lambda fragment: fragment.top)
    nearest: dict[int, float] = {}
    for index, one in enumerate(rows):
        for other_index in range(index + 1, len(rows)):
            other = rows[other_index]
            if other.top > one.bottom - 0.3 * min(one.em, other.em):
                break
            left, right = (index, other_index) if one.left <= other.left else (other_index, index)
            nearest[left] = min(nearest.get(left, float("inf")), rows[right].left)
    out = []
    for index, start in nearest.items():
        if start - rows[index].right >= _MIN_GAP * rows[index].em:
            out.append((rows[index].right, start))
    return out


def _most_shared(gaps: list[tuple[float, float]]) -> float | None:
    """The middle of the interval that the most gaps share, if they are those of at least two lines."""
    events = sorted([(start, 1) for start, _ in gaps] + [(end, -1) for _, end in gaps])
    count = best = 0
    middle = None
    for number, (x, step) in enumerate(events):
        count += step
        if step == 1 and count > best and number + 1 < len(events):
            best, middle = count, (x + events[number + 1][0]) / 2
    return middle if best >= MIN_ROWS - 1 else None
