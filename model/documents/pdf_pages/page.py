"""One page of a PDF to lines of text.

pdfium gives characters with boxes, puts spaces and newlines between them, and leaves out what is drawn twice for
bold. Form values, typed notes and stamps are annotations; they are flattened into the page first, so that their text
is read as drawn. Then characters outside the page or in hidden layers go, fragments are put in reading order, and
words that a hyphen breaks at the end of a line are joined.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

from model.documents.pdf_pages.annotations import Annotation, shown_annotations
from model.documents.pdf_pages.characters import is_noise, plain
from model.documents.pdf_pages.columns import Fragment
from model.documents.pdf_pages.fragments import Character, fragments_of, lines_of, turned
from model.documents.pdf_pages.layers import address, hidden_text
from model.documents.pdf_pages.lines import PDFIUM_HYPHEN, Line

MAX_CHARACTERS = 2_000_000
"""Characters of one page: a page of a book has 3,000."""
NOISE_SHARE = 0.3
"""Share of characters without a known meaning above which the text of a page is noise."""

_ON_SCREEN = pdfium.FLAT_NORMALDISPLAY
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


def read_page(document: Any, index: int, has_layers: bool) -> Page:
    """The page ``index``, from 0, of an open document.

    Raises:
        UnreadablePageError: if the page is damaged.
    """
    page = _opened(document, index)
    try:
        added = list(shown_annotations(page))
        before = _count(page) if any(one.is_drawn for one in added) else MAX_CHARACTERS
        if before < MAX_CHARACTERS and pdfium.FPDFPage_Flatten(page, _ON_SCREEN) == pdfium.FLATTEN_SUCCESS:
            pdfium.FPDF_ClosePage(page)  # the change shows in a page that is opened after it
            page = _opened(document, index)
        text_page = pdfium.FPDFText_LoadPage(page)
        if not text_page:
            raise UnreadablePageError
        try:
            return _Reader(page, text_page).read(added, before, has_layers)
        finally:
            pdfium.FPDFText_ClosePage(text_page)
    finally:
        pdfium.FPDF_ClosePage(page)


def _count(page: Any) -> int:
    """Characters of a page, before anything is flattened into it."""
    text_page = pdfium.FPDFText_LoadPage(page)
    try:
        return max(pdfium.FPDFText_CountChars(text_page), 0) if text_page else 0
    finally:
        pdfium.FPDFText_ClosePage(text_page)


def _opened(document: Any, index: int) -> Any:
    page = pdfium.FPDF_LoadPage(document, index)
    if not page:
        raise UnreadablePageError
    return page


class _Reader:
    """Reads an open page."""

    def __init__(self, page: Any, text_page: Any) -> None:
        self._page, self._text_page = page, text_page
        self._crop = pdfium.FS_RECTF()
        pdfium.FPDF_GetPageBoundingBox(page, ctypes.byref(self._crop))
        self._quarters = pdfium.FPDFPage_GetRotation(page)
        self._width, self._height = pdfium.FPDF_GetPageWidthF(page), pdfium.FPDF_GetPageHeightF(page)

    def read(self, added: Sequence[Annotation], before: int, has_layers: bool) -> Page:
        """The page; characters from ``before`` on are those of its annotations ``added``."""
        count = min(max(pdfium.FPDFText_CountChars(self._text_page), 0), MAX_CHARACTERS)
        hidden = hidden_text(self._page, self._width, self._height) if has_layers and count else set()
        body: list[Character] = []
        notes: list[Character] = []
        shown = unknown = 0
        for index, character, is_unknown in self._characters(count, hidden):
            (body if index < before else notes).append(character)
            shown += not character.is_space
            unknown += is_unknown
        if unknown > NOISE_SHARE * shown:
            return Page(lines=[], is_picture=False, is_noise=True)
        beside = [*fragments_of(notes), *(self._note(one) for one in added if one.text)]
        lines = lines_of(body, beside, self._width, self._height)
        return Page(lines=lines, is_picture=not lines and self._has_drawing(), is_noise=False)

    def _has_drawing(self) -> bool:
        indices = range(pdfium.FPDFPage_CountObjects(self._page))
        objects = (pdfium.FPDFPage_GetObject(self._page, index) for index in indices)
        return any(pdfium.FPDFPageObj_GetType(element) in _DRAWN for element in objects)

    def _note(self, annotation: Annotation) -> Fragment:
        left, top, right, bottom = turned(annotation.box, self._crop, self._quarters)
        return Fragment(text=plain(annotation.text), joint="\n", left=left, top=top, right=right, bottom=bottom)

    def _characters(self, count: int, hidden: set[int]) -> Iterator[tuple[int, Character, bool]]:
        """Characters that a reader sees, with their places in the file and whether their meaning is unknown."""
        crop, box = self._crop, pdfium.FS_RECTF()
        for index in range(count):
            text = _text(pdfium.FPDFText_GetUnicode(self._text_page, index))
            pdfium.FPDFText_GetLooseCharBox(self._text_page, index, ctypes.byref(box))
            is_space = text.isspace() or not text
            if not is_space:
                x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
                if not (crop.left <= x <= crop.right and crop.bottom <= y <= crop.top):
                    continue
                if hidden and address(pdfium.FPDFText_GetTextObject(self._text_page, index)) in hidden:
                    continue
            is_unknown = not is_space and text not in PDFIUM_HYPHEN and (is_noise(text) or self._is_unmapped(index))
            yield index, Character(text, is_space, *turned(box, crop, self._quarters)), is_unknown

    def _is_unmapped(self, index: int) -> bool:
        return pdfium.FPDFText_HasUnicodeMapError(self._text_page, index) == 1


def _text(code: int) -> str:
    return chr(code) if 0 < code <= 0x10FFFF else ""
