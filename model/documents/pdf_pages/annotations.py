"""Annotations that are part of the page as it is printed: values of form fields, typed notes, stamps.

Most carry an appearance, which is drawn. A form that was filled by a program may have none, and the viewer draws the
value; such values are read from the annotation itself. Links, and comments behind an icon, are not part of the page.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

MAX_ANNOTATIONS = 10_000
MAX_VALUE = 100_000
"""Characters of a value."""

_KEYS = {pdfium.FPDF_ANNOT_WIDGET: b"V", pdfium.FPDF_ANNOT_FREETEXT: b"Contents"}
_NOT_ON_THE_PAGE = (pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP, pdfium.FPDF_ANNOT_TEXT)
_HIDDEN = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
_PASSWORD = 1 << 13  # flag of a field whose value is shown as dots


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One that is shown."""

    is_drawn: bool
    text: str
    """What a viewer would draw; empty if the annotation is drawn by its appearance."""
    box: Any
    """Its rectangle in the coordinates of the page, an ``FS_RECTF``."""


def shown_annotations(page: Any) -> Iterator[Annotation]:
    """The annotations of a page that a reader sees."""
    for index in range(min(pdfium.FPDFPage_GetAnnotCount(page), MAX_ANNOTATIONS)):
        handle = pdfium.FPDFPage_GetAnnot(page, index)
        if not handle:
            continue
        try:
            found = _annotation(handle)
        finally:
            pdfium.FPDFPage_CloseAnnot(handle)
        if found is not None:
            yield found


def _annotation(handle: Any) -> Annotation | None:
    kind = pdfium.FPDFAnnot_GetSubtype(handle)
    if kind in _NOT_ON_THE_PAGE or pdfium.FPDFAnnot_GetFlags(handle) & _HIDDEN:
        return None
    box = pdfium.FS_RECTF()
    pdfium.FPDFAnnot_GetRect(handle, ctypes.byref(box))
    if pdfium.FPDFAnnot_HasKey(handle, b"AP"):
        return Annotation(is_drawn=True, text="", box=box)
    key = _KEYS.get(kind)
    if key is None or pdfium.FPDFAnnot_GetValueType(handle, key) != pdfium.FPDF_OBJECT_STRING:
        return None
    flags = ctypes.c_float()
    if pdfium.FPDFAnnot_GetNumberValue(handle, b"Ff", ctypes.byref(flags)) and int(flags.value) & _PASSWORD:
        return None
    text = " ".join(_string(handle, key).split())
    return Annotation(is_drawn=False, text=text, box=box) if text else None


def _string(handle: Any, key: bytes) -> str:
    size = min(pdfium.FPDFAnnot_GetStringValue(handle, key, None, 0), 2 * MAX_VALUE)
    value = (ctypes.c_ushort * (size // 2 + 1))()
    pdfium.FPDFAnnot_GetStringValue(handle, key, value, size)
    return bytes(value)[:size].decode("utf-16-le", "replace").rstrip("\0")
