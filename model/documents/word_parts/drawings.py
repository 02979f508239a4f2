"""Text of drawings: the boxes of SmartArt in their order, and titles and numbers of charts."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree

from model.documents.pieces import CELL_SEPARATOR
from model.documents.word_parts.names import name_of, number

MAX_POINTS = 10_000
"""Boxes of a diagram, or values of a series of a chart."""
_NO_TEXT_OF_ITS_OWN = ("pres", "parTrans", "sibTrans")


def diagram_lines(root: etree._Element) -> Iterator[str]:
    """The texts of SmartArt from its data part, parents before their children."""
    points: dict[str, etree._Element] = {}
    below: dict[str, list[tuple[int, str]]] = {}
    for element in root.iter():
        name = name_of(element)
        if name == "dgm:pt" and element.get("type", "node") not in _NO_TEXT_OF_ITS_OWN and len(points) < MAX_POINTS:
            points.setdefault(element.get("modelId", str(len(points))), element)
        elif name == "dgm:cxn" and element.get("type", "parOf") == "parOf":
            order = number(element.get("srcOrd"), 0)
            below.setdefault(element.get("srcId", ""), []).append((order, element.get("destId", "")))
    children = {identifier for links in below.values() for _, identifier in links}
    stack = [identifier for identifier in reversed(points) if identifier not in children]
    stack = [*reversed(points), *stack]  # what no tree reaches, a circle say, comes last
    done: set[str] = set()
    while stack:
        identifier = stack.pop()
        if identifier in done or identifier not in points:
            continue
        done.add(identifier)
        yield from drawing_lines(points[identifier])
        stack += [child for _, child in sorted(below.get(identifier, ()), reverse=True)]


def drawing_lines(element: etree._Element) -> Iterator[str]:
    """The paragraphs ``a:p`` below ``element`` that have text."""
    for paragraph in element.iter():
        if name_of(paragraph) == "a:p":
            parts = (part for part in paragraph.iter() if name_of(part) in ("a:t", "a:br"))
            text = "".join("\n" if name_of(part) == "a:br" else part.text or "" for part in parts)
            if text.strip():
                yield text


def chart_lines(root: etree._Element) -> Iterator[str]:
    """Titles of a chart and its axes, then its numbers as a table: a row for each category."""
    series: list[tuple[str, dict[int, str]]] = []
    categories: dict[int, str] = {}
    for element in root.iter():
        name = name_of(element)
        if name == "c:title":
            yield from drawing_lines(element)
        elif name == "c:ser":
            title, values = "", {}
            for part in element:
                kind = name_of(part)
                if kind == "c:tx":
                    title = " ".join(_points(part).values()) or "".join(_texts(part))
                elif kind in ("c:cat", "c:xVal"):
                    categories = categories or _points(part)
                elif kind in ("c:val", "c:yVal"):
                    values = _points(part)
            series.append((title, values))
    if not series:
        return
    if any(title for title, _ in series):
        yield CELL_SEPARATOR.join(["", *(title for title, _ in series)])
    for index in sorted({*categories, *(index for _, values in series for index in values)}):
        yield CELL_SEPARATOR.join([categories.get(index, ""), *(values.get(index, "") for _, values in series)])


def _texts(element: etree._Element) -> list[str]:
    return [part.text or "" for part in element.iter() if name_of(part) == "c:v"]


def _points(element: etree._Element) -> dict[int, str]:
    out: dict[int, str] = {}
    for part in element.iter():
        if name_of(part) == "c:pt" and len(out) < MAX_POINTS:
            out.setdefault(number(part.get("idx"), len(out)), "".join(_texts(part)))
    return out
