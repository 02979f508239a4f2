"""What fields show that store no result: the formulas of old documents (EQ), symbols, and boxes of forms.

A field that has a result shows the result, which stands in the document as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lxml import etree

from model.documents.numerals import numeral
from model.documents.scripts import raised
from model.documents.word_parts.names import child, is_on, number, value
from model.documents.word_parts.symbols import symbol

MAX_DEPTH = 40
MAX_INSTRUCTION = 20_000

_SWITCH = re.compile(r"\\\s*([a-z]+)", re.IGNORECASE)
_FORMAT = re.compile(r"\\\*\s*(?:\"[^\"]*\"|\S+)\s*")
_SYMBOL = re.compile(r"SYMBOL\s+(0x[0-9a-f]{1,6}|[0-9]{1,7})(.*)", re.IGNORECASE | re.DOTALL)
_FONT = re.compile(r"\\f\s*(?:\"([^\"]*)\"|(\S+))", re.IGNORECASE)
_RAISED = re.compile("\0([^\0\1]*)\1")  # raised text on its way out: an overstrike drops it, all else raises it
_CIRCLES = "○〇◯⃝"


@dataclass
class Field:
    """A field that is being read."""

    instruction: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    """Text among the instructions, which is shown if the field turns out to have no end."""
    in_result: bool = False
    form: etree._Element | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether it is a box or a list of a form, whose result is drawn and not stored as text."""
        return self.form is not None and any(child(self.form, name) is not None for name in ("w:checkBox", "w:ddList"))

    def shown(self) -> str:
        """What a field without a result shows."""
        if self.form is not None and self.is_drawn:
            return _form(self.form)
        instruction = "".join(self.instruction)[:MAX_INSTRUCTION].strip()
        if instruction[:2].upper() == "EQ":
            return _Formula(_FORMAT.sub("", instruction[2:])).text()
        found = _SYMBOL.match(instruction)
        if found:
            font = _FONT.search(found.group(2))
            place = found.group(1)
            code = int(place, 16) if place.lower().startswith("0x") else int(place)
            return symbol(code, (font.group(1) or font.group(2)) if font else "Symbol")
        return ""


def _form(data: etree._Element) -> str:
    box = child(data, "w:checkBox")
    if box is not None:
        checked = is_on(box, "w:checked")
        return "☒" if (is_on(box, "w:default") if checked is None else checked) else "☐"
    choices = child(data, "w:ddList")
    if choices is not None:
        index = number(value(choices, "w:result") or value(choices, "w:default"), 0)
        entries = [entry for entry in choices if entry.tag.endswith("listEntry")]
        chosen = entries[index] if 0 <= index < len(entries) else None
        return "" if chosen is None else next(iter(chosen.attrib.values()), "")
    return ""


class _Formula:
    r"""A formula such as ``\o\ad(\s\up 9(reading),name)`` or ``\f(1,2)``."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._place = 0

    def text(self) -> str:
        return _RAISED.sub(lambda found: raised(found.group(1)), self._until("", 0)).strip()

    def _until(self, ends: str, depth: int) -> str:
        """Text up to one of ``ends`` outside brackets, which is not consumed."""
        out: list[str] = []
        while self._place < len(self._source):
            char = self._source[self._place]
            if char in ends and char:
                break
            if char == "\\":
                out.append(self._switch(depth))
            else:
                out.append(char)
                self._place += 1
        return "".join(out)

    def _switch(self, depth: int) -> str:
        names: list[str] = []
        while found := _SWITCH.match(self._source, self._place):
            names.append(found.group(1).lower())
            self._place = found.end()
            while self._source[self._place : self._place + 1] in tuple(" 0123456789"):
                self._place += 1
        if not names:  # an escaped character
            self._place += 2
            return self._source[self._place - 1 : self._place]
        if self._source[self._place : self._place + 1] != "(" or depth > MAX_DEPTH:
            return ""
        return _combined(names, self._arguments(depth + 1))

    def _arguments(self, depth: int) -> list[str]:
        """The parts between brackets and commas; the place is at the opening bracket."""
        out: list[str] = []
        while self._place < len(self._source) and self._source[self._place : self._place + 1] != ")":
            self._place += 1  # the bracket, or the comma or semicolon between two arguments
            out.append(self._until(",;)", depth))
        self._place += 1
        return out


def _combined(names: list[str], arguments: list[str]) -> str:
    kind = names[0]
    if kind == "o":  # overstruck: a reading above a word, or a character in a circle
        kept = [text for text in arguments if not _RAISED.fullmatch(text)]
        if len(kept) == 2 and kept[0].strip() in _CIRCLES and kept[1].strip().isdecimal():
            return numeral(int(kept[1].strip()[:3]), "decimalEnclosedCircle")
        return "".join(kept)
    if kind == "s":
        text = _RAISED.sub(r"\1", "".join(arguments))
        return f"\0{text}\1" if "up" in names else text
    if kind == "f" and len(arguments) == 2:
        return f"{arguments[0]}/{arguments[1]}"
    if kind == "r":
        return f"√({arguments[-1]})" if arguments else ""
    if kind == "b":
        return f"({''.join(arguments)})"
    if kind == "i" and len(arguments) == 3:
        return f"∫_{arguments[0]}^{arguments[1]} {arguments[2]}"
    return (", " if kind in ("a", "l") else "").join(arguments)
