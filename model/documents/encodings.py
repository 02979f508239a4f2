"""Bytes to text: which encoding a file was written in, and reading it in that encoding.

Evidence is taken in the order of its strength:

1. a byte order mark; the escape sequences of ISO-2022; NULs in the places where UTF-16 and UTF-32 have them
2. valid UTF-8 (other encodings are hardly ever valid UTF-8 by accident); lines of UTF-8 between lines of another
   encoding; UTF-8 with a few damaged bytes
3. what an HTML page says about itself, if it is true
4. kana or everyday kanji in CP932 or EUC-JP, each read strictly; half-width katakana; kana among damaged bytes
5. chardet and charset-normalizer for other languages
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from model.documents.detectors import EAST_ASIAN, WESTERN_AND_OTHERS, is_half_width_katakana, verdict
from model.documents.pieces import tidy
from model.documents.plausibility import kana, plausibility
from model.documents.readings import (
    ISO2022_ESCAPE,
    MIXED,
    WIDE,
    is_mixed,
    leniently,
    strictly,
    wide_without_mark,
)
from model.errors import UserError

ENCODINGS: tuple[str, ...] = (
    *("utf-8", "cp932", "euc_jp", "iso2022_jp", *MIXED),
    *("utf-16", "utf-16-le", "utf-16-be", "utf-32"),
    *EAST_ASIAN,
    *WESTERN_AND_OTHERS,
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
_DETECTED = frozenset((*EAST_ASIAN, *WESTERN_AND_OTHERS, "cp932", "euc_jp"))
_DECLARED_BY_HABIT = {"latin-1", "cp1252"}  # old Japanese pages too say ISO-8859-1, in which every byte is valid

_SHORT = 60
"""Letters outside ASCII; with fewer, detectors do not know German from Polish."""
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_USUAL_WEST = frozenset("áéíóúýäëöüßçâîôïñàÄÖÜÉ°€“”‘’„–—…£§©®")
_LATIN = re.compile(rb"[A-Za-z]")
_EUC_HALF_WIDTH = re.compile(rb"(?:\x8e[\xa1-\xdf]){4}")  # in CP932 four kanji from one small corner of the table
_PADDING = re.compile(rb"\x00{8,}")  # zeros that a file system leaves after a power failure, or ahead of a log
_CONTROLS = bytes(range(0x01, 0x08)) + bytes(range(0x0E, 0x1A)) + bytes(range(0x1C, 0x20)) + b"\x7f"
_CONTROL_SHARE = 1 / 12  # logs of serial lines carry STX and ETX; random bytes have more than this


@dataclass(frozen=True)
class Guess:
    """An encoding that no mark proves."""

    alternatives: tuple[str, ...]
    """Other encodings that read the file, the most likely first."""
    doubtful: bool
    """Whether the text should be looked at before it is used."""


Found = tuple[str, str, Guess | None]
"""Text, name of its encoding, and how it was found if it had to be guessed."""


def decode(data: bytes, name: str, encoding: str | None = None, hint: str | None = None) -> Found:
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
        text = leniently(data if wanted in WIDE else _PADDING.sub(b"", data), wanted)
        shifts = wanted.startswith("iso2022")  # between alphabets, by control characters
        if text is None or (not (wanted in WIDE or shifts) and _looks_binary(_PADDING.sub(b"", data))):
            raise UserError("document.wrong_encoding", name=name, encoding=wanted)
        return tidy(text), wanted, None
    found = _marked(data)
    if found is None:
        data = _PADDING.sub(b"", data)
        if _looks_binary(data):
            raise UserError("document.binary", name=name)
        found = _unmarked(data.replace(b"\x00", b""), canonical(hint or ""))
    if found is None:
        raise UserError("document.undecodable", name=name)
    text, used, guess = found
    return tidy(text), used, guess


def canonical(encoding: str) -> str | None:
    """The member of :data:`ENCODINGS` that ``encoding`` is a name of, or None."""
    name = encoding.strip().lower()
    if name not in _ALIASES and name not in ENCODINGS:
        try:
            name = codecs.lookup(name).name
        except (LookupError, ValueError):  # ValueError: a NUL in the name
            return None
    name = _ALIASES.get(name, name)
    return name if name in ENCODINGS else None


def _marked(data: bytes) -> Found | None:
    """Text whose encoding shows in the bytes: a byte order mark, escapes, or NULs in the right places."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        candidates = ["utf-32", "utf-16"]  # the mark of UTF-32-LE is that of UTF-16-LE followed by a NUL
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        candidates = ["utf-16"]
    elif data.startswith(codecs.BOM_UTF8):
        candidates = ["utf-8"]
    elif data.isascii() and ISO2022_ESCAPE.search(data):
        candidates = ["iso2022_jp"]
    elif data.isascii() and b"\x1b$)C" in data:
        candidates = ["iso2022_kr"]
    elif b"\x00" in _PADDING.sub(b"", data) or _looks_binary(_PADDING.sub(b"", data)):
        found = wide_without_mark(data)
        return (*found, None) if found is not None else None
    else:
        return None
    for candidate in candidates:
        text = leniently(data, candidate)
        if text is not None:
            return text, candidate, None
    return None


