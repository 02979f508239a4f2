"""The work of the page: read recordings again, ask at moments of them, and store every answer as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from model.recording.reader import Recording
from model.studies.ask.result import SHORT, Along, Answer, Answers, Question, moments_along
from viz.app.language import t
from viz.app.workspace import workspace
from viz.jobs.again import source_of
from viz.jobs.job import Job, JobContext
from viz.jobs.page_job import PageJob

ASK: PageJob[None] = PageJob("ask")


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of one recording: a question at ``moment``, and the short one at the moments ``along`` it."""

    recording: Recording
    question: Question
    moment: int
    along: tuple[int, ...]

    @property
    def short(self) -> Question:
        """The question whose continuations along the document are compared."""
        return replace(self.question, length=min(self.question.length, SHORT))

    def answer(self) -> Answer | None:
        """What is known at the moment."""
        return Answers.load(folder(), self.recording.key, self.question).answers.get(self.moment)

    def summary(self) -> Along | None:
        """What is known along the document; None while a moment is missing, or if none was asked for."""
        known = Answers.load(folder(), self.recording.key, self.short).answers
        if not self.along or not known.keys() >= set(self.along):
            return None
        return Along.of([known[moment] for moment in self.along], self.recording.train_length)

    def lacking(self) -> list[tuple[int, Question]]:
        """Moments and questions that have no answer yet."""
        wanted = [(self.moment, self.question), *((moment, self.short) for moment in self.along)]
        known = {question: Answers.load(folder(), self.recording.key, question).answers for _, question in wanted}
        return [(moment, question) for moment, question in dict.fromkeys(wanted) if moment not in known[question]]


def folder() -> Path:
    """Where answers are stored: in the workspace, since a recording may belong to someone else."""
    return workspace().folder / "ask"


def asked_of(recording: Recording, question: Question, moment: int, *, along: bool) -> Asked:
    """The question at ``moment``, or at the end of a recording that is shorter; ``along`` its document too."""
    read = recording.read_tokens
    moments = tuple(moments_along(read, recording.train_length)) if along else ()
    return Asked(recording=recording, question=question, moment=min(moment, read), along=moments)


def start(asked: Sequence[Asked], text: str) -> Job:
    """Queue whatever of ``asked`` has no answer; ``text`` is that of their document. UserError for what cannot be."""
    tasks = []
    for each in asked:
        each.question.check()
        if lacking := each.lacking():
            tasks.append((each.recording.path, source_of(each.recording), lacking))
    return ASK.start(partial(answer, tasks=tasks, text=text, folder=folder()), None, title=t("ask.running"))


def answer(
    job: JobContext,
    tasks: Sequence[tuple[Path, Path | None, Sequence[tuple[int, Question]]]],
    text: str,
    folder: Path,
) -> None:
    """Ask what ``tasks`` lack: recording by recording, and in each from the start of the text to its end."""
    from model.reading.again import prepare_again
    from model.studies.ask.run import ask

    costs = [max(moment for moment, _ in lacking) + sum(q.length for _, q in lacking) for *_, lacking in tasks]
    for place, (path, source, lacking) in enumerate(tasks):
        recording = Recording(path)
        before = sum(costs[:place])

        def report(done: int, _total: int, before: int = before) -> None:
            job.progress(before + done, sum(costs), "ask.reading")

        prepared = prepare_again(recording, text, source)
        for question, found in ask(prepared, lacking, on_progress=report, stop=job.stopped):
            known = Answers.load(folder, recording.key, question)
            replace(known, answers={**known.answers, found.moment: found}).save(folder)
        if job.stopped():
            return
