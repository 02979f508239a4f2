"""Names of elements without the two sets of namespaces: Transitional and Strict Open XML both say ``w:p``."""

from __future__ import annotations

from functools import lru_cache

from lxml import etree

_OOXML = "http://schemas.openxmlformats.org/"
_STRICT = "http://purl.oclc.org/ooxml/"
_PREFIXES = {
    f"{_OOXML}wordprocessingml/2006/main": "w",
    f"{_STRICT}wordprocessingml/main": "w",
    f"{_OOXML}officeDocument/2006/math": "m",
    f"{_STRICT}officeDocument/math": "m",
    f"{_OOXML}officeDocument/2006/relationships": "r",
    f"{_STRICT}officeDocument/relationships": "r",
    f"{_OOXML}drawingml/2006/main": "a",
    f"{_STRICT}drawingml/main": "a",
    f"{_OOXML}drawingml/2006/diagram": "dgm",
    f"{_STRICT}drawingml/diagram": "dgm",
    f"{_OOXML}drawingml/2006/chart": "c",
    f"{_STRICT}drawingml/chart": "c",
    f"{_OOXML}markup-compatibility/2006": "mc",
    "urn:schemas-microsoft-com:vml": "v",
}
_ATTRIBUTES = {
    prefix: [f"{{{uri}}}" for uri, name in _PREFIXES.items() if name == prefix] for prefix in set(_PREFIXES.values())
}


@lru_cache(4096)
def _short(tag: str) -> str:
    uri, _, local = tag.removeprefix("{").rpartition("}")
    prefix = _PREFIXES.get(uri)
    return f"{prefix}:{local}" if prefix else local


def name_of(element: etree._Element) -> str:
    """``"w:p"`` and the like; ``""`` for a comment or a processing instruction."""
    return _short(element.tag) if isinstance(element.tag, str) else ""


def attribute(element: etree._Element, name: str) -> str | None:
    """The attribute ``"w:val"``, say, of either set of namespaces, or None."""
    prefix, _, local = name.partition(":")
    for namespace in _ATTRIBUTES[prefix]:
        value = element.get(namespace + local)
        if value is not None:
            return str(value)
    return None


def child(element: etree._Element | None, *path: str) -> etree._Element | None:
    """The first child of the first name, its first child of the second name, and so on, or None."""
    for name in path:
        if element is None:
            return None
        element = next((part for part in element if name_of(part) == name), None)
    return element


def value(element: etree._Element | None, *path: str) -> str | None:
    """The ``w:val`` of what :func:`child` finds, or None."""
    found = child(element, *path)
    return None if found is None else attribute(found, "w:val")


def is_on(element: etree._Element | None, name: str) -> bool | None:
    """What a toggle such as ``w:vanish`` says; None if it is not there."""
    found = child(element, name)
    return None if found is None else attribute(found, "w:val") not in ("0", "false", "off")


def number(text: str | None, default: int, most: int = 1_000_000) -> int:
    """``text`` as a whole number of at most seven digits, up to ``most``, or ``default``."""
    text = (text or "").strip()
    if not text.removeprefix("-").isdecimal() or len(text) > 7:
        return default
    return min(int(text), most)
