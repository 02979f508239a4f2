"""Reading bytes in one given encoding: strictly, or forgiving a little damage.

Shift_JIS is read as CP932, its superset that Windows writes. EUC-JP and ISO-2022-JP are read with the same
extensions of Windows (①, ㈱, 髙) where the plain standard does not fit; UTF-16 and UTF-32 also without a mark.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import partial

from model.documents.plausibility import SAMPLE, plausibility

WIDE = {"utf-16", "utf-16-le", "utf-16-be", "utf-32"}
"""The encodings in which a NUL byte is nothing unusual."""

MIXED = ("utf-8+cp932", "utf-8+euc_jp", "utf-8+cp1252")
"""Lines of UTF-8 and lines of another encoding in one file: a service and a driver that write to the same log."""

ISO2022_ESCAPE = re.compile(rb"(\x1b\$[@B]|\x1b\$\(D|\x1b\([BJI])")
"""What switches the character set in ISO-2022-JP."""

_EUC_PART = re.compile(rb"[\x00-\x7f]+|(?:\x8e[\xa1-\xdf])+|(?:\x8f[\xa1-\xfe]{2})+|(?:[\xa1-\xfe]{2})+")


def strictly(data: bytes, name: str) -> str | None:
    """``data`` read in one encoding, or None if a single byte does not fit."""
    try:
        return _READERS.get(name, _plain(name))(data, "strict")
    except ValueError:  # UnicodeDecodeError, which is what the codecs raise, is one of these
        return None


def leniently(data: bytes, name: str) -> str | None:
    """``data`` read in one encoding, also if it was cut inside a character or has a few damaged bytes.

    Logs are cut by size and lose bytes in crashes; what cannot be read becomes U+FFFD. At most one character in
    fifty may be damaged, and apart from that three at each end; otherwise the encoding is wrong: None.
    """
    text = strictly(data, name)
    if text is not None or name in MIXED:
        return text
    try:
        text = _READERS.get(name, _plain(name))(data, "replace")
    except ValueError:
        return None
    middle = text.strip("\ufffd")
    at_the_ends = len(text) - len(middle)
    damaged = middle.count("\ufffd")
    sound = len(middle) - damaged if name in WIDE else len(middle) - damaged - len(middle.encode("ascii", "ignore"))
    return text if damaged * 50 <= sound and at_the_ends * 3 <= sound and at_the_ends <= 6 else None


def is_mixed(data: bytes, name: str) -> bool:
    """Whether some lines are clearly UTF-8 and all others are plausible in the second encoding of ``name``."""
    second = name.partition("+")[2]
    first: list[bytes] = []
    rest: list[bytes] = []
    for line in data.split(b"\n"):
        if not line.isascii():
            text = strictly(line, "utf-8")
            (first if text is not None and max(text) >= "\u0800" else rest).append(line)
    if not first or not rest:
        return False
    text, other = strictly(b"\n".join(first), "utf-8"), strictly(b"\n".join(rest), second)
    # In Windows-1252 two or three bytes of UTF-8 are signs beside accented letters, which is far below zero.
    floor = 0.5 if second != "cp1252" else 0.2
    return text is not None and plausibility(text) >= 0.5 and other is not None and plausibility(other) >= floor


def wide_without_mark(data: bytes) -> tuple[str, str] | None:
    """UTF-32 or UTF-16 without a mark, where NULs or control characters say that it can hardly be anything else."""
    readings = []
    for name in ("utf-32", "utf-16-le", "utf-16-be"):
        text = strictly(data, name)
        if text:
            plain = len(text.encode("ascii", "ignore")) / len(text)
            other = max(plausibility(text), 1.0 if _is_one_script(text) else -9.0)
            # Plain ASCII in the right places is good evidence, but only NULs make it.
            readings.append((plain + (1 - plain) * other, text, name))
        if readings and name == "utf-32":
            break
    score, text, name = max(readings, default=(-9.0, "", ""))
    return (text, name) if score > (0 if b"\x00" in data else 0.9) else None


def _is_one_script(text: str) -> bool:
    """Whether nearly all letters are of one script other than Chinese: random pairs of bytes hardly ever are."""
    letters = [letter for letter in text[:SAMPLE] if letter >= "\x80" and unicodedata.category(letter)[0] == "L"]
    if len(letters) < 3 or any(unicodedata.category(letter) in ("Cn", "Co") for letter in text[:SAMPLE]):
        return False
    script, count = Counter(unicodedata.name(letter, "?").split()[0] for letter in letters).most_common(1)[0]
    return script not in ("CJK", "?") and count >= 0.9 * len(letters)


def _plain(name: str) -> Callable[[bytes, str], str]:
    return lambda data, errors: data.decode(name, errors)


def _utf16(data: bytes, errors: str) -> str:
    """UTF-16 by its mark, and without one in the byte order that gives the more plausible text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors)
    readings = []
    for order in ("utf-16-le", "utf-16-be"):
        try:
            readings.append(data.decode(order, errors))
        except UnicodeDecodeError as error:
            failure = error
    if not readings:
        raise failure
    return max(readings, key=plausibility)


