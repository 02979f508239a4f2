"""One page of a PDF to lines of text.

pdfium gives characters with boxes, puts spaces and newlines between them, and leaves out what is drawn twice for
bold. Form values, typed notes and stamps are annotations; they are flattened into the page first, so that their text
is read as drawn. Then characters outside the page or in hidden layers go, fragments are put in reading order, and
words that a hyphen breaks at the end of a line are joined.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

from model.documents.pdf_pages.characters import is_noise, plain
from model.documents.pdf_pages.columns import Fragment, in_reading_order
from model.documents.pdf_pages.layers import address, hidden_text
from model.documents.pdf_pages.lines import PDFIUM_HYPHEN, Line, dehyphenated

MAX_CHARACTERS = 2_000_000
"""Characters of one page: a page of a book has 3,000."""
NOISE_SHARE = 0.3
"""Share of characters without a known meaning above which the text of a page is noise."""
_WIDE_GAP = 1.2  # in em: a gap that may be a gutter

_DRAWN = (pdfium.FPDF_PAGEOBJ_IMAGE, pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_SHADING, pdfium.FPDF_PAGEOBJ_FORM)


@dataclass(frozen=True, kw_only=True)
class Page:
    """What is on a page."""

    lines: list[Line]
    is_picture: bool
    """There is no text, but something is drawn."""
    is_noise: bool
    """The fonts do not say which characters they show; ``lines`` is empty."""


class UnreadablePageError(Exception):
    """pdfium cannot load the page."""


@dataclass(frozen=True, slots=True)
class _Character:
    text: str
    is_space: bool
    left: float
    top: float
    right: float
    bottom: float


def read_page(document: Any, index: int, has_layers: bool) -> Page:
    """The page ``index``, from 0, of an open document.

    Raises:
        UnreadablePageError: if the page is damaged.
    """
    page = _opened(document, index)
    try:
        if pdfium.FPDFPage_GetAnnotCount(page) > 0:
            flattened = pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) == pdfium.FLATTEN_SUCCESS
            if flattened:
                pdfium.FPDF_ClosePage(page)
                page = _opened(document, index)
        text_page = pdfium.FPDFText_LoadPage(page)
        if not text_page:
            raise UnreadablePageError
        try:
            return _read(page, text_page, has_layers)
        finally:
            pdfium.FPDFText_ClosePage(text_page)
    finally:
        pdfium.FPDF_ClosePage(page)


def _opened(document: Any, index: int) -> Any:
    page = pdfium.FPDF_LoadPage(document, index)
    if not page:
        raise UnreadablePageError
    return page


def _read(page: Any, text_page: Any, has_layers: bool) -> Page:
    width, height = pdfium.FPDF_GetPageWidthF(page), pdfium.FPDF_GetPageHeightF(page)
    count = min(max(pdfium.FPDFText_CountChars(text_page), 0), MAX_CHARACTERS)
    hidden = hidden_text(page, width, height) if has_layers and count else set()
    characters, unknown = [], 0
    for character, is_unknown in _characters(page, text_page, count, hidden):
        characters.append(character)
        unknown += is_unknown
    shown = sum(not character.is_space for character in characters)
    is_noise_page = unknown > NOISE_SHARE * shown and shown > 0
    lines = [] if is_noise_page else _lines(list(_fragments(characters)), height)
    drawn = not lines and not is_noise_page and _has_drawing(page)
    return Page(lines=lines, is_picture=drawn, is_noise=is_noise_page)


def _has_drawing(page: Any) -> bool:
    objects = (pdfium.FPDFPage_GetObject(page, index) for index in range(pdfium.FPDFPage_CountObjects(page)))
    return any(pdfium.FPDFPageObj_GetType(element) in _DRAWN for element in objects)


def _characters(page: Any, text_page: Any, count: int, hidden: set[int]) -> Iterator[tuple[_Character, bool]]:
    """Characters that a reader sees, in the order of the file, each with whether its meaning is unknown."""
    crop = pdfium.FS_RECTF()
    pdfium.FPDF_GetPageBoundingBox(page, ctypes.byref(crop))
    turned = pdfium.FPDFPage_GetRotation(page)
    box = pdfium.FS_RECTF()
    for index in range(count):
        text = _text(pdfium.FPDFText_GetUnicode(text_page, index))
        pdfium.FPDFText_GetLooseCharBox(text_page, index, ctypes.byref(box))
        is_space = text.isspace() or not text
        is_hyphen = text in PDFIUM_HYPHEN
        if not is_space:
            x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
            if not (crop.left <= x <= crop.right and crop.bottom <= y <= crop.top):
                continue
            if hidden and address(pdfium.FPDFText_GetTextObject(text_page, index)) in hidden:
                continue
        unknown = not is_space and not is_hyphen and (is_noise(text) or _is_unmapped(text_page, index))
        yield _Character(text, is_space, *_turned(box, crop, turned)), unknown


def _text(code: int) -> str:
    return chr(code) if 0 < code <= 0x10FFFF else ""


def _is_unmapped(text_page: Any, index: int) -> bool:
    return pdfium.FPDFText_HasUnicodeMapError(text_page, index) == 1


def _turned(box: Any, crop: Any, quarters: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a box on the page as it is shown, turned clockwise; y points down."""
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


def _fragments(characters: list[_Character]) -> Iterator[Fragment]:
    """Cut where pdfium begins a line, after a hyphen at the end of a line, and at gaps that are wide."""
    run: list[_Character] = []
    joint, space = "", ""
    for character in characters:
        if character.is_space:
            space += character.text
            continue
        if run:
            last = run[-1]
            em = max(last.bottom - last.top, character.bottom - character.top, 1.0)
            is_wide = abs(character.left - last.right) > _WIDE_GAP * em
            is_line_end = "\n" in space or last.text in PDFIUM_HYPHEN
            if is_line_end or (space and is_wide):
                yield _fragment(run, joint)
                run = []
                joint = "\n" if is_line_end else space
            elif space:
                run.append(_Character(space, True, last.right, last.top, character.left, last.bottom))
        space = ""
        run.append(character)
    if run:
        yield _fragment(run, joint)


def _fragment(run: list[_Character], joint: str) -> Fragment:
    return Fragment(
        text=plain("".join(character.text for character in run)),
        joint=joint,
        left=min(character.left for character in run),
        top=min(character.top for character in run),
        right=max(character.right for character in run),
        bottom=max(character.bottom for character in run),
    )


def _lines(fragments: list[Fragment], height: float) -> list[Line]:
    rows: list[list[str]] = []
    tops: list[float] = []
    before: Fragment | None = None
    for fragment in in_reading_order(fragments):
        if before is not None and "\n" not in fragment.joint:
            rows[-1] += [fragment.joint, fragment.text]
        elif before is not None and _is_beside(before, fragment):  # pdfium starts a line for a cell of one letter
            rows[-1] += [" ", fragment.text]
        else:
            rows.append([fragment.text])
            tops.append(fragment.top / max(height, 1.0))
        before = fragment
    return dehyphenated([Line("".join(row), top) for row, top in zip(rows, tops, strict=True)])


def _is_beside(before: Fragment, fragment: Fragment) -> bool:
    """Whether ``fragment`` stands to the right of ``before`` on the same line."""
    overlap = min(before.bottom, fragment.bottom) - max(before.top, fragment.top)
    return fragment.left >= before.right and overlap > 0.6 * min(before.em, fragment.em)
