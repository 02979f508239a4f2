"""Automatic numbers of paragraphs: ``Article 1``, ``1.1``, ``第一条``.

A list (``w:num``) refers to an abstract one, which has nine levels with a format, a start and a text in which ``%1``
stands for the number of the first level. Lists of the same abstract one count on together, unless a list overrides
a start. A level starts again after a higher one was counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lxml import etree

from model.documents.numerals import numeral
from model.documents.word_parts.names import attribute, child, is_on, name_of, number, value
from model.documents.word_parts.styles import Styles

LEVELS = 9
_PLACE = re.compile("%([1-9])")
_SEPARATORS = {"nothing": "", "space": " ", "tab": " "}


@dataclass(frozen=True, kw_only=True)
class Level:
    """How one level of a list is counted and written."""

    start: int = 1
    style: str = "decimal"
    text: str = ""
    separator: str = " "
    decimal: bool = False
    """Numbers of the levels above are written as decimals here."""
    restart: int | None = None
    """The level, from 1, whose count starts this one again; 0 is none, None is any above."""
    paragraph_style: str | None = None


@dataclass(frozen=True, kw_only=True)
class _List:
    abstract: str
    levels: dict[int, Level]
    starts: dict[int, int]


class Numbering:
    """Numbers of the paragraphs of one document, asked for in the order of the document."""

    def __init__(self, root: etree._Element | None, styles: Styles) -> None:
        abstract: dict[str, etree._Element] = {}
        numbers: dict[int, etree._Element] = {}
        for element in root if root is not None else ():
            if name_of(element) == "w:abstractNum":
                abstract.setdefault(attribute(element, "w:abstractNumId") or "", element)
            elif name_of(element) == "w:num":
                numbers.setdefault(number(attribute(element, "w:numId"), -1), element)
        self._lists: dict[int, _List] = {}
        for identifier, element in numbers.items():
            found = self._resolved(element, abstract, numbers, styles)
            if found is not None:
                self._lists[identifier] = found
        self._counts: dict[str, dict[int, int]] = {}
        self._begun: set[tuple[int, int]] = set()

    @staticmethod
    def _resolved(
        element: etree._Element,
        abstract: dict[str, etree._Element],
        numbers: dict[int, etree._Element],
        styles: Styles,
    ) -> _List | None:
        name = value(element, "w:abstractNumId") or ""
        definition = abstract.get(name)
        linked = value(definition, "w:numStyleLink")
        if linked is not None:  # the levels stand with the list that a list style names
            other = numbers.get(styles.style(linked).numbering or 0)
            name = value(other, "w:abstractNumId") or ""
            definition = abstract.get(name)
        if definition is None:
            return None
        levels = dict(_level(part) for part in definition if name_of(part) == "w:lvl")
        starts = {}
        for override in element:
            if name_of(override) != "w:lvlOverride":
                continue
            index = number(attribute(override, "w:ilvl"), 0)
            own = child(override, "w:lvl")
            if own is not None:
                levels[index] = _level(own)[1]
            start = value(override, "w:startOverride")
            if start is not None:
                starts[index] = number(start, 1)
        return _List(abstract=name, levels=levels, starts=starts)

    def level_of_style(self, identifier: int, style: str) -> int:
        """The level of a list that belongs to a paragraph style, for styles that name only the list."""
        found = self._lists.get(identifier)
        levels = found.levels if found is not None else {}
        return next((index for index, level in levels.items() if level.paragraph_style == style), 0)

    def next(self, identifier: int, index: int) -> str:
        """The number of the next paragraph of a list at level ``index``, from 0, with what stands after it."""
        found = self._lists.get(identifier)
        if found is None or not 0 <= index < LEVELS:
            return ""
        counts = self._counts.setdefault(found.abstract, {})
        if index in found.starts and (identifier, index) not in self._begun:
            counts.pop(index, None)
            start: int | None = found.starts[index]
        else:
            start = None
        self._begun.add((identifier, index))
        level = found.levels.get(index, Level())
        counts[index] = counts[index] + 1 if index in counts else (level.start if start is None else start)
        for lower in range(index + 1, LEVELS):
            restart = found.levels.get(lower, Level()).restart
            if restart is None or index < restart:
                counts.pop(lower, None)
        if level.style in ("bullet", "none") and not _PLACE.search(level.text):
            return ""
        return self._written(found, level, counts)

    @staticmethod
    def _written(found: _List, level: Level, counts: dict[int, int]) -> str:
        def place(match: re.Match[str]) -> str:
            index = int(match.group(1)) - 1
            other = found.levels.get(index, Level())
            count = counts.setdefault(index, found.starts.get(index, other.start))
            style = "decimal" if level.decimal and other.style not in ("none", "bullet") else other.style
            return "" if style == "bullet" else numeral(count, style)

        text = _PLACE.sub(place, level.text)
        return text.rstrip() + level.separator if text.strip() else ""


def _level(element: etree._Element) -> tuple[int, Level]:
    out = Level(
        start=number(value(element, "w:start"), 0),
        style=value(element, "w:numFmt") or _alternative(element) or "decimal",
        text=(value(element, "w:lvlText") or "")[:200],
        separator=_SEPARATORS.get(value(element, "w:suff") or "tab", " "),
        decimal=bool(is_on(element, "w:isLgl")),
        paragraph_style=value(element, "w:pStyle"),
    )
    restart = value(element, "w:lvlRestart")
    if restart is not None:
        out = replace(out, restart=number(restart, 0))
    return number(attribute(element, "w:ilvl"), 0), out


def _alternative(element: etree._Element) -> str | None:
    """The format inside ``mc:AlternateContent``, where Word writes its newer ones, for old programs."""
    return value(element, "mc:AlternateContent", "mc:Fallback", "w:numFmt")
