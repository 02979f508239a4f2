"""What measurements with stored results share: which results are at hand, what is left to do, and doing it in a job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from model.errors import UserError
from viz.jobs.registry import Job

Result = TypeVar("Result")


def stored(own: Path, shipped: Path, load: Callable[[Path], Result], kept: Path | None = None) -> list[Result]:
    """The results in ``own``, newest first, in ``kept`` likewise, then in ``shipped``; a foreign file is none."""
    written = [own, *([] if kept is None else [kept])]
    newest_first = [file for folder in written for file in sorted(folder.glob("*.json"), key=_age)]
    found = []
    for file in (*newest_first, *sorted(shipped.glob("*.json"))):
        try:
            found.append(load(file))
        except UserError:
            continue
    return found


def _age(file: Path) -> int:
    return -file.stat().st_mtime_ns


def tokens_left(begun: Sequence[Any]) -> int:
    """Tokens that the results in ``begun`` lack."""
    return sum(result.task.tokens - result.tokens for result in begun)


def run_all(
    job: Job,
    begun: Sequence[Any],
    home: Path,
    note: str,
    parts: Callable[[Any], int],
    measure: Callable[[Any, Callable[[Any, int], None]], object],
) -> None:
    """Run what each of ``begun`` lacks by ``measure(result, report)``, one after the other.

    A result is on disk in ``home`` whenever the number of its finished ``parts`` has changed. ``note`` is the message
    of the progress.
    """
    total, before = tokens_left(begun), 0
    for result in begun:
        path, finished, first = home / f"{result.key}.json", parts(result), result.tokens

        def report(partial: Any, done: int, *, path: Path = path, offset: int = before - first) -> None:
            nonlocal finished
            if parts(partial) != finished:
                finished = parts(partial)
                partial.save(path)
            job.progress(offset + done, total, note)

        measure(result, report)
        if job.stopped():
            return
        before += result.task.tokens - first
