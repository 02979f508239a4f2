"""What a reader of documents left out, in a sentence for the user: the document is read all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.messages import message

MAX_NAMED = 12
"""Page numbers, or ranges of them, that a sentence names before it says "and others"."""


@dataclass(frozen=True)
class Notice:
    """A message of :mod:`model.messages` by its key, with the value of its placeholder."""

    key: str
    pages: str
    """Page numbers as a reader writes them: ``"2, 5-9"``."""

    @staticmethod
    def of_pages(key: str, numbers: Sequence[int]) -> Notice:
        """A notice about pages, counted from 1, in ascending order."""
        ranges: list[list[int]] = []
        for number in sorted(set(numbers)):
            if ranges and number == ranges[-1][1] + 1:
                ranges[-1][1] = number
            else:
                ranges.append([number, number])
        named = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
        return Notice(key, ", ".join(named[:MAX_NAMED]) + (" …" if len(named) > MAX_NAMED else ""))

    def sentence(self, language: str) -> str:
        """What was left out and what to do, in ``language`` (``"en"`` or ``"ja"``)."""
        return message(self.key, language, pages=self.pages)
