"""A logo: a picture of three kinds becomes part of the page, and anything else is refused in a sentence."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from model.errors import UserError
from viz.report.logo import MAX_BYTES, data_uri, read_logo

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="url(#a)"/>%s</svg>'
)


def picture(kind: str, size: tuple[int, int] = (8, 6)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "navy").save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_pictures_are_painted_anew(kind: str) -> None:
    uri = data_uri(picture(kind) + b"<script>alert(1)</script>", "logo")
    head, _, content = uri.partition(",")
    assert head == "data:image/png;base64"
    data = base64.b64decode(content)
    assert Image.open(io.BytesIO(data)).size == (8, 6) and b"script" not in data


def test_a_drawing_is_taken_as_it_is() -> None:
    assert data_uri(
        SVG % b"<!-- a comment --><style>.a { fill: url('#a') }</style><use href='#a'/>", "logo.svg"
    ).startswith("data:image/svg+xml;base64,")


@pytest.mark.parametrize(
    "inside",
    [
        b"<script>alert(1)</script>",
        b"<g onload='alert(1)'/>",
        b"<image href='https://example.com/a.png'/>",
        b"<image xmlns:x='http://www.w3.org/1999/xlink' x:href='file:///etc/passwd'/>",
        b"<a href='javascript:alert(1)'/>",
        b"<style>@import 'https://example.com'</style>",
        b"<rect style=\"fill:url('https://example.com/a')\"/>",
        b"<foreignObject/>",
        b"<set attributeName='href' to='javascript:alert(1)'/>",
        b"<?xml-stylesheet href='https://example.com/a.css'?>",
    ],
)
def test_a_drawing_that_runs_or_fetches_is_refused(inside: bytes) -> None:
    with pytest.raises(UserError, match=r"“logo\.svg” holds scripts"):
        data_uri(SVG % inside, "logo.svg")


def test_a_drawing_with_entities_is_refused() -> None:
    bomb = b'<!DOCTYPE svg [<!ENTITY a "aaaa">]>' + SVG % b"<text>&a;</text>"
    with pytest.raises(UserError, match="holds scripts"):
        data_uri(bomb, "logo.svg")


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg", b"<html></html>", picture("PNG")[:40], picture("GIF")])
def test_what_is_no_logo_gives_a_sentence(data: bytes) -> None:
    with pytest.raises(UserError, match="“logo” cannot be read; choose a PNG, JPEG or SVG"):
        data_uri(data, "logo")


def test_a_large_logo_gives_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "logo.png"
    file.write_bytes(b"\x89PNG" + bytes(MAX_BYTES))
    with pytest.raises(UserError, match="larger than 512 KB or 4,096 pixels"):
        read_logo(file)
    with pytest.raises(UserError, match="larger than"):
        data_uri(picture("PNG", (4097, 2)), "wide.png")
    with pytest.raises(UserError, match="cannot be read"):
        read_logo(tmp_path / "missing.png")
