"""The main text of a page without navigation, advertisements and footers, found by trafilatura."""

from __future__ import annotations

from model.errors import UserError

MAX_CHARACTERS = 4 * 2**20
"""Characters of a page: trafilatura compares blocks with one another, and a page of news has 200,000."""


def main_part(page: str, name: str) -> str | None:
    """The main part of a page as HTML, or None if nothing is recognised as such.

    Nothing is fetched: trafilatura works on the text that it is given.

    Raises:
        UserError: ``document.long_page``.
    """
    if len(page) > MAX_CHARACTERS:
        raise UserError("document.long_page", name=name, limit=MAX_CHARACTERS)
    import trafilatura

    try:
        found = trafilatura.extract(
            page, output_format="html", include_comments=False, include_tables=True, favor_recall=True
        )
    except Exception:  # it meets the tags of strangers; the whole page is still there
        return None
    return found or None
