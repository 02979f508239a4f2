"""What a person adds to a recording: tags, a note, and whether it is pinned as a baseline; ``notes.json`` beside it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from model.json_file import write_json

FILE = "notes.json"
MOST_TAGS, TAG_LENGTH, NOTE_LENGTH = 20, 40, 2_000


@dataclass(frozen=True, kw_only=True)
class Notes:
    """The content of ``notes.json``; a recording without the file has none."""

    tags: tuple[str, ...] = ()
    note: str = ""
    pinned: bool = False

    @staticmethod
    def read(path: Path) -> Notes:
        """The notes of the recording at ``path``; none if the file cannot be read."""
        try:
            values = json.loads((path / FILE).read_text("utf-8"))
            tags = tuple(tag for tag in values.get("tags", ()) if isinstance(tag, str))
            return Notes(tags=tags, note=str(values.get("note", "")), pinned=values.get("pinned") is True)
        except (OSError, ValueError, AttributeError, TypeError):
            return Notes()

    def write(self, path: Path) -> None:
        """Write ``notes.json`` whole, or remove it if there is nothing to say."""
        if self == Notes():
            (path / FILE).unlink(missing_ok=True)
        else:
            write_json(path / FILE, asdict(self))


def tags_of(text: str) -> tuple[str, ...]:
    """The tags that a person has typed, separated by commas; each once."""
    parts = (" ".join(part.split())[:TAG_LENGTH] for part in re.split(r"[,，、\n]", text))
    return tuple(dict.fromkeys(part for part in parts if part.isprintable() and part))[:MOST_TAGS]