def _utf32(data: bytes, errors: str) -> str:
    """UTF-32 by its mark, and without one in the byte order that is valid: the other never is."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return data.decode("utf-32", errors)
    try:
        return data.decode("utf-32-le", "strict")
    except UnicodeDecodeError:
        return data.decode("utf-32-be", errors)


def _euc_jp(data: bytes, errors: str) -> str:
    try:
        return data.decode("euc_jp", "strict")
    except UnicodeDecodeError:
        if errors != "strict":
            return data.decode("euc_jp", errors)
    out = []
    position = 0
    while position < len(data):
        part = _EUC_PART.match(data, position)
        if part is None:
            raise ValueError("not EUC-JP")
        position = part.end()
        try:
            out.append(part.group().decode("euc_jp"))
        except UnicodeDecodeError:
            if part.group()[0] < 0xA1:
                raise
            out.append(_windows_kanji(bytes(byte & 0x7F for byte in part.group())))
    return "".join(out)


def _iso2022_jp(data: bytes, errors: str) -> str:
    for standard in ("iso2022_jp", "iso2022_jp_ext"):  # _ext: half-width katakana
        try:
            return data.decode(standard, "strict")
        except UnicodeDecodeError:
            continue
    if errors != "strict":
        return data.decode("iso2022_jp", errors)
    out = []
    escape = b"\x1b(B"
    for part in ISO2022_ESCAPE.split(data):
        if ISO2022_ESCAPE.fullmatch(part):
            escape = part
        elif escape in (b"\x1b$B", b"\x1b$@"):
            out.append(_windows_kanji(part))
        elif escape == b"\x1b(I":
            out.append(bytes(byte | 0x80 for byte in part).decode("cp932"))
        else:
            out.append((escape + part).decode("iso2022_jp_ext"))
    return "".join(out)


def _windows_kanji(pairs: bytes) -> str:
    """Rows and cells of JIS (0x21 to 0x7E each) as Windows fills them, by way of the bytes of CP932."""
    if len(pairs) % 2 or any(not 0x21 <= byte <= 0x7E for byte in pairs):
        raise ValueError("not pairs of JIS bytes")
    moved = bytearray()
    for row, cell in zip(pairs[::2], pairs[1::2], strict=True):
        lead = (row - 0x21) // 2 + 0x81
        moved.append(lead if lead <= 0x9F else lead + 0x40)
        moved.append(cell + 0x7E if row % 2 == 0 else cell + 0x1F + (cell >= 0x60))
    return moved.decode("cp932")


def _by_line(data: bytes, errors: str, second: str) -> str:
    """Each line as UTF-8 if it is valid, else in the second encoding."""
    lines = []
    for line in data.split(b"\n"):
        text = strictly(line, "utf-8")
        lines.append(text if text is not None else _READERS.get(second, _plain(second))(line, errors))
    return "\n".join(lines)


_READERS: dict[str, Callable[[bytes, str], str]] = {
    "utf-16": _utf16,
    "utf-32": _utf32,
    "euc_jp": _euc_jp,
    "iso2022_jp": _iso2022_jp,
    **{name: partial(_by_line, second=name.partition("+")[2]) for name in MIXED},
}
