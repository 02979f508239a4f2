"""What pages with stored measurements share: where results are, which one is asked for, and the job that runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from model.errors import UserError
from model.studies.effective_context import EffectiveContextResult
from model.studies.passkey import PasskeyResult, Reader, reader_of
from viz.app.choices import Choices
from viz.app.workspace import workspace
from viz.jobs.job import Job, JobContext
from viz.jobs.page_job import PageJob

SHIPPED = Path(__file__).parents[2] / "sample_data"
"""The folder of the shipped results, which has a folder for each kind of measurement."""

Result = TypeVar("Result", bound=PasskeyResult | EffectiveContextResult)
Measure = Callable[[Any, Path | None, Callable[[Any, int], None], Callable[[], bool]], object]
"""``measure(result, source, report, stop)`` runs what the result lacks and calls ``report(so far, tokens read)``."""
Parts = Callable[[Any], Sized]


def stored(folders: Sequence[Path], load: Callable[[Path], Any]) -> list[Any]:
    """The results in ``folders``, the first folder first, newest first within each; other files are skipped."""
    found = []
    for file in (file for folder in folders for file in sorted(folder.glob("*.json"), key=_age)):
        try:
            found.append(load(file))
        except UserError:
            continue
    return found


def _age(file: Path) -> int:
    return -file.stat().st_mtime_ns


def readers(chosen: Choices) -> tuple[Reader, ...]:
    """The plain model and, if it is another, what the sidebar has chosen."""
    reader = reader_of(chosen.model, chosen.strategy, chosen.options.attention_window, chosen.options.off)
    return (reader,) if reader.plain else (reader.baseline(), reader)


def tokens_left(begun: Sequence[Result]) -> int:
    """Tokens that the results in ``begun`` lack."""
    return sum(result.task.tokens - result.tokens for result in begun)


class Measurement(Generic[Result]):
    """One kind of measurement that is stored by task and reader; a page holds one as a constant.

    ``name`` is that of its folders, its job and its messages. ``parts`` takes the finished parts out of a result, which
    is written whenever their number has changed. ``more`` are folders beside the workspace's own that everyone sees.
    """

    def __init__(
        self,
        name: str,
        result: type[Result],
        parts: Parts,
        more: Callable[[], tuple[Path, ...]] = lambda: (),
    ) -> None:
        self.name, self.shipped = name, SHIPPED / name
        self.job: PageJob[Any] = PageJob(name)
        self._result, self._parts, self._more = result, parts, more

    @property
    def folder(self) -> Path:
        """The folder of this workspace's results."""
        return workspace().folder / self.name

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders of results: the workspace's own, those that everyone sees, the shipped ones; each once."""
        return tuple(dict.fromkeys((self.folder, *self._more(), self.shipped)))

    def stored(self) -> list[Result]:
        """Every result that this workspace may see."""
        return stored(self.folders, self._result.load)

    def file_of(self, key: str) -> Path | None:
        """The file of the result ``key``, in the first folder that has one."""
        return next((file for folder in self.folders if (file := folder / f"{key}.json").exists()), None)

    def result_of(self, task: Any, reader: Reader, known: Sequence[Result]) -> Result:
        """What is known of ``task`` and ``reader``: the fullest result, or an empty one."""
        found = [result for result in known if result.task == task and result.reader == reader]
        return max(found, key=lambda result: len(self._parts(result)), default=self._result(task=task, reader=reader))

    def start(self, begun: Sequence[Result], measure: Measure, *, source: Path | None, title: str, note: str) -> Job:
        """Queue what ``begun`` lacks, one reader after the other; each result is on disk after every part.

        ``source`` is the folder of the recording of a carried state, ``note`` the message of the progress.
        """
        lacking = [result for result in begun if not result.complete]
        work = partial(
            measure_all,
            lacking=lacking,
            measure=measure,
            parts=self._parts,
            source=source,
            folder=self.folder,
            note=note,
        )
        return self.job.start(work, lacking[0].task, title=title)

    def speed(self, model: str, known: Sequence[Result], *, here: bool) -> float | None:
        """Tokens per second of the results with ``model``: of this session's if ``here``, else of all others."""
        own = {file.stem for file in self.folder.glob("*.json")}
        timed = [result for result in known if result.reader.model == model and (result.key in own) == here]
        seconds = sum(result.seconds for result in timed)
        return sum(result.tokens for result in timed if result.seconds) / seconds if seconds else None


def measure_all(
    job: JobContext,
    lacking: Sequence[Result],
    measure: Measure,
    parts: Parts,
    source: Path | None,
    folder: Path,
    note: str,
) -> None:
    """Run what each result in ``lacking`` lacks, and write it to ``folder`` whenever it has another part."""
    total, before = tokens_left(lacking), 0
    for result in lacking:
        path, finished, first = folder / f"{result.key}.json", len(parts(result)), result.tokens

        def report(so_far: Result, done: int, *, path: Path = path, offset: int = before - first) -> None:
            nonlocal finished
            if len(parts(so_far)) != finished:
                finished = len(parts(so_far))
                so_far.save(path)
            job.progress(offset + done, total, note)

        measure(result, source if result.reader.strategy.source else None, report, job.stopped)
        if job.stopped():
            return
        before += result.task.tokens - first
