"""What one person may use of a shared server. Without these variables nothing is limited, as on one's own machine.

MEMORY_EXPLORER_TOKENS       tokens of one reading
MEMORY_EXPLORER_QUEUE        jobs that wait or run at once
MEMORY_EXPLORER_MEGABYTES    recordings, documents and results that are kept
"""

from __future__ import annotations

import os
from pathlib import Path

from model.errors import UserError
from viz.app.bin import Bin

TOKENS, JOBS, MEGABYTES = "MEMORY_EXPLORER_TOKENS", "MEMORY_EXPLORER_QUEUE", "MEMORY_EXPLORER_MEGABYTES"


def limit(variable: str) -> int | None:
    """The number in ``variable``; None where there is none."""
    said = os.environ.get(variable, "")
    return int(said) if said.isascii() and said.isdecimal() else None


def check_tokens(tokens: int) -> None:
    """UserError if a document of so many ``tokens`` is too long for this server."""
    most = limit(TOKENS)
    if most is not None and tokens > most:
        raise UserError("app.limits.tokens", tokens=tokens, most=most)


def check_jobs(active: int) -> None:
    """UserError if who has ``active`` jobs may not start another one."""
    most = limit(JOBS)
    if most is not None and active >= most:
        raise UserError("app.limits.jobs", most=most)


def check_room(workspace: Path) -> None:
    """UserError if what lies in the folder ``workspace`` fills what one person may keep; its bin is emptied first."""
    most = limit(MEGABYTES)
    if most is not None and size_of(workspace) > most << 20:
        Bin(workspace).empty()
        if size_of(workspace) > most << 20:
            raise UserError("app.limits.megabytes", most=most)


def size_of(folder: Path) -> int:
    """Bytes of all files below ``folder``, those that vanish meanwhile left out."""
    found = 0
    for file in folder.rglob("*"):
        try:
            found += file.stat().st_size
        except OSError:
            continue
    return found
