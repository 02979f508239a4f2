"""Uploaded documents on disk: the file as it came, the text that was read from it, and how it was read.

<key>/document.json   name, hash, encoding, media, size
<key>/original        the bytes as they were uploaded: another encoding can still be chosen
<key>/text.txt        the text
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from model.documents.document import Document
from model.documents.encodings import Guess
from model.documents.pieces import Omission, Place, Step
from model.errors import UserError
from model.json_file import write_json

FILES = INFO, ORIGINAL, TEXT = "document.json", "original", "text.txt"


@dataclass(frozen=True)
class Upload:
    """An uploaded file, read with the ``encoding`` that was chosen; None if it was detected.

    ``main_text_only``: of a web page, navigation and footers were left out.
    """

    data: bytes
    document: Document
    encoding: str | None = None
    main_text_only: bool = False

    @property
    def key(self) -> str:
        """What a link calls it: the name of a file may be confidential."""
        return self.document.sha256[:8]


class Listed(NamedTuple):
    """A document as a list shows it, its text unread."""

    name: str
    sha256: str


class Shelf:
    """The uploaded documents in ``folder``; with ``most`` of them, one more replaces the oldest."""

    def __init__(self, folder: Path, most: int | None = None) -> None:
        self.folder, self.most = folder, most

    def listed(self) -> dict[str, Listed]:
        """The documents by their keys, oldest first."""
        found = []
        for file in self.folder.glob(f"[0-9a-f]*/{INFO}"):
            try:
                values = json.loads(file.read_text("utf-8"))
                found.append((file.stat().st_mtime_ns, file.parent.name, Listed(values["name"], values["sha256"])))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # deleted since, or not one of ours
        return {key: listed for _, key, listed in sorted(found)}

    def put(self, upload: Upload) -> None:
        """Store ``upload`` whole or not at all, in place of one with the same text or name."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self.folder) as temporary:
                path = Path(temporary) / upload.key
                path.mkdir()
                (path / ORIGINAL).write_bytes(upload.data)
                (path / TEXT).write_bytes(upload.document.text.encode("utf-8"))
                values = {name: value for name, value in asdict(upload.document).items() if name != "text"}
                values |= {"chosen_encoding": upload.encoding, "main_text_only": upload.main_text_only}
                write_json(path / INFO, values)
                self.remove(upload.document.name)
                shutil.rmtree(self.folder / upload.key, ignore_errors=True)
                path.rename(self.folder / upload.key)
        except OSError as error:
            raise UserError("document.cannot_store", folder=str(self.folder)) from error
        if self.most is not None:
            for key in list(self.listed())[: -self.most]:
                shutil.rmtree(self.folder / key, ignore_errors=True)

    def get(self, key: str) -> Upload | None:
        """The document ``key``; None if it is not there. The key may come from a link."""
        if not re.fullmatch(r"[0-9a-f]{8}", key):
            return None
        path = self.folder / key
        try:
            values = json.loads((path / INFO).read_text("utf-8"))
            chosen, main = values.pop("chosen_encoding", None), bool(values.pop("main_text_only", False))
            document = _document((path / TEXT).read_bytes().decode("utf-8"), values)
            return Upload((path / ORIGINAL).read_bytes(), document, chosen, main)
        except (OSError, ValueError, TypeError, KeyError, IndexError):
            return None

    def remove(self, name: str | None) -> None:
        """Delete the document whose file had that name, if there is one."""
        for key, listed in self.listed().items():
            if listed.name == name:
                shutil.rmtree(self.folder / key, ignore_errors=True)


def _document(text: str, values: dict[str, Any]) -> Document:
    """The document whose other fields are ``values``, as JSON has them."""
    places = tuple(Place(place[0], _steps(place[1]), place[2], place[3]) for place in values.pop("places", ()))
    omissions = tuple(
        Omission(_steps(found["steps"]), found["key"], found["values"]) for found in values.pop("omissions", ())
    )
    guess = values.pop("guess", None)
    found = None if guess is None else Guess(tuple(guess["alternatives"]), guess["doubtful"])
    return Document(text=text, places=places, omissions=omissions, guess=found, **values)


def _steps(values: list[list[Any]]) -> tuple[Step, ...]:
    return tuple((kind, value) for kind, value in values)
