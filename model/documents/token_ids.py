"""A file of token ids: what a model reads whose tokenizer is not at hand, or needs code of its own.

The document's text is its ids with a space between, so every position has its place as in any other text.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

import numpy as np

from model.documents.document import MAX_BYTES, Document
from model.errors import UserError

MEDIA = "tokens"
"""The media of such a document."""
SEPARATORS = re.compile(r"[\s,\[\]]+")
NUMPY = b"\x93NUMPY"


def read_token_ids(path: str | Path) -> Document:
    """The file ``path`` as a document of token ids.

    Numbers with white space or commas between, a JSON list, or an array that numpy saved. UserError for anything else.
    """
    file = Path(path)
    try:
        if file.stat().st_size > MAX_BYTES:
            raise UserError("document.too_large", name=file.name, size=file.stat().st_size >> 20, limit=MAX_BYTES >> 20)
        data = file.read_bytes()
        ids = array_of(data) if data.startswith(NUMPY) else numbers_in(data)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError("document.unreadable_file", path=str(path), reason=reason) from error
    except (ValueError, OverflowError) as error:
        raise UserError("document.no_token_ids", name=file.name) from error
    text = " ".join(map(str, ids.tolist()))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Document(name=file.name, text=text, sha256=digest, encoding=None, media=MEDIA, size=len(data))


def array_of(data: bytes) -> np.ndarray:
    """The integers of an array that numpy saved; ValueError if there are none."""
    found: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    if found.dtype.kind not in "iu":
        raise ValueError("not integers")
    return checked(found.reshape(-1).astype(np.int64))


def numbers_in(data: bytes) -> np.ndarray:
    """The integers of a text; ValueError if there is anything else in it."""
    words = [word for word in SEPARATORS.split(data.decode("utf-8-sig")) if word]
    return checked(np.array([int(word) for word in words], np.int64))


def checked(ids: np.ndarray) -> np.ndarray:
    """``ids`` themselves; ValueError if one is negative, or there are none."""
    if not len(ids) or ids.min() < 0 or ids.max() > np.iinfo(np.int32).max:
        raise ValueError("no token ids")
    return ids


def token_ids_of(document: Document) -> tuple[np.ndarray, np.ndarray]:
    """The ids of a document of token ids, and where in its text each begins, both (n_tokens,) int32."""
    words = document.text.split(" ")
    lengths = np.array([len(word) + 1 for word in words])
    return np.array(words, np.int32), np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int32)
