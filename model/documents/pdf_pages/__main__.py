"""The child process: ``python -m model.documents.pdf_pages`` reads a PDF from standard input.

pdfium is C++ and meets the bytes of strangers here, so it runs without the memory of the parent, with limits on
memory and time, and a crash ends this process alone. Standard output gets one JSON object on each line::

    {"pages": 3}                                       or {"error": "encrypted" | "broken" | "memory" | "long"}
    {"begin": 0}                                       before each page, so that a crash can be matched with its page
    {"page": 0, "lines": [["text", 0.08]], "picture": false, "noise": false}    or {"page": 0, "damaged": true}

The arguments are the bytes of memory, the seconds for one page, the most pages, the most bytes of output, and the
page to begin with.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from contextlib import suppress
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from model.documents.pdf_pages.page import Page, UnreadablePageError, read_page


def main() -> None:
    """Read the document that standard input holds."""
    memory, seconds, most, output, first = (int(argument) for argument in sys.argv[1:6])
    _limit(memory)
    try:
        data = sys.stdin.buffer.read()
        _alarm(seconds)
        document = _opened(data)
        pages = len(document)
    except pypdfium2.PdfiumError as error:
        _say({"error": "encrypted" if error.err_code in _LOCKED else "broken"})
        return
    except MemoryError:
        _say({"error": "memory"})
        return
    _say({"pages": pages})
    # A layer is named in the catalogue, which may be inside a compressed object stream.
    has_layers = b"/OCProperties" in data or b"/ObjStm" in data
    for index in range(first, min(pages, most)):
        if sys.stdout.tell() > output:
            _say({"error": "long"})
            return
        _say({"begin": index})
        _alarm(seconds)
        try:
            _say(_as_json(index, read_page(document.raw, index, has_layers)))
        except UnreadablePageError:
            _say({"page": index, "damaged": True})
        except MemoryError:
            _say({"error": "memory"})
            return


_LOCKED = (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY)
_CATALOGUE = re.compile(
    rb"([0-9]{1,9})[ \t]+([0-9]{1,5})[ \t]+obj\s*<<(?:(?!endobj).){0,2000}?/Type\s*/Catalog\b", re.DOTALL
)


def _opened(data: bytes) -> pypdfium2.PdfDocument:
    """The document; one whose end is cut off is given a trailer, without which pdfium cannot find its catalogue."""
    try:
        return pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        found = _CATALOGUE.search(data) if error.err_code not in _LOCKED else None
        if found is None:
            raise
        trailer = b"\nendobj\ntrailer <</Root %s %s R>>\nstartxref\n0\n%%%%EOF" % found.groups()
        return pypdfium2.PdfDocument(data + trailer)


def _as_json(index: int, page: Page) -> dict[str, Any]:
    lines = [[line.text, round(line.top, 4)] for line in page.lines]
    return {"page": index, "lines": lines, "picture": page.is_picture, "noise": page.is_noise}


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _limit(memory: int) -> None:
    """Limit the memory of this process to ``memory`` bytes, and let a crash leave no core file."""
    try:
        import resource
    except ImportError:  # Windows: the limit of time is all there is
        return
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        with suppress(ValueError, OSError):  # macOS refuses a limit of the address space
            resource.setrlimit(kind, (most, most))


def _alarm(seconds: int) -> None:
    """End this process unless the next alarm is set in time; nothing in Python could interrupt C++."""
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)


if __name__ == "__main__":
    main()
