r"""Rich text (.rtf) to text, by striprtf.

Two searches of striprtf take quadratic time and more on hostile files: for links, and in the table of fonts. Both are
spared: a line break after ``\field`` hides links from it (their visible words stay), and the table of fonts is written
anew with nothing but numbers and character sets.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from striprtf import striprtf

from model.documents.pieces import CELL_SEPARATOR, Builder, Extract, tidy
from model.errors import UserError

_rtf_to_text: Callable[[str, str, str], str] = striprtf.rtf_to_text
_CODE_PAGE = re.compile(rb"\\ansicpg(\d{1,5})")
_RAW = re.compile(rb"[\x80-\xff]+")
_RAW_PAIRS = {
    # The second byte of a pair can be a letter, or a backslash.
    "932": re.compile(rb"(?:[\x81-\x9f\xe0-\xfc][\x40-\x7e\x80-\xfc]|[\xa1-\xdf])+"),
    **dict.fromkeys(("936", "949", "950"), re.compile(rb"(?:[\x81-\xfe][\x40-\x7e\x80-\xfe])+")),
}
_ROW_OF_CELLS = re.compile(r"(?m)^(.*)\|$")
_FONT_TABLE = re.compile(r"\{\\fonttbl")
_BRACE = re.compile(r"(?<!\\)[{}]")
_FONT = re.compile(r"\\f(charset)?(\d{1,6})")
_MAX_FONTS = 5_000


def read_rich(data: bytes, name: str, limit: int) -> Extract:
    """The paragraphs of the document, one a line, and the cells of its tables side by side.

    Raises:
        UserError: ``document.broken_file`` or ``document.too_many_characters``.
    """
    # Bytes above ASCII are written as \'xx; some programs write them raw, which means the same.
    match = _CODE_PAGE.search(data[:4096])
    page = match.group(1).decode("ascii") if match else "1252"
    for raw_bytes in (_RAW_PAIRS.get(page, _RAW), _RAW):
        data = raw_bytes.sub(lambda raw: b"".join(b"\\'%02x" % byte for byte in raw.group()), data)
    source = _plain_fonts(data.decode("ascii")).replace("{\\field{", "{\\field\n{")
    try:
        text = _rtf_to_text(source, f"cp{int(page)}", "replace")
    except (ValueError, LookupError, OverflowError, TypeError, RecursionError) as error:
        raise UserError("document.broken_file", name=name) from error
    text = tidy(text).replace("\u00ad", "")
    out = Builder(name, limit)
    out.add(_ROW_OF_CELLS.sub(lambda row: CELL_SEPARATOR.join(row.group(1).split("|")), text))
    return out.done()


def _plain_fonts(source: str) -> str:
    """``source`` with the shortest table of fonts that names the same character sets."""
    start = _FONT_TABLE.search(source)
    if start is None:
        return source
    depth, end = 1, len(source)
    for brace in _BRACE.finditer(source, start.end()):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            end = brace.end()
            break
    fonts, number = {}, "0"
    for font in _FONT.finditer(source, start.end(), end):
        if font.group(1):
            fonts[number] = font.group(2)
        else:
            number = font.group(2)
    table = "".join(rf"{{\f{font}\fcharset{charset} x;}}" for font, charset in list(fonts.items())[:_MAX_FONTS])
    return f"{source[: start.start()]}{{\\fonttbl{table}}}{source[end:]}"
