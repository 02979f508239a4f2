"""What the styles of a document say about text: whether it is hidden, raised or lowered, numbered, in which font."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lxml import etree

from model.documents.word_parts.names import attribute, child, is_on, name_of, number, value

MAX_BASES = 32
"""Styles that a style may be based on, one on another; a circle ends here."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Properties of a run of text; None is not said here."""

    hidden: bool | None = None
    position: str | None = None
    """``"superscript"``, ``"subscript"`` or ``"baseline"``."""
    font: str | None = None

    def under(self, other: Look) -> Look:
        """This look where ``other`` says nothing."""
        return Look(
            hidden=self.hidden if other.hidden is None else other.hidden,
            position=self.position if other.position is None else other.position,
            font=self.font if other.font is None else other.font,
        )


@dataclass(frozen=True, kw_only=True)
class Style:
    """A paragraph or character style, with all that it is based on."""

    look: Look = Look()
    numbering: int | None = None
    """The id of its list; 0 takes a number away."""
    level: int | None = None


def look_of(properties: etree._Element | None) -> Look:
    """What the element ``w:rPr`` itself says."""
    if properties is None:
        return Look()
    fonts = child(properties, "w:rFonts")
    font = None if fonts is None else attribute(fonts, "w:ascii") or attribute(fonts, "w:hAnsi")
    return Look(hidden=is_on(properties, "w:vanish"), position=value(properties, "w:vertAlign"), font=font)


class Styles:
    """The styles of a document by their ids; an unknown one says nothing."""

    def __init__(self, root: etree._Element | None) -> None:
        self._elements: dict[str, etree._Element] = {}
        self._known: dict[str, Style] = {}
        self.default = ""
        for element in root if root is not None else ():
            identifier = attribute(element, "w:styleId")
            if name_of(element) != "w:style" or identifier is None:
                continue
            self._elements.setdefault(identifier, element)
            if attribute(element, "w:type") == "paragraph" and attribute(element, "w:default") in ("1", "true", "on"):
                self.default = identifier

    def style(self, identifier: str | None) -> Style:
        """The style ``identifier``."""
        identifier = identifier or ""
        if identifier not in self._known:
            self._known[identifier] = self._based(identifier)
        return self._known[identifier]

    def _based(self, identifier: str) -> Style:
        chain: list[etree._Element] = []
        element = self._elements.get(identifier)
        while element is not None and len(chain) < MAX_BASES:
            chain.append(element)
            element = self._elements.get(value(element, "w:basedOn") or "")
        out = Style()
        for element in reversed(chain):
            out = replace(out, look=out.look.under(look_of(child(element, "w:rPr"))))
            numbering = value(element, "w:pPr", "w:numPr", "w:numId")
            level = value(element, "w:pPr", "w:numPr", "w:ilvl")
            if numbering is not None:
                out = replace(out, numbering=number(numbering, 0))
            if level is not None:
                out = replace(out, level=number(level, 0, 8))
        return out
