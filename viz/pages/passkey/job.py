"""The passkey page's work: a test to a job to results in the session's folder, and what is known before it runs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st

from model.checkpoints.card import home
from model.checkpoints.catalogue import load_tokenizer_of
from model.errors import UserError
from model.studies.passkey import PasskeyResult, PasskeyTask, Reader, doubling_lengths, measure, reader_of
from model.studies.passkey.prompts import Prompts
from model.studies.passkey.result import Report
from viz.app import session
from viz.app.choices import Choices
from viz.app.language import t
from viz.jobs import measurements
from viz.jobs import registry as jobs
from viz.jobs.progress import duration

KIND = "passkey"
SHIPPED = Path(__file__).parents[3] / "sample_data" / "passkey"
_ERROR = session.STATE_PREFIX + "passkey_error"
_TASK = session.STATE_PREFIX + "passkey_task"


def folder() -> Path:
    """Where the results of this session lie."""
    return session.workspace().folder / "passkey"


def kept() -> Path:
    """Where results lie that outlive their session and that everyone who uses this server sees."""
    return home() / "passkey"


def readers(chosen: Choices) -> tuple[Reader, ...]:
    """The plain model and, if it is another, what the sidebar has chosen."""
    reader = reader_of(
        chosen.model,
        initial_state=chosen.strategy.initial_state,
        source=chosen.strategy.source,
        mitigations=dict(chosen.strategy.mitigations),
    )
    return (reader,) if reader.plain else (reader.baseline(), reader)


def lengths(task: PasskeyTask, reader: Reader, longest: int) -> tuple[int, ...]:
    """The lengths to test: doublings around the training length with room for what ``task`` tells and asks."""
    alone = replace(task, lengths=(1 << 20,), depths=(0.0,), trials=1, filler="newlines", document="")
    least = Prompts(alone, load_tokenizer_of(reader.model)).least
    return doubling_lengths(reader.train_length, longest, least)


def text_of(task: PasskeyTask) -> str | None:
    """The document of ``task``, "" if it has none; None if it is neither a sample nor an upload of this session."""
    if task.filler != "text":
        return ""
    document = next((key for key in session.document_keys() if session.document(key).sha256 == task.document), None)
    return None if document is None else session.document(document).text


def stored() -> list[PasskeyResult]:
    """Every result that this session may see: its own and the kept ones, newest first, then what came with us."""
    return measurements.stored(folder(), SHIPPED, PasskeyResult.load, kept())


def listed(known: Sequence[PasskeyResult]) -> dict[str, PasskeyResult]:
    """The results that can be looked at, by key: with anything in them, each once, the fullest of it."""
    found: dict[str, PasskeyResult] = {}
    for result in known:
        if result.cells and (result.key not in found or len(result.cells) > len(found[result.key].cells)):
            found[result.key] = result
    return found


def file_of(key: str) -> Path | None:
    """The file of the result ``key``: the session's own, a kept one, or one that came with the program."""
    files = (place / f"{key}.json" for place in (folder(), kept(), SHIPPED))
    return next((file for file in files if file.exists()), None)


def keep(key: str) -> None:
    """Move a result of this session to where it outlives it."""
    kept().mkdir(parents=True, exist_ok=True)
    shutil.move(folder() / f"{key}.json", kept() / f"{key}.json")


def result_of(task: PasskeyTask, reader: Reader, known: Sequence[PasskeyResult]) -> PasskeyResult:
    """What is known of ``task`` and ``reader``: the fullest result, or an empty one."""
    found = [result for result in known if result.task == task and result.reader == reader]
    return max(found, key=lambda result: len(result.cells), default=PasskeyResult(task=task, reader=reader))


def task_to_show(task: PasskeyTask, wanted: Sequence[Reader], known: Sequence[PasskeyResult]) -> PasskeyTask:
    """``task`` if anything of it was run, else the task of the result that comes nearest to it."""

    def nearness(result: PasskeyResult) -> tuple[bool, ...]:
        alike = result.task.question == task.question, result.task.language == task.language
        return result.task == task, result.reader == wanted[-1], *alike

    usable = [result for result in known if result.reader in wanted and result.cells]
    return max(usable, key=nearness).task if usable else task


def start(begun: Sequence[PasskeyResult], text: str, source: Path | None) -> jobs.Job:
    """Queue what ``begun`` lacks, one reader after the other; results are on disk after every batch."""
    home = folder()
    begun = [result for result in begun if not result.complete]

    def work(job: jobs.Job) -> None:
        def run(result: PasskeyResult, report: Report) -> object:
            carried = source if result.reader.strategy.source else None
            return measure(result, text=text, source=carried, report=report, stop=job.stopped)

        measurements.run_all(job, begun, home, "passkey.reading", lambda result: len(result.cells), run)

    st.session_state[_ERROR], st.session_state[_TASK] = None, begun[0].task
    return jobs.submit(session.session_id(), KIND, work, title=t("passkey.running"))


def tokens_left(begun: Sequence[PasskeyResult]) -> int:
    """Tokens of the cells that were not run yet."""
    return measurements.tokens_left(begun)


def collect() -> jobs.Job | None:
    """The running test of this session; of one that has ended, the error is kept for :func:`failure`."""
    ended = jobs.take(session.session_id(), KIND)
    if ended is not None:
        st.session_state[_ERROR] = ended.error
    return jobs.latest(session.session_id(), KIND)


def running() -> PasskeyTask:
    """The test that was started last."""
    return st.session_state[_TASK]


def failure() -> UserError | None:
    """Why the last test failed, until another one starts."""
    return st.session_state.get(_ERROR)


def estimate(begun: Sequence[PasskeyResult], known: Sequence[PasskeyResult]) -> str:
    """How much there is to read and how long that takes, with where the speed is known from."""
    tokens = tokens_left(begun)
    if tokens == 0:
        return t("passkey.estimate_nothing")
    model = begun[0].reader.model
    here = {file.stem for file in folder().glob("*.json")}
    timed = [result for result in known if result.reader.model == model and result.seconds > 0]
    speeds = {
        "passkey.estimate": _speed([result for result in timed if result.key in here]),
        "passkey.estimate_recording": _recorded_speed(model),
        "passkey.estimate_elsewhere": _speed([result for result in timed if result.key not in here]),
    }
    for key, speed in speeds.items():
        if speed:
            return t(key, tokens=tokens, time=duration(tokens / speed))
    return t("passkey.estimate_unknown", tokens=tokens)


def _speed(results: Sequence[PasskeyResult]) -> float | None:
    """Tokens per second over all ``results``."""
    seconds = sum(result.seconds for result in results)
    return sum(result.tokens for result in results) / seconds if seconds else None


def _recorded_speed(model: str) -> float | None:
    """Tokens per second of the newest recording with ``model`` that was made on this machine."""
    for library, recording in session.catalogue():
        if library.name != "shipped" and recording.experiment.model == model and recording.summary:
            return recording.summary.get("tokens_per_second")
    return None
