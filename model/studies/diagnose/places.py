"""Where the recordings of a diagnosis are written, and where finished ones may be as well."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from model.errors import UserError
from model.recording.reader import META, Recording


@dataclass(frozen=True, kw_only=True)
class Places:
    """The folder ``out`` for new recordings, and others ``elsewhere``; ``keep_text`` also stores the text."""

    out: Path
    elsewhere: tuple[Path, ...] = ()
    keep_text: bool = False

    def find(self, key: str) -> Recording | None:
        """The finished recording ``key``; None if there is none."""
        for folder in (self.out, *self.elsewhere):
            try:
                found = Recording(folder / key) if (folder / key / META).exists() else None
            except UserError:  # damaged
                continue
            if found is not None and found.complete:
                return found
        return None
