"""Which elements of a page are not shown: by an attribute, by a simple rule of its style sheet, or by what they are.

Readings of ruby count as not shown: the text under them is complete without them.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from model.documents.web_parts.scanner import Tag, names

VOID = names("area base br col embed hr img input link meta param source track wbr")
MAX_RULES = 1_000_000
"""Characters of style sheets that are searched for rules."""

_NEVER_SHOWN = names("rt rp rtc datalist audio video canvas annotation annotation-xml")
_CELL_ENDS = names("td th tr tbody thead tfoot")
_PARAGRAPH_ENDS = names(
    "address article aside blockquote center dd details dir div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6 "
    "header hr li main menu nav ol p pre section table td th tr ul"
)
# Elements whose end tag may be left out, with the start tags that end them and the end tags of what is around them.
_ENDED_BY_START = {
    "p": _PARAGRAPH_ENDS,
    "li": frozenset(("li",)),
    "td": _CELL_ENDS,
    "th": _CELL_ENDS,
    "tr": names("tr tbody thead tfoot"),
    "dt": frozenset(("dt", "dd")),
    "dd": frozenset(("dt", "dd")),
    "rt": names("rt rp rb rtc"),
    "rp": names("rt rp rb rtc"),
    "rtc": frozenset(("rb", "rtc")),
    "option": frozenset(("option", "optgroup")),
}
_ENDED_BY_END = {
    "p": _PARAGRAPH_ENDS - {"p"},
    "li": names("ul ol menu dir"),
    "td": names("tr tbody thead tfoot table"),
    "th": names("tr tbody thead tfoot table"),
    "tr": names("tbody thead tfoot table"),
    "dt": frozenset(("dl",)),
    "dd": frozenset(("dl",)),
    "rt": frozenset(("ruby", "rtc")),
    "rp": frozenset(("ruby", "rtc")),
    "rtc": frozenset(("ruby",)),
    "option": frozenset(("select", "datalist", "optgroup")),
}
_SPACE = re.compile(r"\s+")
_NO_DISPLAY = ("display:none", "visibility:hidden", "mso-hide:all")
_SELECTOR = re.compile(r"(?:([a-z][a-z0-9]*)|\*)?(?:([.#])([-\w]+))?", re.IGNORECASE)


@dataclass
class Hidden:
    """Follows the tags of a page and knows whether the text after them is hidden."""

    _open: list[str] = field(default_factory=list)  # the hidden element and what is open inside it
    _counts: Counter[str] = field(default_factory=Counter)
    _rules: set[tuple[str, str, str]] = field(default_factory=set)  # tag, "." or "#" or "", name
    _rules_length: int = 0

    def __bool__(self) -> bool:
        """Whether the text after the last tag is hidden."""
        return bool(self._open)

    def follow(self, tag: Tag) -> bool:
        """Take the next tag; whether the tag itself is part of what is hidden."""
        if tag.name == "style" and not tag.closing:
            self._add_rules(tag.inside)
        if self._open and not self._ends_hidden(tag):
            self._inside(tag)
            return True
        if tag.closing or tag.name in VOID or not self._is_hidden(tag):
            return False
        self._push(tag.name)
        return True

    def _ends_hidden(self, tag: Tag) -> bool:
        """Whether ``tag`` ends the hidden element without being its end tag; it is shown then itself."""
        hidden = self._open[0]
        if tag.closing:
            ends = not self._counts[tag.name] and tag.name in _ENDED_BY_END.get(hidden, ())
        else:
            ends = len(self._open) == 1 and tag.name in _ENDED_BY_START.get(hidden, ())
        if ends:
            self._open.clear()
            self._counts.clear()
        return ends

    def _inside(self, tag: Tag) -> None:
        if not tag.closing:
            if tag.name and tag.name not in VOID and not tag.inside.endswith("/"):
                self._push(tag.name)
        elif self._counts[tag.name]:
            while True:
                name = self._open.pop()
                self._counts[name] -= 1
                if name == tag.name:
                    break

    def _push(self, name: str) -> None:
        self._open.append(name)
        self._counts[name] += 1

    def _is_hidden(self, tag: Tag) -> bool:
        if tag.name in _NEVER_SHOWN or (tag.name, "", "") in self._rules:
            return True
        if tag.name != "dialog" and not self._may_be_hidden(tag.inside.lower()):
            return False
        attributes = tag.attributes()
        if "hidden" in attributes or (tag.name == "dialog" and "open" not in attributes):
            return True
        if _says_hidden(attributes.get("style", "")):
            return True
        if not self._rules:
            return False
        known_by = [(".", name) for name in attributes.get("class", "").split()[:100]]
        known_by += [("#", attributes["id"])] if "id" in attributes else []
        return any((element, *name) in self._rules for element in ("", tag.name) for name in known_by)

    def _may_be_hidden(self, inside: str) -> bool:
        """Whether it is worth the time to read the attributes of a tag."""
        return any(word in inside for word in ("hid", "none")) or (
            bool(self._rules) and any(word in inside for word in ("class", "id"))
        )

    def _add_rules(self, sheet: str) -> None:
        """Keep the rules that hide a tag, a class or an id, and that no condition such as ``@media`` is around."""
        self._rules_length += len(sheet)
        if self._rules_length > MAX_RULES:
            return
        depth = 0
        selector = ""
        for part in re.split(r"([{}])", _without_comments(sheet)):
            if part == "{":
                depth += 1
            elif part == "}":
                depth = max(0, depth - 1)
            elif depth == 0:
                selector = part.rpartition(";")[2]  # past @import and the like
            elif depth == 1 and "@" not in selector and _says_hidden(part):
                self._rules |= {rule for one in selector.split(",") if (rule := _rule(one.strip())) is not None}


def _rule(selector: str) -> tuple[str, str, str] | None:
    found = _SELECTOR.fullmatch(selector)
    if found is None or not selector.strip("* "):
        return None
    return ((found.group(1) or "").lower(), found.group(2) or "", found.group(3) or "")


def _says_hidden(style: str) -> bool:
    if not style:
        return False
    written = _SPACE.sub("", style.lower())
    return any(said in written for said in _NO_DISPLAY)


def _without_comments(sheet: str) -> str:
    out = []
    position = 0
    while (start := sheet.find("/*", position)) >= 0:
        out.append(sheet[position:start])
        end = sheet.find("*/", start + 2)
        position = end + 2 if end >= 0 else len(sheet)
    return "".join(out) + sheet[position:]
