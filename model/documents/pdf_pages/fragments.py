"""Characters of a page to fragments, and fragments to lines in reading order.

Vertical Japanese text runs down in columns from the right to the left. Its page is turned by a quarter first: columns
become lines, and blocks of columns one above the other become columns of lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

from model.documents.pdf_pages.characters import plain
from model.documents.pdf_pages.columns import Fragment, in_reading_order
from model.documents.pdf_pages.lines import PDFIUM_HYPHEN, Line, dehyphenated

_WIDE_GAP = 1.2  # in em: a gap that may be a gutter


class Character(NamedTuple):
    """A character and its box on the page as it is shown; y points down. A tuple, because a manual has millions."""

    text: str
    is_space: bool
    left: float
    top: float
    right: float
    bottom: float


def turned(box: Any, crop: Any, quarters: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box on the page turned clockwise by ``quarters``."""
    left, right = box.left - crop.left, box.right - crop.left
    bottom, top = box.bottom - crop.bottom, box.top - crop.bottom
    width, height = crop.right - crop.left, crop.top - crop.bottom
    if quarters == 1:
        return bottom, left, top, right
    if quarters == 2:
        return width - right, bottom, width - left, top
    if quarters == 3:
        return height - top, width - right, height - bottom, width - left
    return left, height - top, right, height - bottom


def lines_of(characters: list[Character], notes: Sequence[Fragment], width: float, height: float) -> list[Line]:
    """The lines of a page of ``width`` by ``height`` points; ``notes`` are put beside the text that they stand by."""
    if not _is_vertical(characters):
        fragments = list(fragments_of(characters))
        for note in notes:
            _insert(fragments, replace(note, joint="\n"))
        return _lines(fragments, [fragment.top / max(height, 1.0) for fragment in fragments])
    quarter = [
        one._replace(left=one.top, top=width - one.right, right=one.bottom, bottom=width - one.left)
        for one in characters
    ]
    fragments = sorted(fragments_of(quarter, at_jumps=True), key=lambda fragment: (round(fragment.top), fragment.left))
    fragments = [replace(fragment, joint="\n") for fragment in [*fragments, *notes]]
    return _lines(fragments, [fragment.left / max(height, 1.0) for fragment in fragments])


def _is_vertical(characters: list[Character]) -> bool:
    """Whether more characters stand under the one before than to the right of it."""
    below = beside = 0
    for one, other in pairwise(character for character in characters if not character.is_space):
        em = max(one.bottom - one.top, 1.0)
        if abs(other.left - one.left) < 0.3 * em and 0.5 * em < other.top - one.top < 1.5 * em:
            below += 1
        elif abs(other.top - one.top) < 0.3 * em:
            beside += 1
    return below > beside


def _insert(fragments: list[Fragment], note: Fragment) -> None:
    """Put ``note`` after the last fragment to its left on the same line, else at the end."""
    before = [index for index, fragment in enumerate(fragments) if _is_beside(fragment, note)]
    place = max(before, key=lambda index: (fragments[index].right, index)) + 1 if before else len(fragments)
    fragments.insert(place, note)


def fragments_of(characters: list[Character], at_jumps: bool = False) -> Iterator[Fragment]:
    """Cut where pdfium begins a line, after a hyphen at the end of a line, and at wide gaps.

    ``at_jumps`` also cuts where the next character is on another line: pdfium does not see lines that run down.
    """
    run: list[Character] = []
    joint, space = "", ""
    for character in characters:
        if character.is_space:
            space += character.text
            continue
        if run:
            last = run[-1]
            em = max(last.bottom - last.top, character.bottom - character.top, 1.0)
            is_wide = abs(character.left - last.right) > _WIDE_GAP * em
            is_line_end = "\n" in space or last.text in PDFIUM_HYPHEN or (at_jumps and _is_jump(last, character, em))
            if is_line_end or (space and is_wide):
                yield _fragment(run, joint)
                run = []
                joint = "\n" if is_line_end else space
            elif space:
                run.append(Character(space, True, last.right, last.top, character.left, last.bottom))
        space = ""
        run.append(character)
    if run:
        yield _fragment(run, joint)


def _is_jump(last: Character, character: Character, em: float) -> bool:
    return abs(character.top - last.top) > 0.7 * em and abs(character.left - last.left) > em


def _fragment(run: list[Character], joint: str) -> Fragment:
    return Fragment(
        text=plain("".join(character.text for character in run)),
        joint=joint,
        left=min(character.left for character in run),
        top=min(character.top for character in run),
        right=max(character.right for character in run),
        bottom=max(character.bottom for character in run),
    )


def _lines(fragments: list[Fragment], tops: list[float]) -> list[Line]:
    """Lines of the fragments in reading order; ``tops`` says how far down the page each fragment stands, 0 to 1."""
    down = {id(fragment): top for fragment, top in zip(fragments, tops, strict=True)}
    rows: list[list[str]] = []
    places: list[float] = []
    before: Fragment | None = None
    for fragment, joint in in_reading_order(fragments):
        if before is not None and "\n" not in joint:
            rows[-1] += [joint, fragment.text]
        elif before is not None and _is_beside(before, fragment):  # pdfium starts a line for a cell of one letter
            rows[-1] += [" ", fragment.text]
        else:
            rows.append([fragment.text])
            places.append(down[id(fragment)])
        before = fragment
    return dehyphenated([Line("".join(row), place) for row, place in zip(rows, places, strict=True)])


def _is_beside(before: Fragment, fragment: Fragment) -> bool:
    """Whether ``fragment`` stands to the right of ``before`` on the same line."""
    overlap = min(before.bottom, fragment.bottom) - max(before.top, fragment.top)
    return fragment.left >= before.right and overlap > 0.6 * min(before.em, fragment.em)
