"""Numbers as lists and clauses write them: 1, IV, c, 第三 (of), ロ. The names are those of WordprocessingML.

A number that a format cannot write (above 20 in a circle, below 1 as a letter) comes out as a plain decimal, as Word
does it.
"""

from __future__ import annotations

from collections.abc import Callable

MAX_NUMBER = 1_000_000
"""Larger numbers are written as decimals, whatever the format: 10 million in Roman numerals is 10,000 letters."""

_ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
    (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_ROMAN_MAX = 3_999
_LETTERS_MAX = 780  # 30 times the alphabet

_KANJI = "〇一二三四五六七八九"
_LEGAL = "零壱弐参四五六七八九"
_CHINESE_LEGAL = "零壹貳參肆伍陸柒捌玖"
_SMALL_UNITS = ("", "十", "百", "千")
_LEGAL_UNITS = ("", "拾", "百", "阡")
_CHINESE_LEGAL_UNITS = ("", "拾", "佰", "仟")

_SERIES = {
    "aiueo": "ｱｲｳｴｵｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄﾅﾆﾇﾈﾉﾊﾋﾌﾍﾎﾏﾐﾑﾒﾓﾔﾕﾖﾗﾘﾙﾚﾛﾜｦﾝ",
    "aiueoFullWidth": "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン",
    "iroha": "ｲﾛﾊﾆﾎﾍﾄﾁﾘﾇﾙｦﾜｶﾖﾀﾚｿﾂﾈﾅﾗﾑｳヰﾉｵｸﾔﾏｹﾌｺｴﾃｱｻｷﾕﾒﾐｼヱﾋﾓｾｽﾝ",
    "irohaFullWidth": (
        "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセスン"
    ),
    "ideographTraditional": "甲乙丙丁戊己庚辛壬癸",
    "ideographZodiac": "子丑寅卯辰巳午未申酉戌亥",
    "ganada": "가나다라마바사아자차카타파하",
    "chosung": "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ",
    "decimalEnclosedCircle": "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳",
    "decimalEnclosedParen": "⑴⑵⑶⑷⑸⑹⑺⑻⑼⑽⑾⑿⒀⒁⒂⒃⒄⒅⒆⒇",
    "decimalEnclosedFullstop": "⒈⒉⒊⒋⒌⒍⒎⒏⒐⒑⒒⒓⒔⒕⒖⒗⒘⒙⒚⒛",
    "ideographEnclosedCircle": "㊀㊁㊂㊃㊄㊅㊆㊇㊈㊉",
}


def numeral(number: int, style: str) -> str:
    """``number`` in the format ``style``; an unknown format is decimal."""
    if style == "none":
        return ""
    if not 0 <= number <= MAX_NUMBER:
        return str(number)
    series = _SERIES.get(style)
    if series is not None:
        return series[number - 1] if 1 <= number <= len(series) else str(number)
    return _FORMATS.get(style, str)(number)


def _roman(number: int) -> str:
    if not 1 <= number <= _ROMAN_MAX:
        return str(number)
    out = []
    for value, letters in _ROMAN:
        times, number = divmod(number, value)
        out.append(letters * times)
    return "".join(out)


def _letter(number: int) -> str:
    """A to Z, then AA to ZZ as Word counts: the letter doubled, not AB after AA."""
    if not 1 <= number <= _LETTERS_MAX:
        return str(number)
    times, letter = divmod(number - 1, 26)
    return chr(ord("A") + letter) * (times + 1)


def _digits(number: int) -> str:
    return "".join(_KANJI[int(digit)] for digit in str(number))


def _counting(digits: str, units: tuple[str, ...], ones: bool, zero: str = "") -> Callable[[int], str]:
    """Numbers in kanji with units. ``ones``: 10 is written with a one; ``zero``: stands for skipped units."""

    def below_ten_thousand(number: int) -> str:
        out = ""
        for power in (3, 2, 1, 0):
            digit = number // 10**power % 10
            if digit:
                omitted = power and digit == 1 and not ones
                out += ("" if omitted else digits[digit]) + units[power]
            elif zero and out and number % 10**power and not out.endswith(zero):
                out += zero
        return out

    def written(number: int) -> str:
        if number == 0:
            return digits[0]
        high, low = divmod(number, 10_000)
        bridge = zero if zero and high and 0 < low < 1000 else ""
        return (below_ten_thousand(high) + "万" if high else "") + bridge + below_ten_thousand(low)

    return written


def _chinese(number: int) -> str:
    text = _counting(_KANJI, _SMALL_UNITS, ones=True, zero="〇")(number)
    return text.removeprefix("一") if 10 <= number < 20 else text


def _ordinal(number: int) -> str:
    teens = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _full_width(number: int) -> str:
    return str(number).translate(str.maketrans("0123456789", "０１２３４５６７８９"))


_FORMATS: dict[str, Callable[[int], str]] = {
    "decimalZero": lambda number: f"{number:02d}",
    "upperRoman": _roman,
    "lowerRoman": lambda number: _roman(number).lower(),
    "upperLetter": _letter,
    "lowerLetter": lambda number: _letter(number).lower(),
    "ordinal": _ordinal,
    "numberInDash": lambda number: f"- {number} -",
    "decimalFullWidth": _full_width,
    "decimalFullWidth2": _full_width,
    "ideographDigital": _digits,
    "japaneseDigitalTenThousand": _digits,
    "koreanDigital2": _digits,
    "taiwaneseDigital": _digits,
    "japaneseCounting": _counting(_KANJI, _SMALL_UNITS, ones=False),
    "japaneseLegal": _counting(_LEGAL, _LEGAL_UNITS, ones=True),
    "ideographLegalTraditional": _counting(_CHINESE_LEGAL, _CHINESE_LEGAL_UNITS, ones=True),
    "chineseLegalSimplified": _counting(_CHINESE_LEGAL, _CHINESE_LEGAL_UNITS, ones=True),
    "chineseCounting": _chinese,
    "chineseCountingThousand": _chinese,
    "taiwaneseCounting": _chinese,
    "taiwaneseCountingThousand": _chinese,
    "koreanCounting": _counting("영일이삼사오육칠팔구", ("", "십", "백", "천"), ones=False),
}
