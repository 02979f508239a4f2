"""Bytes to text: which encoding a file was written in, and reading it in that encoding.

Evidence is taken in the order of its strength:

1. a byte order mark; the escape sequences of ISO-2022-JP; NULs in the places where UTF-16 and UTF-32 have them
2. valid UTF-8 (other encodings are hardly ever valid UTF-8 by accident), also with a few damaged bytes
3. what an HTML page says about itself, if it is true
4. the most plausible of CP932, EUC-JP, Windows-1252 and UTF-16 without a mark, each read strictly
5. CP932 or EUC-JP with a few damaged bytes; then the statistics of charset-normalizer for other languages
"""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from model.documents.pieces import tidy
from model.documents.plausibility import plausibility
from model.documents.readings import ISO2022_ESCAPE, WIDE, leniently, strictly
from model.errors import UserError

ENCODINGS: tuple[str, ...] = (
    "utf-8",
    "cp932",
    "euc_jp",
    "iso2022_jp",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "cp1252",
    "latin-1",
    "gb18030",
    "big5",
    "euc_kr",
    "cp1250",
    "cp1251",
)
"""What a user may choose instead of the detection; everything that is detected is one of these."""

_ALIASES = {
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "x-euc-jp": "euc_jp",
    "ascii": "utf-8",
    "utf-8-sig": "utf-8",
    "iso8859-1": "latin-1",
    "gb2312": "gb18030",
    "gbk": "gb18030",
}
_OTHER_LANGUAGES = ["cp1252", "gb18030", "big5", "euc_kr", "cp1250", "cp1251"]
_DECLARED_BY_HABIT = {"latin-1", "cp1252"}  # old Japanese pages too say ISO-8859-1, in which every byte is valid
_STATISTICS_BYTES = 1 << 16

_LATIN = re.compile(rb"[A-Za-z]")
_EUC_HALF_WIDTH = re.compile(rb"(?:\x8e[\xa1-\xdf]){4}")  # in CP932 four kanji from one small corner of the table
_CONTROLS = bytes(range(0x01, 0x08)) + bytes(range(0x0E, 0x1A)) + bytes(range(0x1C, 0x20)) + b"\x7f"
_CONTROL_SHARE = 1 / 12  # logs of serial lines carry STX and ETX; random bytes have more than this


def decode(data: bytes, name: str, encoding: str | None = None, hint: str | None = None) -> tuple[str, str]:
    """The tidied text of ``data`` and the name of its encoding, one of :data:`ENCODINGS`.

    ``encoding`` is the user's choice and is obeyed; ``hint`` is what the file says about itself and is only tried.

    Raises:
        UserError: ``document.unknown_encoding``, ``document.wrong_encoding``, ``document.binary`` or
            ``document.undecodable``.
    """
    if encoding is not None:
        wanted = canonical(encoding)
        if wanted is None:
            raise UserError("document.unknown_encoding", name=name, encoding=encoding, known=", ".join(ENCODINGS))
        text = leniently(data, wanted)
        if text is None or (wanted not in WIDE and _looks_binary(data)):
            raise UserError("document.wrong_encoding", name=name, encoding=wanted)
        return tidy(text), wanted
    found = _marked(data)
    if found is None:
        if _looks_binary(data):
            raise UserError("document.binary", name=name)
        found = _unmarked(data.replace(b"\x00", b""), canonical(hint or ""))
    if found is None:
        raise UserError("document.undecodable", name=name)
    return tidy(found[0]), found[1]


def canonical(encoding: str) -> str | None:
    """The member of :data:`ENCODINGS` that ``encoding`` is a name of, or None."""
    name = encoding.strip().lower()
    if name not in _ALIASES:
        try:
            name = codecs.lookup(name).name
        except (LookupError, ValueError):  # ValueError: a NUL in the name
            return None
    name = _ALIASES.get(name, name)
    return name if name in ENCODINGS else None