def _unmarked(data: bytes, hint: str | None) -> Found | None:
    """The best reading of bytes without NULs that carry no mark."""
    text = strictly(data, "utf-8")
    if text is not None and not _is_euc_in_disguise(data, text):
        return text, "utf-8", None
    for mixed in MIXED:
        if is_mixed(data, mixed):
            return strictly(data, mixed) or "", mixed, None
    text = leniently(data, "utf-8")
    if text is not None and plausibility(text) > -0.5:
        return text, "utf-8", None
    if hint is not None and hint not in WIDE | _DECLARED_BY_HABIT:
        text = strictly(data, hint)
        if text is not None:
            return text, hint, None
    return _japanese(data) or _damaged_japanese(data) or _by_statistics(data)


def _japanese(data: bytes) -> Found | None:
    """CP932 or EUC-JP where what they give is clearly Japanese, and UTF-16 without a mark or NULs where that is."""
    if _EUC_HALF_WIDTH.search(data) and (text := strictly(data, "euc_jp")):
        return text, "euc_jp", None
    readings = [(plausibility(text), text, name) for name in ("cp932", "euc_jp") if (text := strictly(data, name))]
    score, text, name = max(readings, default=(-9.0, "", ""))
    # Any even number of bytes is UTF-16, so without a mark and without NULs it must be clearly better.
    wide = strictly(data, "utf-16")
    if wide is not None and plausibility(wide) >= max(0.8, score + 0.5):
        return wide, "utf-16", None
    # Chinese and Korean are kanji too when they are read as EUC-JP, but rare ones, and never kana.
    if score >= 0.9 or (score >= 0.6 and kana(text) >= 0.1):
        others = tuple(name for _, _, name in readings[1:]) if len(readings) > 1 else ()
        guess = None if kana(text) >= 0.1 else Guess((*_others(data, name), *others)[:5], len(text) < 40)
        if name != "euc_jp" or kana(text) >= 0.02 or not (_is_korean(data) or _is_chinese(data, text)):
            return text, name, guess
    if is_half_width_katakana(data) and (katakana := strictly(data, "cp932")):
        return katakana, "cp932", Guess(_others(data, "cp932"), False)
    western = strictly(data, "cp1252")
    few = len(text) < _SHORT and len(_NOT_ASCII.findall(data)) < 8  # "A社": one kanji beside ASCII proves nothing
    if few and score >= 0 and (western is None or score > plausibility(western)):
        return text, name, Guess(_others(data, name), True)
    return None


def _is_chinese(data: bytes, text: str) -> bool:
    """Whether kanji of EUC-JP without any kana are Chinese to both detectors."""
    encodings, sure = verdict(data, _DETECTED)
    return sure and encodings[:1] == ("gb18030",) and sum(letter > "\u2fff" for letter in text) >= 8


def _is_korean(data: bytes) -> bool:
    """Whether kanji of EUC-JP are rather Korean: its syllables are the first half of the everyday kanji there."""
    other = strictly(data, "euc_kr")
    letters = [letter for letter in other or "" if letter > "\u2fff"]
    return len(letters) >= 8 and sum("가" <= letter <= "힣" for letter in letters) >= 0.95 * len(letters)


def _others(data: bytes, name: str) -> tuple[str, ...]:
    return tuple(other for other in verdict(data, _DETECTED).encodings if other != name)


def _by_statistics(data: bytes) -> Found | None:
    """The guess of the detectors; short Windows-1252 is judged by its plausibility, which sees accents and quotes."""
    encodings, sure = verdict(data, _DETECTED)
    short = len(_NOT_ASCII.findall(data)) < _SHORT
    western = strictly(data, "cp1252") if short else None
    if western is not None and _is_western(western, sure and bool(encodings)):
        encodings = ("cp1252", *(name for name in encodings if name != "cp1252"))
    for read in (strictly, leniently):
        for index, name in enumerate(encodings):
            text = read(data, name)
            if text is not None:
                return text, name, Guess(encodings[:index] + encodings[index + 1 :], not sure or read is leniently)
    return None


def _is_western(text: str, against: bool) -> bool:
    """Whether a short text is plausible in Windows-1252; ``against`` says that both detectors found another encoding.

    They agree on Polish or Czech where one accent decides, so usual letters of the West stand above them.
    """
    telling = [letter for letter in text if letter > "~"]
    usual = all(letter in _USUAL_WEST for letter in telling)
    if against and not usual:
        return False
    return plausibility(text) > (-0.3 if usual or len(telling) < 8 else 0.2)


def _damaged_japanese(data: bytes) -> Found | None:
    for candidate in ("cp932", "euc_jp"):
        text = leniently(data, candidate)
        if text is not None and plausibility(text) > 0.5 and kana(text) >= 0.05:
            return text, candidate, None
    return None


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
