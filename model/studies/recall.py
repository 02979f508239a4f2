"""Hidden facts and questions about them, as pieces of text around a key of digits.

Training mixes them into ordinary text, because plain text alone teaches no long memory; the passkey test queries
one at a distance. A template is split at ``{name}`` and ``{key}``, so that the digits are always tokens of their own.
"""

from __future__ import annotations

import string
from typing import NamedTuple


class RecallForm(NamedTuple):
    """The sentence with a fact, and the query for it. ``key`` in ``query`` is the answer, which a test leaves out."""

    needle: str
    query: str
    named: bool


NAMES = tuple(string.ascii_uppercase)

PAIR = RecallForm("[{name}={key}]", "[{name}?{key}]", named=True)
"""The shortest form: teaches most per token."""

PASSKEYS: dict[str, RecallForm] = {
    "en": RecallForm(
        needle="\nThe pass key is {key}. Remember it: {key} is the pass key.\n",
        query="\nWhat is the pass key? The pass key is {key}",
        named=False,
    ),
    "ja": RecallForm(
        needle="\n合言葉は{key}です。忘れないでください。{key}が合言葉です。\n",
        query="\n合言葉は何ですか。合言葉は{key}",
        named=False,
    ),
}
"""The sentence of the passkey test (Stuffed Mamba, arXiv 2410.07145, appendix B, in words of our own)."""
