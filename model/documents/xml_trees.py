"""XML of an upload as a tree: entities are not expanded, nothing is fetched, and size is bounded."""

from __future__ import annotations

from zipfile import ZipFile

from lxml import etree

from model.documents import zips
from model.errors import UserError


def member(archive: ZipFile, path: str, name: str) -> etree._Element:
    """The root of one XML member of an archive from :func:`.zips.opened`.

    Raises:
        UserError: ``document.broken_file`` or ``document.archive_bomb``.
    """
    try:
        data = archive.read(path)
    except zips.DAMAGE as error:
        raise UserError("document.broken_file", name=name) from error
    if len(data) > zips.MAX_XML:
        raise zips.bomb(name)
    return parsed(data, name)


def parsed(data: bytes, name: str) -> etree._Element:
    """The root of an XML document; entities are not expanded, nothing is fetched.

    Raises:
        UserError: ``document.broken_file``.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise UserError("document.broken_file", name=name) from error
