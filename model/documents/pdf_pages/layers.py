"""Text in layers that are switched off: found by drawing it.

pdfium applies the rules of optional content (layers, groups of layers, their visibility expressions) when it draws,
not when it reads text. So each group of text objects that shares its marks is drawn alone, small, on a transparent
page: what leaves no trace is hidden. Text in render mode 3 draws nothing anywhere (it is the recognised text under a
scan) and is not judged.
"""

from __future__ import annotations

import ctypes
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pypdfium2.raw as pdfium

MAX_OBJECTS = 20_000
MAX_GROUPS = 200
MAX_DEPTH = 8
_PIXELS = 600
_INVISIBLE = 3
_NAME_BYTES = 64


def hidden_text(page: Any, width: float, height: float) -> set[int]:
    """Addresses of the text objects of a page, ``width`` by ``height`` points, that are in hidden layers."""
    leaves: list[tuple[Any, tuple[int, ...]]] = []
    for leaf in _leaves(page):
        leaves.append(leaf)
        if len(leaves) > MAX_OBJECTS:
            return set()
    groups: dict[tuple[int, ...], list[Any]] = defaultdict(list)
    for element, marks in leaves:
        is_text = pdfium.FPDFPageObj_GetType(element) == pdfium.FPDF_PAGEOBJ_TEXT
        if is_text and marks and pdfium.FPDFTextObj_GetTextRenderMode(element) != _INVISIBLE:
            groups[marks].append(element)
    if not groups or len(groups) > MAX_GROUPS:
        return set()
    for element, _ in leaves:
        pdfium.FPDFPageObj_SetIsActive(element, 0)
    out: set[int] = set()
    for group in groups.values():
        for element in group:
            pdfium.FPDFPageObj_SetIsActive(element, 1)
        if not _leaves_a_trace(page, width, height):
            out.update(address(element) for element in group)
        for element in group:
            pdfium.FPDFPageObj_SetIsActive(element, 0)
    for element, _ in leaves:
        pdfium.FPDFPageObj_SetIsActive(element, 1)
    return out


def address(handle: Any) -> int:
    """Where the object behind a handle is in memory: two handles of one object compare by it."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _leaves(page: Any) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """Every object that is not a form, with the addresses of the forms around it and of its layer marks."""
    stack: list[tuple[Any, tuple[int, ...], int]] = [
        (pdfium.FPDFPage_GetObject(page, index), (), 0) for index in reversed(range(pdfium.FPDFPage_CountObjects(page)))
    ]
    while stack:
        element, around, depth = stack.pop()
        marks = (*around, *_layer_marks(element))
        if pdfium.FPDFPageObj_GetType(element) != pdfium.FPDF_PAGEOBJ_FORM:
            yield element, marks
        elif depth < MAX_DEPTH:
            inside = range(pdfium.FPDFFormObj_CountObjects(element))
            marks = (*marks, address(element))
            stack += [(pdfium.FPDFFormObj_GetObject(element, index), marks, depth + 1) for index in reversed(inside)]


def _layer_marks(element: Any) -> Iterator[int]:
    for index in range(pdfium.FPDFPageObj_CountMarks(element)):
        mark = pdfium.FPDFPageObj_GetMark(element, index)
        size = ctypes.c_ulong()
        name = (ctypes.c_ushort * (_NAME_BYTES // 2))()
        named = pdfium.FPDFPageObjMark_GetName(mark, name, _NAME_BYTES, ctypes.byref(size))
        if named and bytes(name)[: size.value].decode("utf-16-le", "replace").rstrip("\0") == "OC":
            yield address(mark)


def _leaves_a_trace(page: Any, width: float, height: float) -> bool:
    scale = _PIXELS / max(width, height, 1.0)
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    bitmap = pdfium.FPDFBitmap_Create(columns, rows, 1)
    if not bitmap:
        return True
    try:
        pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, columns, rows, 0)
        pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, columns, rows, 0, 0)
        size = pdfium.FPDFBitmap_GetStride(bitmap) * rows
        drawn = ctypes.string_at(pdfium.FPDFBitmap_GetBuffer(bitmap), size)
        return drawn.count(0) != size
    finally:
        pdfium.FPDFBitmap_Destroy(bitmap)
