"""HTML to the text that a reader of the page would see.

Tags are cut by :mod:`.web_parts.scanner`; hidden elements go, items of ordered lists get their numbers, rows of tables
stand on one line each, and raised numbers stay raised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from model.documents.pieces import joined
from model.documents.scripts import lowered, raised
from model.documents.web_parts.hidden import Hidden
from model.documents.web_parts.lines import Lines
from model.documents.web_parts.lists import LISTS, Lists, items_of_lists
from model.documents.web_parts.main_text import main_part
from model.documents.web_parts.scanner import Tag, names, tags

_CELLS = {"td", "th"}
_ROWS = {"tr", "tbody", "thead", "tfoot", "caption", "body", "html"}
_BLOCKS = names(
    "address article aside blockquote center dd details dialog dir div dl dt fieldset figcaption figure footer form "
    "h1 h2 h3 h4 h5 h6 head header hr legend li main menu nav ol option p pre section select summary textarea "
    "ul"
)
_WHITE = " \t\n\r\f"
_MEANT = _CELLS | _ROWS | _BLOCKS | {"table", "br", "sup", "sub"}
"""Tags that do anything to the text."""
_DECLARED = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)")


def declared_encoding(data: bytes) -> str | None:
    """What ``<meta charset>`` or the XML declaration at the start of a page says, unchecked."""
    match = _DECLARED.search(data[:4096])
    return match.group(1).decode("ascii") if match else None


def read_webpage(text: str, name: str, limit: int, main_text_only: bool = False) -> str:
    """The visible text of a page: one line for each block, table cells side by side.

    ``main_text_only`` leaves out navigation, footers and what else is not the article; a page in which no main text
    is recognised is read whole.

    Raises:
        UserError: ``document.too_many_characters``, or ``document.long_page`` for a page that is too long for
            ``main_text_only``.
    """
    main = main_part(text, name) if main_text_only else None
    return joined(webpage_lines(text if main is None else main), "\n", name, limit)


def webpage_lines(text: str) -> Iterator[str]:
    """Lines of visible text, without empty ones."""
    counts_down = "reversed" in text or "REVERSED" in text
    page = _Page(items_of_lists(tags(text)) if counts_down else ())
    for tag in tags(text):
        page.take(tag)
        yield from page.lines.out
        page.lines.out.clear()
    page.lines.finish()
    yield from page.lines.out


class _Page:
    """What is open at a place of the page."""

    def __init__(self, items: Sequence[int]) -> None:
        self.lines = Lines()
        self._hidden = Hidden()
        self._lists = Lists(items)
        self._preformatted = 0
        self._raised = 0
        self._lowered = 0

    def take(self, tag: Tag) -> None:
        """The text before a tag, then the tag."""
        if tag.text and not self._hidden:
            self._text(tag.text)
        is_hidden = self._hidden.follow(tag)
        if not is_hidden:
            self._tag(tag)
        elif tag.name == "p" and not tag.closing:  # a hidden paragraph ends the one before it all the same
            self.lines.block()

    def _text(self, text: str) -> None:
        if text.strip():
            numbers = self._lists.numbers()
            if numbers:
                self.lines.add(numbers)
                text = text.lstrip(_WHITE)
        if self._raised or self._lowered:
            text = raised(text) if self._raised else lowered(text)
        self.lines.add(text, preformatted=self._preformatted > 0)

    def _tag(self, tag: Tag) -> None:
        name, closing = tag.name, tag.closing
        if name not in _MEANT:
            return
        if name == "pre":
            self._preformatted = max(0, self._preformatted + (-1 if closing else 1))
        if name == "br":
            self.lines.new_line()
        elif name == "sup":
            self._raised = max(0, self._raised + (-1 if closing else 1))
        elif name == "sub":
            self._lowered = max(0, self._lowered + (-1 if closing else 1))
        elif name in _CELLS:
            self._cell(tag)
        elif name == "table":
            self._ended()
            if closing:
                self.lines.end_table()
            else:
                self.lines.start_table()
        elif name in _ROWS:
            self._ended()
            self.lines.end_row()
        elif name in _BLOCKS:
            self._ended()
            self.lines.block()
            self._list_tag(tag)

    def _list_tag(self, tag: Tag) -> None:
        if tag.name in LISTS:
            if tag.closing:
                self._lists.end()
            else:
                self._lists.start(tag.name == "ol", tag.attributes())
        elif tag.name == "li" and not tag.closing:
            self._lists.item(tag.attributes())

    def _cell(self, tag: Tag) -> None:
        self._ended()
        if tag.closing:
            self.lines.end_cell()
            return
        attributes = tag.attributes() if tag.inside else {}
        self.lines.start_cell(_span(attributes.get("colspan")), _span(attributes.get("rowspan")))

    def _ended(self) -> None:
        """A block ends what was raised or lowered in it, even where the end tag is missing."""
        self._raised = self._lowered = 0


def _span(text: str | None) -> int:
    text = (text or "").strip()
    return min(int(text), 65_534) if text.isdecimal() and len(text) <= 6 else 1
