"""What two public detectors say about bytes in other languages, and half-width katakana, which misleads them both.

chardet is right on nearly all of its public corpus and gives a list with confidences; charset-normalizer is asked where
chardet has little confidence, and whether they agree says how far the guess can be trusted.
"""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

import chardet
from charset_normalizer import from_bytes

from model.documents.readings import leniently

SAMPLE = 1 << 17
"""Bytes that the detectors are shown."""
MAX_ALTERNATIVES = 5
_SURE = 0.75

WESTERN_AND_OTHERS = (
    *("cp1252", "latin-1", "iso8859-15", "mac-roman", "cp437", "cp850"),
    *("cp1250", "iso8859-2", "cp852", "iso8859-16", "mac-latin2"),
    *("cp1251", "koi8-r", "koi8-u", "iso8859-5", "cp866", "cp855", "mac-cyrillic"),
    *("cp1253", "iso8859-7", "cp1254", "iso8859-9", "cp1255", "iso8859-8", "cp1256", "iso8859-6"),
    *("cp1257", "iso8859-4", "iso8859-13", "cp1258", "cp874", "iso8859-11", "tis-620"),
)
"""Encodings of one byte a character that are detected and can be chosen."""
EAST_ASIAN = ("gb18030", "big5", "cp950", "big5hkscs", "euc_kr", "cp949", "johab", "iso2022_kr")
"""Chinese and Korean encodings that are detected and can be chosen."""

_WIDER = {
    # What is written under a narrow name nearly always uses the additions of a wider one.
    "gb2312": ("gb18030",),
    "gbk": ("gb18030",),
    "big5": ("big5", "cp950", "big5hkscs"),
    "big5hkscs": ("big5", "cp950", "big5hkscs"),
    "cp950": ("big5", "cp950", "big5hkscs"),
    "euc_kr": ("euc_kr", "cp949"),
    "cp949": ("euc_kr", "cp949"),
    "ascii": ("cp1252", "latin-1"),
    "iso8859-1": ("cp1252", "latin-1"),
    "cp1252": ("cp1252", "latin-1"),
    "shift_jis": ("cp932",),
    "shift_jis_2004": ("cp932",),
    "shift_jisx0213": ("cp932",),
    "euc_jis_2004": ("euc_jp",),
    "euc_jisx0213": ("euc_jp",),
    "tis-620": ("cp874",),
    "iso8859-11": ("cp874",),
}
_HALF_WIDTH = re.compile(rb"[\xa1-\xdf]+")
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_LETTERS = re.compile(rb"[\xa6-\xbf]")
_MARKS = re.compile(rb"[\xde\xdf]")
_MARKED = re.compile(rb"[\xb3\xb6-\xc4\xca-\xce]\xde|[\xca-\xce]\xdf")
_PUNCTUATION = re.compile(rb"[\xa1-\xa5]")


class Verdict(NamedTuple):
    """The most likely encodings, best first, each of which reads the sample; and whether to trust the first."""

    encodings: tuple[str, ...]
    sure: bool


def verdict(data: bytes, among: frozenset[str]) -> Verdict:
    """What chardet and charset-normalizer make of ``data``, as members of ``among``."""
    sample = data
    if len(data) > SAMPLE:
        sample = data[: data.rfind(b"\n", 0, SAMPLE) + 1] or data[:SAMPLE]
    found = [(_names(entry["encoding"]), entry["confidence"]) for entry in _chardet(sample)]
    ranked = [name for names, _ in found for name in names]
    confidence = found[0][1] if found else 0.0
    other: list[str] = []
    if confidence < _SURE:
        matches = from_bytes(sample, cp_isolation=sorted(among))
        best = matches.best()
        other = list(_names(best.encoding)) if best is not None else []
    names = dict.fromkeys([*ranked[:1], *other, *ranked[1:]])
    readable = [name for name in names if name in among and leniently(sample, name) is not None]
    agreed = bool(set(other) & set(ranked[:1]))
    return Verdict(tuple(readable[:MAX_ALTERNATIVES]), confidence >= _SURE or agreed)


def _chardet(sample: bytes) -> list[chardet.DetectionDict]:
    return chardet.detect_all(sample, compat_names=False, prefer_superset=False)


def _names(name: str | None) -> tuple[str, ...]:
    """The codecs of Python that read what a detector calls ``name``, the one to try first in front."""
    if name is None:
        return ()
    try:
        plain = codecs.lookup(name).name
    except LookupError:
        return ()
    return _WIDER.get(plain, (plain,))


def is_half_width_katakana(data: bytes) -> bool:
    """Whether all that is not ASCII is Japanese in half-width katakana, as banks write it.

    In CP932 they are single bytes that other encodings of one byte use for capitals and signs. Katakana stand in runs,
    use the whole range, and put the marks for voiced sounds only after letters that have one.
    """
    runs = _HALF_WIDTH.findall(data)
    count = sum(map(len, runs))
    if count < 4 or count != len(_NOT_ASCII.findall(data)):
        return False
    together = b" ".join(runs)
    marks, marked = len(_MARKS.findall(together)), len(_MARKED.findall(together))
    return (
        count >= 2 * len(runs)
        and len(_LETTERS.findall(together)) * 7 >= count
        and len(_PUNCTUATION.findall(together)) * 4 <= count
        and marked * 20 >= marks * 19
    )
