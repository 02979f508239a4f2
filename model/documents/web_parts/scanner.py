"""HTML cut into tags and the text between them.

The scanner is our own and small because it has to be linear in time: the parser of the standard library takes
quadratic time on hostile pages (a megabyte of ``<a `` keeps it busy for hours) and fails on some others.
Here every search either moves forward for good or ends the document, as browsers do with an unclosed tag.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_ATTRIBUTES = 10_000
"""Characters of a tag that are searched for attributes."""

_NOT_TEXT = {"script", "style", "title", "template", "svg", "iframe", "noembed", "noframes", "noscript", "object"}
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_END_OR_QUOTE = re.compile(r">|=[ \t\n\f]*([\"'])")
_ATTRIBUTE = re.compile(r"([^\s\"'>/=]+)(?:[ \t\n\f]*=[ \t\n\f]*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)))?")
_ENTITY_WITH_TOO_MANY_DIGITS = re.compile(r"&#[0-9]{9,};?")


class Tag(NamedTuple):
    """A tag and the text before it; the end of the page is a tag without a name."""

    text: str
    name: str = ""
    closing: bool = False
    inside: str = ""
    """What stands in the tag after its name, or the rules of ``<style>``."""

    def attributes(self) -> dict[str, str]:
        """The attributes by their names in small letters; the first counts if one is given twice."""
        out: dict[str, str] = {}
        for found in _ATTRIBUTE.finditer(self.inside[:MAX_ATTRIBUTES]):
            value = next((group for group in found.groups()[1:] if group is not None), "")
            out.setdefault(found.group(1).lower(), characters(value))
        return out


def names(text: str) -> frozenset[str]:
    """The words of ``text``."""
    return frozenset(text.split())


def tags(text: str) -> Iterator[Tag]:
    """The tags of a page in order."""
    position = 0
    while position < len(text):
        start = text.find("<", position)
        if start < 0:
            yield Tag(characters(text[position:]))
            return
        visible = characters(text[position:start])
        tag = _TAG.match(text, start)
        if tag is None:
            end = _end_of_markup(text, start)
            if end == start:  # a lone "<" is text
                yield Tag(visible + "<")
                position = start + 1
                continue
            yield Tag(visible)
            position = end
            continue
        name, closing = tag.group(2).lower(), tag.group(1) == "/"
        position = _end_of_tag(text, tag.end())
        inside = text[tag.end() : position].removesuffix(">")
        if name in _NOT_TEXT and not closing and text[position - 2 : position] != "/>":
            end_tag = re.compile(f"</{name}", re.IGNORECASE).search(text, position)
            end = end_tag.start() if end_tag else len(text)
            if name == "style":
                inside = "" if "print" in inside.lower() else text[position:end]
            position = end
        yield Tag(visible, name, closing, inside)


def characters(text: str) -> str:
    """``text`` with its character references resolved."""
    if "&" not in text:
        return text
    # Python refuses to read very long numbers; no such character exists anyway.
    return html.unescape(_ENTITY_WITH_TOO_MANY_DIGITS.sub("\ufffd", text))


def _end_of_markup(text: str, start: int) -> int:
    """Where a comment, declaration or processing instruction ends; ``start`` itself if it is none of these."""
    if text.startswith("<!--", start):
        end = text.find("-->", start + 4)
        return end + 3 if end >= 0 else len(text)
    if text.startswith(("<!", "<?", "</"), start):
        end = text.find(">", start)
        return end + 1 if end >= 0 else len(text)
    return start


def _end_of_tag(text: str, position: int) -> int:
    """Where a tag ends, given a position inside it; a ``>`` inside a quoted attribute does not end it."""
    while found := _END_OR_QUOTE.search(text, position):
        quote = found.group(1)
        if quote is None:
            return found.end()
        end = text.find(quote, found.end())
        if end < 0:  # the quote is never closed: the next ">" has to do
            end = text.find(">", found.end()) - 1
            if end < 0:
                break
        position = end + 1
    return len(text)
