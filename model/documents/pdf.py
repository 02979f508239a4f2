"""PDF to text: the text layer of every page, with limits on everything that a hostile file can inflate."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from io import BytesIO

from pypdf import PageObject, PasswordType, PdfReader, apply_configuration
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError

from model.documents.pieces import joined
from model.errors import UserError

MAX_PAGES = 5_000
MAX_STREAM = 32 * 2**20
"""Bytes that one stream may inflate to; the text of a page takes a few kilobytes, its pictures are not read."""
MAX_SECONDS = 180.0
"""Time for all pages together: a hostile file can have thousands of pages that are each just within the limits."""


def read_pdf(data: bytes, name: str, limit: int) -> str:
    """The text of all pages, separated by blank lines.

    A file that only forbids printing or editing (it opens without a password) is read.

    Raises:
        UserError: ``document.encrypted_pdf``, ``document.broken_pdf``, ``document.broken_pdf_page``,
            ``document.pdf_bomb``, ``document.slow_pdf``, ``document.too_many_pages``, ``document.scanned`` or
            ``document.too_many_characters``.
    """
    # pypdf reports each oddity of a file as a warning; the user cannot do anything about them.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    with apply_configuration(
        zlib_maximum_output_length=MAX_STREAM,
        lzw_maximum_output_length=MAX_STREAM,
        run_length_maximum_output_length=MAX_STREAM,
        array_based_stream_maximum_output_length=MAX_STREAM,
        stream_decoding_work_maximum_length=4 * MAX_STREAM,
    ):
        pages = _pages(data, name)
        text = joined(_texts(pages, name), "\n\n", name, limit)
    if not text.strip():
        raise UserError("document.scanned", name=name, pages=len(pages))
    return text


def _pages(data: bytes, name: str) -> list[PageObject]:
    try:
        reader = PdfReader(BytesIO(data))
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise UserError("document.encrypted_pdf", name=name)
        pages = list(reader.pages)
    except (DependencyError, FileNotDecryptedError) as error:  # DependencyError: a cipher that is not installed
        raise UserError("document.encrypted_pdf", name=name) from error
    except (LimitReachedError, MemoryError) as error:
        raise UserError("document.pdf_bomb", name=name) from error
    except UserError:
        raise
    except Exception as error:  # "broken PDF files might cause other Exceptions" (pypdf.errors), RecursionError too
        raise UserError("document.broken_pdf", name=name) from error
    if not pages:
        raise UserError("document.broken_pdf", name=name)
    if len(pages) > MAX_PAGES:
        raise UserError("document.too_many_pages", name=name, pages=len(pages), limit=MAX_PAGES)
    return pages


def _texts(pages: list[PageObject], name: str) -> Iterator[str]:
    deadline = time.monotonic() + MAX_SECONDS

    def check_time(*_: object) -> None:
        if time.monotonic() > deadline:
            raise UserError("document.slow_pdf", name=name, minutes=f"{MAX_SECONDS / 60:g}")

    for number, page in enumerate(pages, start=1):
        check_time()
        try:
            yield page.extract_text(visitor_operand_before=check_time).strip()
        except UserError:
            raise
        except (LimitReachedError, MemoryError) as error:
            raise UserError("document.pdf_bomb", name=name) from error
        except Exception as error:  # as above: the parser meets the bytes of a page only now
            raise UserError("document.broken_pdf_page", name=name, page=number) from error
