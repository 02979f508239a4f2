"""How much a decoded text looks like something a person wrote, as one number.

Japanese bytes often decode in several encodings without any error: half of CP932 is valid EUC-JP and the other
way round, and almost every even number of bytes is valid UTF-16. What tells them apart is the result. The right
one is kana and everyday kanji; the wrong ones are half-width katakana, rare kanji, private characters, or
accented letters in rows. Each character has a weight, and :func:`plausibility` is their mean: about 1 to 2 for
Japanese, about 0.5 for Western text, 0 where nothing can be said, and below -1 for noise.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import islice

SAMPLE = 20_000
"""Characters that are weighed; more would change nothing and take time."""

_TELLING = re.compile(r"[^\t\n\r\f\x1b\x20-\x7e]")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa]")
_CONTRACTION = re.compile(r"[a-z]’(?:s|t|m|d|ll|re|ve)\b")


def plausibility(text: str) -> float:
    """Mean weight of the characters outside plain ASCII; 1.0 if there are none."""
    weights = [_weight(text, match.start()) for match in islice(_TELLING.finditer(text), SAMPLE)]
    return sum(weights) / len(weights) if weights else 1.0


def kana(text: str) -> float:
    """Share of hiragana and full-width katakana among the characters outside plain ASCII; 0.0 if there are none."""
    telling = "".join(match.group() for match in islice(_TELLING.finditer(text), SAMPLE))
    return len(_KANA.findall(telling)) / len(telling) if telling else 0.0


@cache
def _kanji() -> tuple[frozenset[str], frozenset[str]]:
    """The kanji of JIS X 0208: level 1 (2,965 in everyday use) and level 2 (3,390 rarer ones)."""

    def rows(first: int, last: int) -> frozenset[str]:
        pairs = bytes(byte for row in range(first, last + 1) for cell in range(1, 95) for byte in (row, cell))
        return frozenset(bytes(byte + 0xA0 for byte in pairs).decode("euc_jp", "ignore"))

    return rows(16, 47), rows(48, 84)


def _weight(text: str, index: int) -> float:
    """The weight of one character, which for some depends on its neighbours."""
    char = text[index]
    code = ord(char)
    before = text[index - 1] if index else " "
    after = text[index + 1] if index + 1 < len(text) else " "
    if 0x3041 <= code <= 0x309F:  # hiragana: no other reading produces it by chance
        return 2.0
    if 0x3000 <= code <= 0x30FF:  # Japanese punctuation, katakana
        return 1.5
    if 0xFF01 <= code <= 0xFF5E:  # full-width ASCII
        return 1.0
    if 0xFF61 <= code <= 0xFF9F:  # half-width katakana: what EUC-JP looks like when read as CP932
        return -1.0
    if 0x4E00 <= code <= 0x9FFF:
        return _weight_of_kanji(char, before, after)
    if code < 0x250:
        return _weight_of_latin(text, index, before, after)
    if unicodedata.category(char) in ("Cc", "Cn", "Co", "Cs"):
        return -3.0
    if 0x2010 <= code <= 0x205E or code in (0x20AC, 0x2122):  # quotes, dashes, euro, trademark
        return _weight_of_typography(text, index, before, after)
    if 0x2460 <= code <= 0x2473 or 0x3200 <= code <= 0x33FF or code in (0x2116, 0x2121):
        return 1.0  # ① ㈱ ㍻ № ℡: what Windows adds to JIS; hardly any other reading produces them
    if 0x2100 <= code <= 0x27BF:  # units, arrows, box drawing
        return 0.25
    if 0x370 <= code <= 0x6FF or code >= 0x1F000:  # Greek, Cyrillic, Hebrew, Arabic; emoji
        return 0.0
    return -1.5


def _weight_of_kanji(char: str, before: str, after: str) -> float:
    common, rare = _kanji()
    if char in common:
        # "it’s" in Windows-1252 is "it痴" in CP932: one kanji after a Latin letter proves nothing.
        return 0.0 if before.isascii() and before.isalpha() and after.isascii() else 1.0
    return -0.5 if char in rare else -1.5


def _weight_of_latin(text: str, index: int, before: str, after: str) -> float:
    char = text[index]
    if unicodedata.category(char) == "Cc":
        return -3.0
    if char == "ƒ":  # the first byte of every katakana in CP932, and a letter of almost no language
        return -1.5
    if ord(char) >= 0xC0:
        alone = before.isascii() and after.isascii()
        return 0.5 if alone and (before.isalpha() or after.isalpha()) else -1.5
    return _weight_of_typography(text, index, before, after)


def _weight_of_typography(text: str, index: int, before: str, after: str) -> float:
    if text[index] == "’" and _CONTRACTION.match(text, max(index - 1, 0)):
        return 1.0
    return 0.5 if before >= "\u3000" or after >= "\u3000" else -0.25
