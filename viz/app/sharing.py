"""Recordings of one browser that a link opens for others, on a shared server.

A shared recording stays where it is. ``shared/<key>.<owner>`` in the data folder says that it may be opened by anyone
who has its link; no other list shows it, and only its owner can change it.
"""

from __future__ import annotations

import re
from pathlib import Path

from model.checkpoints.card import home
from viz.app.workspace import workspace, workspaces


def share(key: str, *, on: bool = True) -> None:
    """Let the link of this browser's recording ``key`` open it for others, or no longer."""
    mark = _folder() / f"{key}.{workspace().owner}"
    if on:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    else:
        mark.unlink(missing_ok=True)


def is_shared(key: str) -> bool:
    """Whether this browser shares its recording ``key``."""
    return (_folder() / f"{key}.{workspace().owner}").exists()


def shared_by_others(key: str) -> Path | None:
    """The recording ``key`` that its owner shares; None if it is not shared. The key may come from a link."""
    if not re.fullmatch(r"[0-9a-f]{12}", key):
        return None
    for mark in sorted(_folder().glob(f"{key}.*")):
        path = workspaces() / mark.suffix.removeprefix(".") / "recordings" / key
        if (path / "recording.json").exists():
            return path
    return None


def _folder() -> Path:
    return home() / "shared"