def _marked(data: bytes) -> tuple[str, str] | None:
    """Text whose encoding shows in the bytes: a byte order mark, escapes, or NULs in the right places."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        candidates = ["utf-32", "utf-16"]  # the mark of UTF-32-LE is that of UTF-16-LE followed by a NUL
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ["utf-16"]
    elif data.startswith(codecs.BOM_UTF8):
        candidates = ["utf-8"]
    elif data.isascii() and ISO2022_ESCAPE.search(data):
        candidates = ["iso2022_jp"]
    else:
        return _wide(data) if b"\x00" in data or _looks_binary(data) else None
    for candidate in candidates:
        text = leniently(data, candidate)
        if text is not None:
            return text, candidate
    return None


def _wide(data: bytes) -> tuple[str, str] | None:
    """UTF-32 or UTF-16 without a mark, where NULs or control characters say that it can hardly be anything else."""
    for name in ("utf-32", "utf-16"):
        text = strictly(data, name)
        if text:
            plain = len(text.encode("ascii", "ignore")) / len(text)
            # Plain ASCII in the right places is good evidence, but only NULs make it.
            if plain + (1 - plain) * plausibility(text) > (0 if b"\x00" in data else 0.9):
                return text, name
    return None


def _unmarked(data: bytes, hint: str | None) -> tuple[str, str] | None:
    """The best reading of bytes without NULs that carry no mark."""
    text = strictly(data, "utf-8")
    if text is not None and not _is_euc_in_disguise(data, text):
        return text, "utf-8"
    text = leniently(data, "utf-8")
    if text is not None and plausibility(text) > -0.5:
        return text, "utf-8"
    if hint is not None and hint not in WIDE | _DECLARED_BY_HABIT:
        text = strictly(data, hint)
        if text is not None:
            return text, hint
    found = _most_plausible(data)
    if found is not None and found[0] >= -1.2:
        return found[1], found[2]
    for candidate in ("cp932", "euc_jp"):
        text = leniently(data, candidate)
        if text is not None and plausibility(text) > 0:
            return text, candidate
    best = from_bytes(data[:_STATISTICS_BYTES], cp_isolation=_OTHER_LANGUAGES).best()
    name = canonical(best.encoding) if best is not None else None
    text = strictly(data, name) if name is not None else None
    if name is not None and text is not None:
        return text, name
    return (found[1], found[2]) if found is not None else None


def _most_plausible(data: bytes) -> tuple[float, str, str] | None:
    """Among the encodings that read ``data`` strictly: plausibility, text and name of the best."""
    if _EUC_HALF_WIDTH.search(data) and (text := strictly(data, "euc_jp")):
        return 0.0, text, "euc_jp"
    readings = [
        (plausibility(text), text, name) for name in ("cp932", "euc_jp", "cp1252") if (text := strictly(data, name))
    ]
    best = max(readings, key=lambda reading: reading[0], default=None)
    # Any even number of bytes is UTF-16, so without a mark and without NULs it must be clearly better.
    wide = strictly(data, "utf-16")
    if wide is not None:
        score = plausibility(wide)
        if score >= 0.8 and (best is None or score > best[0] + 0.5):
            return score, wide, "utf-16"
    return best


def _is_euc_in_disguise(data: bytes, text: str) -> bool:
    """Whether valid UTF-8 is rather a few kanji in EUC-JP: 2-byte sequences of both can be the same bytes."""
    if text.isascii() or max(text) >= "\u0800" or _LATIN.search(data) or plausibility(text) > -1:
        return False
    other = strictly(data, "euc_jp")
    return other is not None and plausibility(other) >= 0.9


def _looks_binary(data: bytes) -> bool:
    """Whether many bytes are control characters that no text has; escape, backspace and the like are text."""
    if data.count(0) * 10 > len(data):
        return True
    sample = data[: 1 << 16] + data[-(1 << 16) :]
    return len(sample) - len(sample.translate(None, _CONTROLS)) > len(sample) * _CONTROL_SHARE
