"""Many documents, one diagnosis each: a broken file gives its sentence, and the rest go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from pathlib import Path

from model.documents.document import read_path
from model.errors import UserError
from model.reading.prepare import DEFAULTS, Options
from model.studies.diagnose.result import Diagnosis, Sentence
from model.studies.diagnose.run import Report, diagnose


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one file and model: its diagnosis, or why there is none."""

    file: str
    model: str
    diagnosis: Diagnosis | None = None
    error: Sentence | None = None


def diagnose_file(
    file: Path,
    model: str,
    out: Path,
    options: Options = DEFAULTS,
    recall: bool = True,
    workers: int | None = None,
    keep_text: bool = False,
    report: Report = lambda diagnosis, done, total: None,
) -> Outcome:
    """The diagnosis of the document in ``file`` with ``model``, or the sentence that says why there is none."""
    try:
        found = diagnose(
            read_path(file, allow_blank=True),
            model,
            out,
            options=options,
            recall=recall,
            workers=workers,
            keep_text=keep_text,
            report=report,
        )
    except UserError as error:
        return Outcome(file=str(file), model=model, error=Sentence.of(error))
    return Outcome(file=str(file), model=model, diagnosis=found)


def on_cluster(
    pool: Executor, asked: Sequence[tuple[Path, str]], diagnosing: Callable[[Path, str], Outcome]
) -> Iterator[Outcome]:
    """``diagnosing`` each of ``asked`` on the workers of ``pool``, in the order in which they finish.

    Workers write to the same folder of recordings, or a diagnosis that is run again begins from nothing.
    """
    for future in as_completed([pool.submit(diagnosing, file, model) for file, model in asked]):
        yield future.result()
