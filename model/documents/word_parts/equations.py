"""Equations of Word (OMML) as one line of text: ``x=(−b±√(b²−4ac))/(2a)``.

The notation is that of Word's own linear format: ``^`` and ``_`` where no raised or lowered characters exist, and
brackets around what is longer than one term.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lxml import etree

from model.documents.scripts import lowered, raised
from model.documents.word_parts.names import attribute, child, name_of

_TERM = re.compile(r"[^\W_]+|[⟨(\[{|][^()\[\]{}]*[⟩)\]}|]|.", re.DOTALL)
_PROPERTIES = ("Pr", "argSz")
_NARY_DEFAULT = "∫"


def equation_text(element: etree._Element) -> str:
    """The text of ``m:oMath`` or of any part of it."""
    return "".join(_text(part) for part in element)


def _text(element: etree._Element) -> str:
    name = name_of(element)
    if name == "m:t" or name == "w:t":
        return element.text or ""
    written = _WRITTEN.get(name)
    if written is not None:
        return written(element)
    if name in ("w:del", "w:moveFrom") or name.endswith(_PROPERTIES):
        return ""
    return equation_text(element)


def _part(element: etree._Element, name: str) -> str:
    found = child(element, f"m:{name}")
    return "" if found is None else equation_text(found)


def _property(element: etree._Element, kind: str, name: str, default: str) -> str:
    found = child(element, f"m:{kind}", f"m:{name}")
    said = None if found is None else attribute(found, "m:val")
    return default if said is None else said


def _bracketed(text: str) -> str:
    return text if _TERM.fullmatch(text) or not text else f"({text})"


def _upper(text: str) -> str:
    if not text:
        return ""
    shown = raised(text)
    return shown if shown != text and not shown.startswith("^") else f"^{_bracketed(text)}"


def _lower(text: str) -> str:
    if not text:
        return ""
    shown = lowered(text)
    return shown if shown != text else f"_{_bracketed(text)}"


def _fraction(element: etree._Element) -> str:
    above, below = _part(element, "num"), _part(element, "den")
    if _property(element, "fPr", "type", "bar") == "noBar":  # a binomial: two numbers one above the other
        return f"{above};{below}"
    return f"{_bracketed(above)}/{_bracketed(below)}"


def _root(element: etree._Element) -> str:
    degree, inside = _part(element, "deg"), _bracketed(_part(element, "e"))
    return {"": "√", "3": "∛", "4": "∜"}.get(degree, f"{_upper(degree)}√") + inside


def _nary(element: etree._Element) -> str:
    sign = _property(element, "naryPr", "chr", _NARY_DEFAULT)
    return sign + _lower(_part(element, "sub")) + _upper(_part(element, "sup")) + " " + _part(element, "e")


def _delimited(element: etree._Element) -> str:
    left, right = _property(element, "dPr", "begChr", "("), _property(element, "dPr", "endChr", ")")
    parts = [equation_text(part) for part in element if name_of(part) == "m:e"]
    return left + _property(element, "dPr", "sepChr", "|").join(parts) + right


def _function(element: etree._Element) -> str:
    name, of = _part(element, "fName"), _part(element, "e")
    return f"{name}{of}" if of.startswith("(") else f"{name} {of}"


def _matrix(element: etree._Element) -> str:
    rows = [
        [equation_text(cell) for cell in row if name_of(cell) == "m:e"] for row in element if name_of(row) == "m:mr"
    ]
    return "; ".join(", ".join(row) for row in rows)


def _overlined(element: etree._Element) -> str:
    text = _part(element, "e")
    return f"{text}\u0305" if len(text) == 1 else text


def _scripts(element: etree._Element) -> str:
    return _part(element, "e") + _lower(_part(element, "sub")) + _upper(_part(element, "sup"))


_WRITTEN: dict[str, Callable[[etree._Element], str]] = {
    "m:f": _fraction,
    "m:rad": _root,
    "m:nary": _nary,
    "m:d": _delimited,
    "m:func": _function,
    "m:m": _matrix,
    "m:sSup": _scripts,
    "m:sSub": _scripts,
    "m:sSubSup": _scripts,
    "m:sPre": lambda element: _lower(_part(element, "sub")) + _upper(_part(element, "sup")) + _part(element, "e"),
    "m:limLow": lambda element: _part(element, "e") + _lower(_part(element, "lim")),
    "m:limUpp": lambda element: _part(element, "e") + _upper(_part(element, "lim")),
    "m:acc": lambda element: _part(element, "e") + _property(element, "accPr", "chr", "\u0302"),
    "m:bar": _overlined,
    "m:eqArr": lambda element: "; ".join(equation_text(part) for part in element if name_of(part) == "m:e"),
    "m:phant": lambda element: "",
}
