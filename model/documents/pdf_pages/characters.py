"""Characters that a PDF writes for the sake of its fonts, and what a reader takes them for.

Fonts of some Japanese systems map a kanji to the Kangxi radical of the same shape, which no search finds. Kangxi
radicals (U+2F00) have compatibility decompositions; most of the supplement (U+2E80) has none, so a table gives them.
"""

from __future__ import annotations

import re
import unicodedata

_SUPPLEMENT = (
    "⺄乙⺅亻⺆冂⺉刂⺊卜⺋㔾⺌小⺍小⺎兀⺏尣⺐尢⺑尢⺒巳⺓幺⺔彑⺕彐⺖忄⺗心⺘扌⺙攵⺛旡⺜日⺝月⺞歺⺠民⺡氵⺢氺⺣灬⺤爫⺥爫⺦丬⺧牛⺨犭⺩王⺪疋"
    "⺫目⺬示⺭礻⺮竹⺯糹⺰纟⺱罓⺲罒⺶羊⺷羊⺸羊⺹耂⺺肀⺻聿⺼肉⺽臼⺾艹⺿艹⻀艹⻁虎⻂衤⻃覀⻄西⻅见⻆角⻇角⻈讠⻉贝⻊足⻋车⻌辶⻍辶⻎辶"
    "⻏阝⻐钅⻑長⻒镸⻓长⻔门⻕阜⻖阝⻗雨⻘青⻙韦⻚页⻛风⻜飞⻝食⻟飠⻠饣⻡首⻢马⻣骨⻤鬼⻥鱼⻦鸟⻧卤⻨麦⻩黄⻪黾⻫斉⻬齐⻭歯⻮齿⻯竜"
    "⻰龙⻱龜⻲亀"
)
_DECOMPOSED = re.compile("[\u2e80-\u2fdf\ufb00-\ufb06]")  # radicals, and Latin ligatures such as ffi
_CONTROL = re.compile("[\x00-\x01\x03-\x08\x0e-\x1f\x7f-\x9f]")  # U+0002 is a hyphen that pdfium has found
_RADICALS = dict(zip(_SUPPLEMENT[::2], _SUPPLEMENT[1::2], strict=True))

_SYMBOLS = str.maketrans(
    {0xF0B7: "•", 0xF0A7: "▪", 0xF0D8: "➢", 0xF0FC: "✓", 0xF0FE: "☑", 0xF0A8: "☐", 0xF06F: "□", 0xF0E0: "→"}
)
"""Bullets and boxes of symbol fonts, whose places stand in private characters."""
_NOISE = frozenset(("Cc", "Cn", "Co", "Cs"))


def plain(text: str) -> str:
    """``text`` with kanji for radicals, letters for ligatures and U+FFFD for control characters; the rest stays."""
    return _CONTROL.sub("\ufffd", _DECOMPOSED.sub(_plain, text).translate(_SYMBOLS))


def _plain(match: re.Match[str]) -> str:
    char = match.group()
    return _RADICALS.get(char) or unicodedata.normalize("NFKC", char)


def is_noise(char: str) -> bool:
    """Whether ``char`` can only come from a font whose glyphs have no known characters."""
    return char == "\ufffd" or unicodedata.category(char) in _NOISE
