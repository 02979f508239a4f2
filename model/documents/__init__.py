"""What an upload may be, one file per kind; :mod:`.document` chooses among them and is what others import.

Importing this package imports nothing else: the process that parses PDFs starts quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["Document", "read_document", "read_path"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("model.documents.document"), name)
