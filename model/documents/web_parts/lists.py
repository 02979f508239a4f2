"""Numbers of the items of ordered lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from model.documents.numerals import numeral
from model.documents.web_parts.scanner import Tag

LISTS = frozenset(("ol", "ul", "menu", "dir"))
MAX_DEPTH = 100
MAX_NUMBER = 1_000_000

_TYPES = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_STYLES = {
    "decimal": "decimal",
    "decimal-leading-zero": "decimalZero",
    "lower-alpha": "lowerLetter",
    "lower-latin": "lowerLetter",
    "upper-alpha": "upperLetter",
    "upper-latin": "upperLetter",
    "lower-roman": "lowerRoman",
    "upper-roman": "upperRoman",
    "cjk-decimal": "ideographDigital",
    "cjk-ideographic": "japaneseCounting",
    "japanese-informal": "japaneseCounting",
    "japanese-formal": "japaneseLegal",
    "katakana": "aiueoFullWidth",
    "katakana-iroha": "irohaFullWidth",
}
_WITHOUT = frozenset(("none", "disc", "circle", "square"))
_IDEOGRAPHIC = frozenset(("ideographDigital", "japaneseCounting", "japaneseLegal", "aiueoFullWidth", "irohaFullWidth"))


@dataclass
class _List:
    style: str | None
    """None for a list without numbers."""
    next: int = 1
    step: int = 1


def items_of_lists(page: Iterable[Tag]) -> list[int]:
    """How many items each ordered list of a page has, in the order of their start tags."""
    out: list[int] = []
    opened: list[int | None] = []
    for tag in page:
        if tag.name in LISTS:
            if not tag.closing:
                opened.append(len(out) if tag.name == "ol" else None)
                out += [0] if tag.name == "ol" else []
            elif opened:
                opened.pop()
        elif tag.name == "li" and not tag.closing and opened and opened[-1] is not None:
            out[opened[-1]] += 1
    return out


@dataclass
class Lists:
    """The lists that are open at a place of a page, and the numbers whose text has not come yet."""

    items: Sequence[int] = ()
    """What :func:`items_of_lists` counted, for lists that count down."""
    _ordered: int = 0
    _open: list[_List] = field(default_factory=list)
    _deeper: int = 0  # lists below MAX_DEPTH
    _waiting: list[tuple[int, str]] = field(default_factory=list)  # depth of the list, number

    def start(self, is_ordered: bool, attributes: dict[str, str]) -> None:
        """A list begins."""
        self._ordered += is_ordered
        if len(self._open) >= MAX_DEPTH:
            self._deeper += 1
            return
        style = _style(attributes) if is_ordered else None
        first = _whole(attributes.get("start"))
        backwards = "reversed" in attributes
        if backwards and first is None:
            first = self.items[self._ordered - 1] if 0 < self._ordered <= len(self.items) else None
        self._open.append(_List(style, 1 if first is None else first, -1 if backwards else 1))

    def end(self) -> None:
        """The innermost list ends."""
        if self._deeper:
            self._deeper -= 1
        elif self._open:
            self._open.pop()
            self._waiting = [item for item in self._waiting if item[0] <= len(self._open)]

    def item(self, attributes: dict[str, str]) -> None:
        """An item of the innermost list begins."""
        depth = len(self._open)
        self._waiting = [item for item in self._waiting if item[0] < depth]
        if not self._open or self._deeper:
            return
        one = self._open[-1]
        given = _whole(attributes.get("value"))
        number = one.next if given is None else given
        one.next = number + one.step
        style = one.style
        if style is not None:
            self._waiting.append((depth, _written(number, style)))

    def numbers(self) -> str:
        """The numbers that stand before the next text; they are given once."""
        out = "".join(number for _, number in self._waiting)
        self._waiting = []
        return out


def _written(number: int, style: str) -> str:
    mark = "、" if style in _IDEOGRAPHIC else ". "
    if style in ("lowerLetter", "upperLetter") and number > 26:  # after z comes aa, then ab
        letters = ""
        while number > 0:
            number, letter = divmod(number - 1, 26)
            letters = chr(ord("a") + letter) + letters
        return (letters if style == "lowerLetter" else letters.upper()) + mark
    return numeral(number, style) + mark


def _style(attributes: dict[str, str]) -> str | None:
    declared = attributes.get("style", "").lower()
    for declaration in declared.split(";")[:50]:
        name, _, value = declaration.partition(":")
        if name.strip() in ("list-style", "list-style-type"):
            for word in value.split():
                if word in _WITHOUT:
                    return None
                if word in _STYLES:
                    return _STYLES[word]
    return _TYPES.get(attributes.get("type", "1").strip(), "decimal")


def _whole(text: str | None) -> int | None:
    text = (text or "").strip()
    if not text.removeprefix("-").isdecimal() or len(text) > 8:
        return None
    return max(-MAX_NUMBER, min(int(text), MAX_NUMBER))
