"""The passkey page's work: a test to a job to results in the session's folder, and what is known before it runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from model.checkpoints.catalogue import load_tokenizer_of
from model.recording.catalogue import Query
from model.studies.passkey import PasskeyResult, PasskeyTask, Reader, doubling_lengths, measure
from model.studies.passkey.prompts import Prompts
from model.studies.passkey.result import Report
from viz.app import session
from viz.app.language import t
from viz.jobs.job import Job
from viz.jobs.measurements import tokens_left
from viz.jobs.passkeys import TEST, kept
from viz.jobs.progress import duration


def lengths(task: PasskeyTask, reader: Reader, longest: int) -> tuple[int, ...]:
    """The lengths to test: doublings around the training length with room for needle and query."""
    alone = replace(task, lengths=(1 << 20,), depths=(0.0,), trials=1, filler="newlines", document="")
    least = Prompts(alone, load_tokenizer_of(reader.model)).least
    return doubling_lengths(reader.train_length, longest, least)


def text_of(task: PasskeyTask) -> str | None:
    """The document of ``task``, "" if it has none; None if it is neither a sample nor an upload of this session."""
    if task.filler != "text":
        return ""
    document = session.document_of(task.document)
    return None if document is None else session.document(document).text


def listed(known: Sequence[PasskeyResult]) -> dict[str, PasskeyResult]:
    """The results that can be shown, by key: those that are not empty, each once, the fullest of it."""
    found: dict[str, PasskeyResult] = {}
    for result in known:
        if result.cells and (result.key not in found or len(result.cells) > len(found[result.key].cells)):
            found[result.key] = result
    return found


def can_be_kept(file: Path) -> bool:
    """Whether the result in ``file`` is of this workspace alone."""
    return file.parent == TEST.folder != kept()


def keep(key: str) -> None:
    """Move a result of this workspace to where everyone sees it."""
    kept().mkdir(parents=True, exist_ok=True)
    shutil.move(TEST.folder / f"{key}.json", kept() / f"{key}.json")


def task_to_show(task: PasskeyTask, wanted: Sequence[Reader], known: Sequence[PasskeyResult]) -> PasskeyTask:
    """``task`` if anything of it was run, else the task of the nearest result."""

    def nearness(result: PasskeyResult) -> tuple[bool, ...]:
        same = result.task.question == task.question, result.task.language == task.language
        return result.task == task, result.reader == wanted[-1], *same

    usable = [result for result in known if result.reader in wanted and result.cells]
    return max(usable, key=nearness).task if usable else task


def start(begun: Sequence[PasskeyResult], text: str, source: Path | None) -> Job:
    """Queue what ``begun`` lacks; ``text`` is the document of the test, ``source`` that of a carried state."""
    run = partial(measure_on, text)
    return TEST.start(begun, run, source=source, title=t("passkey.running"), note="passkey.reading")


def measure_on(
    text: str, result: PasskeyResult, source: Path | None, report: Report, stop: Callable[[], bool]
) -> PasskeyResult:
    """Run what ``result`` lacks on the document ``text``."""
    return measure(result, text=text, source=source, report=report, stop=stop)


def estimate(begun: Sequence[PasskeyResult], known: Sequence[PasskeyResult]) -> str:
    """How much there is to read and how long that takes, with where the speed is known from."""
    tokens = tokens_left(begun)
    if tokens == 0:
        return t("passkey.estimate_nothing")
    model = begun[0].reader.model
    speeds = {
        "passkey.estimate": TEST.speed(model, known, here=True),
        "passkey.estimate_recording": _recorded_speed(model),
        "passkey.estimate_elsewhere": TEST.speed(model, known, here=False),
    }
    for key, speed in speeds.items():
        if speed:
            return t(key, tokens=tokens, time=duration(tokens / speed))
    return t("passkey.estimate_unknown", tokens=tokens)


def _recorded_speed(model: str) -> float | None:
    """Tokens per second of the newest recording with ``model`` that was made on this machine."""
    newest = session.entries(Query(model=model, finished=True, limit=8))
    here = next((entry for library, entry in newest if library.name != "shipped"), None)
    return None if here is None else session.opened(here.path).summary.get("tokens_per_second")
