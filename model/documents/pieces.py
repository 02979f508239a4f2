"""Two small things that every reader of a document shares: joining text within a limit, and tidying it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from io import StringIO

from model.errors import UserError

CELL_SEPARATOR = " | "
"""Between the cells of a table row, whatever kind of document the table is in."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def joined(pieces: Iterable[str], separator: str, name: str, limit: int) -> str:
    """Join ``pieces`` and stop as soon as the result would pass ``limit`` characters.

    The pieces come from a generator, so a small file that unfolds into a huge text costs no more than the limit.

    Raises:
        UserError: ``document.too_many_characters``.
    """
    out = StringIO()
    length = 0
    for number, piece in enumerate(pieces):
        between = separator if number else ""
        length += len(between) + len(piece)
        if length > limit:
            raise too_many_characters(name, limit)
        out.write(between)
        out.write(piece)
    return out.getvalue()


def too_many_characters(name: str, limit: int) -> UserError:
    """The error for a text that is longer than ``limit`` characters."""
    return UserError("document.too_many_characters", name=name, limit=limit)


def tidy(text: str) -> str:
    r"""``text`` with ``\n`` for every newline, and without NULs, a leading byte order mark and lone surrogates.

    PDFs can yield halves of surrogate pairs, which no encoding can store: pairs are put together, and a half
    that stays alone becomes U+FFFD. Everything else is kept as it is.
    """
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\x00", "").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
