"""Presentations (.pptx) to text: of each slide its shapes in order, tables row by row, then the speaker's notes."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from pptx import Presentation
from pptx.enum.shapes import MSO_SHAPE_TYPE, PP_PLACEHOLDER

from model.documents import zips
from model.documents.pieces import CELL_SEPARATOR, Builder, Extract
from model.errors import UserError

MAX_DEPTH = 20
"""Groups inside groups; PowerPoint users draw three or four."""
_TURNING = {PP_PLACEHOLDER.SLIDE_NUMBER, PP_PLACEHOLDER.DATE, PP_PLACEHOLDER.FOOTER}  # the same on every slide


def read_slides(data: bytes, name: str, limit: int) -> Extract:
    """Every slide that is shown, with an empty line between two; pictures and hidden slides are noted as left out.

    Raises:
        UserError: ``document.encrypted_file``, ``document.broken_file``, ``document.archive_bomb`` or
            ``document.too_many_characters``.
    """
    with zips.opened(data, name) as archive:
        for member in archive.infolist():
            if member.file_size > zips.MAX_XML and member.filename.endswith((".xml", ".rels")):
                raise zips.bomb(name)
    out = Builder(name, limit)
    try:
        for number, slide in enumerate(Presentation(BytesIO(data)).slides, start=1):
            place = ("slide", number)
            if slide._element.get("show") == "0":
                out.omit("omitted.hidden_slide", place)
                continue
            pictures = 0
            out.add("\n" if out.length else "", place)
            for kind, text in _texts(slide.shapes, 0):
                pictures += kind == "picture"
                if text:
                    out.add(text + "\n")
            if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
                notes = _paragraphs(slide.notes_slide.notes_text_frame)
                if notes:
                    out.add(notes + "\n", ("notes", number))
            if pictures:
                out.omit("omitted.pictures", place, count=pictures)
    except UserError:
        raise
    except Exception as error:  # python-pptx lets KeyError, ValueError, XMLSyntaxError and others of its parts through
        raise UserError("document.broken_file", name=name) from error
    return out.done()


def _texts(shapes: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Pairs (kind, text) of shapes, those of groups in their place."""
    for shape in shapes:
        if shape.is_placeholder and shape.placeholder_format.type in _TURNING:
            continue
        if shape.shape_type == MSO_SHAPE_TYPE.GROUP and depth < MAX_DEPTH:
            yield from _texts(shape.shapes, depth + 1)
        elif shape.has_text_frame:
            yield "text", _paragraphs(shape.text_frame)
        elif getattr(shape, "has_table", False):
            rows = (
                CELL_SEPARATOR.join(" ".join(_paragraphs(cell.text_frame).split("\n")) for cell in row.cells)
                for row in shape.table.rows
            )
            yield "table", "\n".join(rows)
        elif getattr(shape, "has_chart", False):
            yield "chart", "\n".join(_of_chart(shape.chart))
        elif shape.shape_type == MSO_SHAPE_TYPE.PICTURE:
            yield "picture", ""


def _paragraphs(frame: Any) -> str:
    """The paragraphs of a text frame, one a line; a line break inside one (a vertical tab here) is a line too."""
    lines = (paragraph.text.replace("\v", "\n").rstrip() for paragraph in frame.paragraphs)
    return "\n".join(line for line in lines if line)


def _of_chart(chart: Any) -> Iterator[str]:
    """The title of a chart, and one row for each of its series."""
    if chart.has_title and chart.chart_title.has_text_frame:
        yield _paragraphs(chart.chart_title.text_frame)
    for plot in chart.plots:
        categories = [str(category) for category in plot.categories]
        if any(categories):
            yield CELL_SEPARATOR.join(["", *categories])
        for series in plot.series:
            values = ("" if value is None else f"{value:.15g}" for value in series.values)
            yield CELL_SEPARATOR.join([series.name or "", *values])
