"""The remembrance page's work: what is asked, a job that measures it, and results in the session's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from model.checkpoints.catalogue import load_tokenizer_of
from model.errors import UserError
from model.studies.effective_context import RemembranceResult, RemembranceTask, kept_lengths, measure
from model.studies.effective_context.run import Report
from model.studies.passkey import Reader, reader_of
from model.tokenizer import encode
from viz.app import session
from viz.app.choices import Choices
from viz.app.language import t
from viz.jobs import measurements
from viz.jobs import registry as jobs
from viz.jobs.progress import duration

KIND = "remembrance"
SHIPPED = Path(__file__).parents[3] / "sample_data" / "remembrance"
_ERROR = session.STATE_PREFIX + "remembrance_error"
_TASK = session.STATE_PREFIX + "remembrance_task"


def folder() -> Path:
    """Where the results of this session lie."""
    return session.workspace().folder / "remembrance"


def readers(chosen: Choices, other: str | None) -> tuple[Reader, ...]:
    """The plain model, what the sidebar has chosen if that differs, and, plain too, the model ``other``."""
    reader = reader_of(
        chosen.model,
        initial_state=chosen.strategy.initial_state,
        source=chosen.strategy.source,
        mitigations=dict(chosen.strategy.mitigations),
    )
    found = (reader,) if reader.plain else (reader.baseline(), reader)
    return (*found, reader_of(other)) if other is not None else found


def task_of(document: str, train_length: int, multiple: int, ends: int) -> RemembranceTask:
    """The stretches that the controls describe, ``multiple`` training lengths long, of the document with that hash."""
    length = multiple * train_length
    return RemembranceTask(document=document, length=length, lengths=kept_lengths(length, train_length), ends=ends)


def stored() -> list[RemembranceResult]:
    """Every result that this session may see: its own, newest first, then those that came with the program."""
    return measurements.stored(folder(), SHIPPED, RemembranceResult.load)


def result_of(task: RemembranceTask, reader: Reader, known: Sequence[RemembranceResult]) -> RemembranceResult:
    """What is known of ``task`` and ``reader``: the fullest result, or an empty one."""
    found = [result for result in known if result.task == task and result.reader == reader]
    return max(found, key=lambda result: len(result.distances), default=RemembranceResult(task=task, reader=reader))


def task_to_show(
    task: RemembranceTask, wanted: Sequence[Reader], known: Sequence[RemembranceResult]
) -> RemembranceTask:
    """``task`` if anything of it was run, else another of the same document that was run with the same readers."""
    usable = [
        result
        for result in known
        if result.reader in wanted and result.distances and result.task.document == task.document
    ]
    return max(usable, key=lambda result: (result.task == task, result.reader == wanted[-1])).task if usable else task


def start(begun: Sequence[RemembranceResult], text: str, source: Path | None) -> jobs.Job:
    """Queue what ``begun`` lacks, one reader after the other; results are on disk after every batch."""
    home = folder()
    begun = [result for result in begun if not result.complete]

    def work(job: jobs.Job) -> None:
        tokens, _ = encode(load_tokenizer_of(begun[0].reader.model), text)  # one for all: they share the tokenizer

        def run(result: RemembranceResult, report: Report) -> object:
            carried = source if result.reader.strategy.source else None
            return measure(result, tokens, source=carried, report=report, stop=job.stopped)

        measurements.run_all(job, begun, home, "remembrance.reading", lambda result: len(result.distances), run)

    st.session_state[_ERROR], st.session_state[_TASK] = None, begun[0].task
    return jobs.submit(session.session_id(), KIND, work, title=t("remembrance.running"))


def tokens_left(begun: Sequence[RemembranceResult]) -> int:
    """Tokens of the end points that were not read for yet."""
    return measurements.tokens_left(begun)


def collect() -> jobs.Job | None:
    """The running measurement of this session; of one that has ended, the error is kept for :func:`failure`."""
    ended = jobs.take(session.session_id(), KIND)
    if ended is not None:
        st.session_state[_ERROR] = ended.error
    return jobs.latest(session.session_id(), KIND)


def running() -> RemembranceTask:
    """The task that was started last."""
    return st.session_state[_TASK]


def failure() -> UserError | None:
    """Why the last measurement failed, until another one starts."""
    return st.session_state.get(_ERROR)


def estimate(begun: Sequence[RemembranceResult], known: Sequence[RemembranceResult]) -> str:
    """How much there is to read, and how long that takes once a measurement of this session has told the speed."""
    tokens = tokens_left(begun)
    if tokens == 0:
        return t("remembrance.estimate_nothing")
    here = {file.stem for file in folder().glob("*.json")}
    timed = [result for result in known if result.key in here and result.reader.model == begun[0].reader.model]
    seconds = sum(result.seconds for result in timed)
    if not seconds:
        return t("remembrance.estimate_unknown", tokens=tokens)
    speed = sum(result.tokens for result in timed) / seconds
    return t("remembrance.estimate", tokens=tokens, time=duration(tokens / speed))
