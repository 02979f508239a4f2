"""A logo as part of a page: checked, and unable to run or to fetch anything.

PNG and JPEG are decoded and written anew, so that nothing but the picture is left of the file. SVG is refused if it
holds anything that runs, comes from elsewhere or unfolds; a browser moreover shows an image without scripts.
"""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

from lxml import etree
from PIL import Image

from model.errors import UserError

MAX_BYTES = 512 * 1024
MAX_SIDE = 4096
"""Pixels of the longer side."""
REFUSED = {"script", "foreignobject", "iframe", "object", "embed", "audio", "video", "handler", "set"}
"""Elements that an SVG logo does not need; names that begin with "animate" are refused, too."""
FOREIGN = re.compile(r"url\(\s*(?!['\"]?\s*#)|@import|expression\(|javascript:|\\", re.IGNORECASE)
"""In an attribute or a style: something from elsewhere, or a backslash that could hide it."""
PICTURE = re.compile(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=\s]+")


def data_uri(data: bytes, name: str) -> str:
    """The picture ``data``, the content of the file ``name``, as a data URI; UserError if it is none, or unsafe."""
    if len(data) > MAX_BYTES:
        raise UserError("report.logo_large", name=name, limit=MAX_BYTES // 1024, pixels=MAX_SIDE)
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        _check_svg(data, name)
        kind, content = "svg+xml", data
    else:
        kind, content = "png", _repainted(data, name)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def read_logo(path: Path) -> str:
    """The logo in the file ``path`` as a data URI; UserError if it cannot be used."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError("report.logo_large", name=path.name, limit=MAX_BYTES // 1024, pixels=MAX_SIDE)
        return data_uri(path.read_bytes(), path.name)
    except OSError as error:
        raise UserError("report.logo_unreadable", name=path.name) from error


def _repainted(data: bytes, name: str) -> bytes:
    """The pixels of a PNG or JPEG as a new PNG."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
            if max(picture.size) > MAX_SIDE:
                raise UserError("report.logo_large", name=name, limit=MAX_BYTES // 1024, pixels=MAX_SIDE)
            out = io.BytesIO()
            picture.convert("RGBA").save(out, "PNG", optimize=True)
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError("report.logo_unreadable", name=name) from error
    return out.getvalue()


def _check_svg(data: bytes, name: str) -> None:
    """Refuse what is no SVG, or more than a drawing."""
    unsafe = UserError("report.logo_unsafe", name=name)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise UserError("report.logo_unreadable", name=name) from error
    if _local(root.tag) != "svg":
        raise UserError("report.logo_unreadable", name=name)
    if root.getroottree().docinfo.internalDTD is not None:
        raise unsafe
    for element in root.iter():
        if not isinstance(element.tag, str):  # a comment is harmless; a processing instruction may name a style sheet
            if element.tag is etree.Comment:
                continue
            raise unsafe
        tag = _local(element.tag)
        if tag in REFUSED or tag.startswith("animate"):
            raise unsafe
        if tag == "style" and FOREIGN.search(element.text or ""):
            raise unsafe
        if any(not _harmless(_local(key), str(value)) for key, value in element.attrib.items()):
            raise unsafe
    if any(isinstance(node, etree._ProcessingInstruction) for node in root.itersiblings(preceding=True)):
        raise unsafe


def _harmless(key: str, value: str) -> bool:
    """Whether an attribute of a drawing neither runs nor fetches anything."""
    if key.startswith("on"):
        return False
    if key == "href":
        return value.startswith("#") or PICTURE.fullmatch(value.strip()) is not None
    return FOREIGN.search(value) is None


def _local(name: Any) -> str:
    return str(etree.QName(name).localname).lower()
