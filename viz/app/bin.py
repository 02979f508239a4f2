"""What was deleted and can be brought back: folders that were moved, as they were, into the bin of a workspace.

<workspace>/bin/<id>/item      the folder of a recording or of a document
<workspace>/bin/<id>/bin.json  what it is, what it was called and where it was

Moving within a workspace renames a folder: what comes back is the same to the last byte. The time of the folder <id> is
that of the deletion.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from model.disk import writing
from model.errors import UserError
from model.json_file import write_json

DAYS = 7
"""Days for which the bin keeps what was deleted."""
DAY = 86_400
FOLDER, ITEM, INFO = "bin", "item", "bin.json"
RECORDING, DOCUMENT = "recording", "document"


@dataclass(frozen=True)
class Deleted:
    """One thing in the bin: its ``kind``, its title, its place in the workspace, and when it was deleted (seconds)."""

    id: str
    kind: str
    title: str
    place: str
    when: float


class Bin:
    """The bin of the workspace ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.workspace, self.folder = folder, folder / FOLDER

    def take(self, path: Path, kind: str, title: str) -> str:
        """Move the folder ``path`` of the workspace into the bin; returns its name there."""
        name = f"{time.time_ns():x}-{secrets.token_hex(4)}"
        place = self.folder / name
        with writing(place):
            place.mkdir(parents=True)
            values = {"kind": kind, "title": title, "place": str(path.relative_to(self.workspace))}
            write_json(place / INFO, values)
            path.rename(place / ITEM)
        return name

    def listed(self) -> list[Deleted]:
        """What is in the bin, newest first."""
        found = []
        for file in self.folder.glob(f"*/{INFO}"):
            try:
                values = json.loads(file.read_text("utf-8"))
                if (file.parent / ITEM).is_dir():
                    found.append(Deleted(id=file.parent.name, when=file.parent.stat().st_mtime, **values))
            except (OSError, ValueError, TypeError):
                continue  # emptied since, or damaged
        return sorted(found, key=lambda deleted: deleted.when, reverse=True)

    def restore(self, name: str) -> Path:
        """Move ``name`` back to where it was; UserError if it is gone, or if its place is taken."""
        deleted = next((deleted for deleted in self.listed() if deleted.id == name), None)
        if deleted is None or not re.fullmatch(r"[0-9a-f]+-[0-9a-f]{8}", name):
            raise UserError("app.bin.gone")
        target = self.workspace / deleted.place
        if target.exists():
            raise UserError("app.bin.taken", title=deleted.title)
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name / ITEM).rename(target)
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return target

    def empty(self, *, older_than: float = 0.0, kind: str = "") -> None:
        """Delete for good what has been in the bin for ``older_than`` seconds or more; with a ``kind`` only that."""
        others = {deleted.id for deleted in self.listed() if kind and deleted.kind != kind}
        for place in self.folder.glob("*"):
            if place.name not in others and time.time() - place.stat().st_mtime >= older_than:
                shutil.rmtree(place, ignore_errors=True)
