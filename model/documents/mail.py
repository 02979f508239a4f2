"""Mail (.eml, .mbox, pages saved as .mht) to text: the header as it is shown, the body, the names of attachments."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import EmailPolicy
from itertools import islice
from typing import Any

from model.documents.encodings import decode
from model.documents.pieces import Builder, Extract
from model.documents.webpage import declared_encoding, read_webpage
from model.errors import UserError

MAX_MESSAGES = 20_000
MAX_PARTS = 500
"""Parts of one message; also the deepest nesting that the parser is given."""

MAX_SECONDS = 180.0
"""Time for all messages together."""
MAX_HEADER = 4_000
"""Characters of one header, such as a list of a hundred recipients."""

_SHOWN = ("From", "To", "Cc", "Subject", "Date")
_NEXT_MESSAGE = re.compile(rb"(?m)^From [^\n]*\d{4}\r?\n(?=[A-Za-z][A-Za-z0-9-]*:)")
_BOUNDARY = re.compile(rb"(?i)boundary=")


class _ShortHeaders(EmailPolicy):
    """The parser of the standard library takes quadratic time and more for long headers, so it gets their beginning."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        return super().header_fetch_parse(name, value[:MAX_HEADER])


_POLICY = _ShortHeaders()


def read_mail(data: bytes, name: str, limit: int) -> Extract:
    """Every message with an empty line after its header, and an empty line between two messages.

    Raises:
        UserError: ``document.broken_file``, ``document.too_many_messages``, ``document.slow_file`` or
            ``document.too_many_characters``.
    """
    out = Builder(name, limit)
    deadline = time.monotonic() + MAX_SECONDS
    for number, source in enumerate(_messages(data), start=1):
        if number > MAX_MESSAGES:
            raise UserError("document.too_many_messages", name=name, limit=MAX_MESSAGES)
        if time.monotonic() > deadline:
            raise UserError("document.slow_file", name=name, minutes=f"{MAX_SECONDS / 60:g}")
        if len(_BOUNDARY.findall(source)) > MAX_PARTS:
            raise UserError("document.broken_file", name=name)
        out.add("\n" if out.length else "", ("message", number))
        try:
            message = BytesParser(EmailMessage, policy=_POLICY).parsebytes(source)
            assert isinstance(message, EmailMessage)
            _one(message, ("message", number), out, limit)
        except UserError:
            raise
        except Exception as error:  # the parser of the standard library lets many kinds through on damaged headers
            raise UserError("document.broken_file", name=name) from error
    return out.done()


def _messages(data: bytes) -> Iterator[bytes]:
    """The messages of a mailbox, or the one that the file is."""
    if not data.startswith(b"From "):
        yield data
        return
    starts = [match.start() for match in _NEXT_MESSAGE.finditer(data)] or [0]
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        body = data[start:end].split(b"\n", 1)
        yield re.sub(rb"(?m)^>(>*From )", rb"\1", body[1] if len(body) > 1 else b"")


def _one(message: EmailMessage, place: tuple[str, int], out: Builder, limit: int) -> None:
    for header in _SHOWN:
        if value := message.get(header):
            out.add(f"{header}: {' '.join(str(value).split())}\n")
    out.add("\n")
    body = message.get_body(preferencelist=("plain", "html"))
    if body is not None:
        text = _content(body)  # type: ignore[arg-type]
        html = body.get_content_subtype() == "html"
        out.add((read_webpage(text, out.name, limit) if html else text).rstrip() + "\n")
    for part in islice(message.iter_attachments(), MAX_PARTS):
        if part.get_content_disposition() == "inline" and part.get_content_maintype() == "image":
            continue
        file = " ".join((part.get_filename() or part.get_content_type()).split())
        out.add(f"Attachment: {file}\n")
        out.omit("omitted.attachment", place, file=file)


def _content(part: EmailMessage) -> str:
    """The text of a part, in the encoding that it names, or a guess where that is wrong."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes) or not data:
        return ""
    declared = part.get_content_charset() or declared_encoding(data)
    return decode(data, part.get_filename() or "?", None, declared)[0]
