"""PDF to text: the text of every page as a reader sees it, without running headers and footers.

pdfium reads the pages in a child process (:mod:`model.documents.pdf_pages`), which has its own limits of memory and
time. A page that crashes it or takes too long is skipped and named; the child is started again after it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from model.documents.pdf_pages.lines import Line
from model.documents.pdf_pages.running import without_running_lines
from model.documents.pieces import Builder, Extract, too_many_characters
from model.errors import UserError

MAX_PAGES = 5_000
MAX_MEMORY = 2**30
"""Bytes of address space of the child: code and a large upload take a third of it."""
MAX_SECONDS = 300.0
"""Time for all pages together: a hostile file can have thousands of pages that are each just within the limits."""
PAGE_SECONDS = 20
"""Time for one page; a page of a drawing with 100,000 lines takes two."""
MAX_NAMED = 12
"""Page numbers, or ranges of them, that a sentence names before it says that there are more."""
MAX_RESTARTS = 8
"""Pages that may crash the child before the file is refused."""

_ROOT = Path(__file__).parents[2]
_BYTES = 8  # of JSON for a character of text: 6 for one that is escaped, and its part of what is said of its line
_SLACK = 2**24  # bytes of JSON, or characters of running lines, that are always allowed


@dataclass
class _Pages:
    """What the child has answered so far."""

    total: int = 0
    lines: dict[int, list[Line]] = field(default_factory=dict)
    characters: int = 0
    pictures: list[int] = field(default_factory=list)
    noise: list[int] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)
    crashed: bool = False
    begun: int | None = None


def read_pdf(data: bytes, name: str, limit: int) -> Extract:
    """All pages that have text, separated by blank lines, and what of the file is not in it.

    A file that only forbids printing or editing (it opens without a password) is read.

    Raises:
        UserError: ``document.encrypted_pdf``, ``document.broken_pdf``, ``document.pdf_bomb``, ``document.slow_pdf``,
            ``document.too_many_pages``, ``document.scanned``, ``document.noise_pdf`` or
            ``document.too_many_characters``.
    """
    if b"obj" not in data:  # not one object: no process needs to be started for it
        raise UserError("document.broken_pdf", name=name)
    pages = _read(data, name, limit)
    if not pages.total or len(pages.damaged) == pages.total:
        raise UserError("document.pdf_bomb" if pages.crashed else "document.broken_pdf", name=name)
    texts = sum(map(bool, pages.lines.values()))
    if pages.noise and len(pages.noise) >= texts:
        raise UserError("document.noise_pdf", name=name)
    if not texts:
        raise UserError("document.scanned", name=name, pages=pages.total)
    kept = without_running_lines([pages.lines.get(page, []) for page in range(pages.total)])
    out = Builder(name, limit)
    for number, lines in enumerate(kept, start=1):
        text = "\n".join(line.text.rstrip() for line in lines).strip()
        if text:
            out.add("\n\n" if out.length else "")
            out.add(text, ("page", number))
    kinds = (("pdf_pictures", pages.pictures), ("pdf_noise", pages.noise), ("pdf_damaged", pages.damaged))
    for key, numbers in kinds:
        if numbers:
            out.omit(f"document.{key}", pages=in_words([page + 1 for page in numbers]))
    return out.done()


def in_words(numbers: Sequence[int]) -> str:
    """Page numbers as a reader writes them: ``"2, 5-9"``, and no more than MAX_NAMED of these."""
    ranges: list[list[int]] = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    named = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    return ", ".join(named[:MAX_NAMED]) + (" …" if len(named) > MAX_NAMED else "")


def _read(data: bytes, name: str, limit: int) -> _Pages:
    """Run the child until it has come to the last page, past pages that end it."""
    deadline = time.monotonic() + MAX_SECONDS
    slow = UserError("document.slow_pdf", name=name, minutes=f"{MAX_SECONDS / 60:g}")
    pages = _Pages()
    first = 0
    with TemporaryFile() as source:
        source.write(data)
        for _ in range(MAX_RESTARTS + 1):
            source.seek(0)
            with TemporaryFile() as answers:
                code = _run(source, answers, first, _BYTES * limit + _SLACK, deadline, slow)
                _take(answers, pages, name, limit)
            if code == 0:
                return pages
            if pages.begun is None or pages.begun < first:  # the child ended before its first page
                raise UserError("document.broken_pdf", name=name)
            pages.damaged.append(pages.begun)
            pages.crashed = True
            first = pages.begun + 1
            if first >= pages.total:
                return pages
    raise UserError("document.pdf_bomb", name=name)


def _run(source: IO[bytes], answers: IO[bytes], first: int, output: int, deadline: float, slow: UserError) -> int:
    """Start the child at page ``first`` and wait for it; its exit status, negative for a signal."""
    arguments = [MAX_MEMORY, PAGE_SECONDS, MAX_PAGES, output, first]
    command = [sys.executable, "-P", "-m", "model.documents.pdf_pages", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    left = deadline - time.monotonic()
    if left <= 0:
        raise slow
    child = subprocess.Popen(command, stdin=source, stdout=answers, stderr=subprocess.DEVNULL, env=environment)
    try:
        return child.wait(left)
    except subprocess.TimeoutExpired as error:
        raise slow from error
    finally:
        child.kill()
        child.wait()


def _take(answers: IO[bytes], pages: _Pages, name: str, limit: int) -> None:
    """Add what the child has answered to ``pages``; a last line that a crash cut is left out."""
    answers.seek(0)
    for line in answers:
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if message.get("error") == "long" or pages.characters > limit + _SLACK:
            raise too_many_characters(name, limit)
        if "error" in message:
            raise UserError(_ERRORS[message["error"]], name=name)
        if "pages" in message:
            pages.total = message["pages"]
            if pages.total > MAX_PAGES:
                raise UserError("document.too_many_pages", name=name, pages=pages.total, limit=MAX_PAGES)
        elif "begin" in message:
            pages.begun = message["begin"]
        else:
            _take_page(message, pages)


def _take_page(message: dict[str, Any], pages: _Pages) -> None:
    page = message["page"]
    for key, numbers in (("damaged", pages.damaged), ("picture", pages.pictures), ("noise", pages.noise)):
        if message.get(key):
            numbers.append(page)
    pages.lines[page] = [Line(text, top) for text, top in message.get("lines", ())]
    pages.characters += sum(len(line.text) for line in pages.lines[page])


_ERRORS = {"encrypted": "document.encrypted_pdf", "broken": "document.broken_pdf", "memory": "document.pdf_bomb"}
