"""News feeds (RSS, Atom) to text: of every entry its title, its date and what it says."""

from __future__ import annotations

from lxml import etree

from model.documents import xml_trees
from model.documents.pieces import Builder, Extract, joined
from model.documents.webpage import read_webpage
from model.errors import UserError

_DATES = ("pubDate", "date", "published", "updated")
_BODIES = ("encoded", "content", "description", "summary")


def read_feed(text: str, name: str, limit: int) -> Extract:
    """The title of the feed and its entries, with an empty line between two; what is no XML is kept as it is.

    Raises:
        UserError: ``document.too_many_characters``.
    """
    try:
        # The text is decoded already: what the declaration says about bytes does not hold for it.
        start = text.find("?>") + 2 if text.lstrip().startswith("<?xml") else 0
        root = xml_trees.parsed(text[start:].encode("utf-8"), name)
    except UserError:
        return Extract(text=str(joined([text], "", name, limit)))
    out = Builder(name, limit)
    channel = root.find("{*}channel") if root.find("{*}channel") is not None else root
    if title := _child(channel, "title"):
        out.add(f"{title}\n")
    entries = (node for node in root.iter("{*}item", "{*}entry"))
    for number, entry in enumerate(entries, start=1):
        out.add("\n" if out.length else "", ("entry", number))
        first = next((date for name in _DATES if (date := _child(entry, name))), "")
        body = next((body for name in _BODIES if (body := _child(entry, name))), "")
        for line in (_child(entry, "title"), first, read_webpage(body, name, limit) if "<" in body else body):
            if line:
                out.add(f"{line}\n")
    return out.done()


def _child(node: etree._Element, name: str) -> str:
    """The text of the first child of that name, in whatever namespace."""
    child = node.find(f"{{*}}{name}")
    return "".join(child.itertext()).strip() if child is not None else ""
