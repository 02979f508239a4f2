"""Tokens as they are shown: white space to be seen, and nothing without a glyph."""

from __future__ import annotations

import unicodedata


def visible(token: str) -> str:
    """A token with its white space to be seen: “␣the”, “↵”."""
    seen = token.replace("\n", "↵").replace("\t", "⇥")
    return "".join("␣" if unicodedata.category(sign) == "Zs" else sign if has_glyph(sign) else "�" for sign in seen)


def has_glyph(sign: str) -> bool:
    """Whether a font draws something for ``sign``; a space counts, of any width."""
    return sign.isprintable() or sign == "\t" or unicodedata.category(sign) == "Zs"
