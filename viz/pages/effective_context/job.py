"""The work of the page: the task, a job that measures it, and results in the session's folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

from model.checkpoints.catalogue import tokens_of
from model.studies.effective_context import EffectiveContextResult, EffectiveContextTask, kept_lengths, measure
from model.studies.effective_context.run import Report
from model.studies.passkey import Reader
from viz.app.language import t
from viz.jobs.job import Job
from viz.jobs.measurements import Measurement, tokens_left
from viz.jobs.progress import duration

CONTEXT = Measurement("effective_context", EffectiveContextResult, attrgetter("distances"))
"""The measurement: its results, and the job that runs it."""


def task_of(document: str, train_length: int, multiple: int, ends: int) -> EffectiveContextTask:
    """The task that the controls describe: spans of ``multiple`` training lengths of the document with that hash."""
    length = multiple * train_length
    return EffectiveContextTask(document=document, length=length, lengths=kept_lengths(length, train_length), ends=ends)


def task_to_show(
    task: EffectiveContextTask, wanted: Sequence[Reader], known: Sequence[EffectiveContextResult]
) -> EffectiveContextTask:
    """``task`` if anything of it was run, else another of the same document that was run with the same readers."""
    usable = [
        result
        for result in known
        if result.reader in wanted and result.distances and result.task.document == task.document
    ]
    return max(usable, key=lambda result: (result.task == task, result.reader == wanted[-1])).task if usable else task


def start(begun: Sequence[EffectiveContextResult], text: str, source: Path | None) -> Job:
    """Queue what ``begun`` lacks of the document ``text``; ``source`` is the recording of a carried state."""
    title, note = t("effective_context.running"), "effective_context.reading"
    return CONTEXT.start(begun, partial(measure_on, text), source=source, title=title, note=note)


def measure_on(
    text: str, result: EffectiveContextResult, source: Path | None, report: Report, stop: Callable[[], bool]
) -> EffectiveContextResult:
    """Run what ``result`` lacks of the document ``text``."""
    tokens, _ = tokens_of(result.reader.model, text)
    return measure(result, tokens, source=source, report=report, stop=stop)


def estimate(begun: Sequence[EffectiveContextResult], known: Sequence[EffectiveContextResult]) -> str:
    """How much there is to read, and how long that takes once a measurement of this session has given the speed."""
    tokens = tokens_left(begun)
    if tokens == 0:
        return t("effective_context.estimate_nothing")
    speed = CONTEXT.speed(begun[0].reader.model, known, here=True)
    if not speed:
        return t("effective_context.estimate_unknown", tokens=tokens)
    return t("effective_context.estimate", tokens=tokens, time=duration(tokens / speed))
