"""Characters of the symbol fonts that Word documents use, in Unicode.

These fonts have their own tables of 224 characters; a document stores the place in the table, often as U+F000 plus
the place. Boxes that are ticked, crossed and empty come out as the characters of that meaning.
"""

from __future__ import annotations

UNKNOWN = "\ufffd"
"""Stands for a symbol whose meaning is not in the tables."""

_SYMBOL_20 = " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼"
_SYMBOL_A0 = "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊⟨®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪\ufffd⟩∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭"
_SYMBOL = {0x20 + index: char for index, char in enumerate(_SYMBOL_20)} | {
    0xA0 + index: char for index, char in enumerate(_SYMBOL_A0)
}


def _table(*rows: tuple[int, str]) -> dict[int, str]:
    return {first + index: char for first, chars in rows for index, char in enumerate(chars)}


_WINGDINGS = _table(
    (0x20, " ✏✂✁"),
    (0x28, "☎✆✉"),
    (0x36, "⌛⌨"),
    (0x3E, "✇✍"),
    (0x41, "✌"),
    (0x45, "☜☞☝☟"),
    (0x4A, "☺😐☹💣☠"),
    (0x51, "✈☼"),
    (0x54, "❄"),
    (0x58, "✠"),
    (0x5A, "☪☯"),
    (0x6C, "●❍■□"),
    (0x71, "❑❒⬧⧫◆❖⬥☒"),
    (0x7B, "❀✿❝❞"),
    (0x80, "⓪①②③④⑤⑥⑦⑧⑨⑩⓿❶❷❸❹❺❻❼❽❾❿"),
    (0x9E, "·•"),
    (0xA1, "○"),
    (0xA4, "◉◎"),
    (0xA7, "▪☐"),
    (0xAA, "✦★✶✴✹✵"),
    (0xB2, "✧"),
    (0xB6, "☆"),
    (0xD5, "⌫⌦"),
    (0xD8, "➢"),
    (0xDC, "➲"),
    (0xDF, "←→↑↓↖↗↙↘"),
    (0xE8, "➔"),
    (0xEF, "⇦⇨⇧⇩⬄⇳"),
    (0xFB, "✗✓☒☑"),
)
_WINGDINGS_2 = _table((0x20, " "), (0x4F, "✗✓☒☑☒☒"), (0x69, "⓪①②③④⑤⑥⑦⑧⑨⑩⓿❶❷❸❹❺❻❼❽❾❿"), (0x97, "•"), (0xA2, "■☐"))
_WINGDINGS_3 = _table((0x20, " "), (0x66, "←→↑↓↖↗↙↘"), (0x70, "▲▼△▽◀▶◁▷"))
_WEBDINGS = _table((0x20, " "), (0x31, "✇"), (0x61, "✔"), (0x63, "☐"), (0x67, "■"), (0x6E, "●"), (0x72, "✗"))

_FONTS = {
    "symbol": _SYMBOL,
    "wingdings": _WINGDINGS,
    "wingdings 2": _WINGDINGS_2,
    "wingdings 3": _WINGDINGS_3,
    "webdings": _WEBDINGS,
}


def symbol(place: int, font: str | None) -> str:
    """The character at ``place``, with or without 0xF000, of a symbol font; of another font its own character."""
    place = place - 0xF000 if 0xF020 <= place <= 0xF0FF else place
    table = _FONTS.get((font or "").strip().lower())
    if table is not None:
        return table.get(place, UNKNOWN if place > 0x20 else "")
    return chr(place) if 0x20 <= place <= 0x10FFFF and not 0xD800 <= place <= 0xDFFF else ""


def in_font(text: str, font: str | None) -> str:
    """``text`` written in ``font``: characters of a symbol font become what they show."""
    if (font or "").strip().lower() not in _FONTS:
        return text
    return "".join(
        symbol(ord(char), font) if ord(char) < 0x100 or 0xF020 <= ord(char) <= 0xF0FF else char for char in text
    )
