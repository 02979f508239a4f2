"""Raised and lowered characters in plain text: ten to the fifth is ``10⁵`` and not ``105``."""

from __future__ import annotations

import re

_RAISED = str.maketrans("0123456789+-−=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱ")
_LOWERED = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")
_HAS_RAISED = re.compile(r"[-0-9+−=()ni\s]+")
_HAS_LOWERED = re.compile(r"[-0-9+−=()\s]+")
_EXPONENT = re.compile(r"[-+−]?[A-Za-zα-ω0-9][A-Za-zα-ω0-9.,/+*−-]*")
_ORDINAL = re.compile(r"(?:st|nd|rd|th|er|re|e|o|a|TM|SM|R)\.?")
"""Endings of ordinal numbers and marks of trade, which are raised for their looks."""


def raised(text: str) -> str:
    """``text`` as a superscript: raised characters where they exist, ``^`` before other exponents, else as it is."""
    if not text.strip() or _ORDINAL.fullmatch(text.strip()):
        return text
    if _HAS_RAISED.fullmatch(text):
        return text.translate(_RAISED)
    return f"^{text}" if _EXPONENT.fullmatch(text) and len(text) <= 12 else text


def lowered(text: str) -> str:
    """``text`` as a subscript: lowered characters for digits and signs, letters as they are."""
    return text.translate(_LOWERED) if _HAS_LOWERED.fullmatch(text) else text
