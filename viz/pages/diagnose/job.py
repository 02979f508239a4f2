"""The work of the page: what is asked, a job that reads, and where diagnoses are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import streamlit as st

from model.checkpoints.catalogue import model_card, tokens_of
from model.documents.document import Document
from model.errors import UserError
from model.reading.prepare import Options
from model.studies.diagnose import Diagnosis, diagnose, file_of, load
from model.studies.diagnose.result import FOLDER
from model.studies.diagnose.strategies import Candidate, candidates, question_key
from viz.app import limits, session
from viz.app.choices import Choices
from viz.app.language import t
from viz.app.workspace import STATE_PREFIX, workspace
from viz.jobs.job import Job, JobContext
from viz.jobs.page_job import PageJob

Asked = tuple[str, ...]
"""The keys of the documents, as the session has them."""
DIAGNOSIS: PageJob[Asked] = PageJob("diagnose")
_FAILURES = STATE_PREFIX + "diagnose_failures"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of every document: which strategies are read, and how."""

    model: str
    options: Options
    wanted: tuple[Candidate, ...]

    @staticmethod
    def of(chosen: Choices) -> Question:
        """The question that the sidebar describes; its initial state and mitigations do not matter here."""
        options = replace(chosen.options, control=True, token_norms=False, off=())
        return Question(model=chosen.model, options=options, wanted=tuple(candidates(chosen.model)))


class Known:
    """Every diagnosis that this session may see, the workspace's own first."""

    def __init__(self) -> None:
        folders = [library.folder / FOLDER for library in session.libraries()]
        files = [file for folder in folders for file in sorted(folder.glob("*.json"))]
        loaded = [_loaded(file, file.stat().st_mtime_ns) for file in files if file.exists()]
        self._all = [found for found in loaded if found is not None]

    def of(self, document: str, question: Question) -> Diagnosis | None:
        """The diagnosis of the document with that hash: of this very question, else one of the same weights."""
        key = question_key(document, question.wanted, question.options)
        same = [found for found in self._all if found.key == key]
        train_length = question.options.train_length or model_card(question.model).train_length
        wanted = document, question.wanted[0].weights, train_length
        near = [found for found in self._all if (found.document, found.weights, found.train_length) == wanted]
        return next(iter(sorted(same, key=lambda found: not found.complete) + near), None)


def file_in_libraries(found: Diagnosis) -> Path | None:
    """The file of a diagnosis, if it is stored where this session may read."""
    files = [file_of(library.folder, found.key) for library in session.libraries()]
    return next((file for file in files if file.exists()), None)


@st.cache_resource(max_entries=512, show_spinner=False)
def _loaded(file: Path, mark: int) -> Diagnosis | None:
    try:
        return load(file)
    except UserError:
        return None


def start(keys: Sequence[str], chosen: Choices, question: Question) -> Job:
    """Queue a diagnosis of the documents ``keys``; UserError if one is gone."""
    documents = {key: session.document(key) for key in keys}
    limits.check_room(workspace().folder)
    folder = workspace().recordings if chosen.keep else workspace().passing_recordings
    elsewhere = [place.folder for place in session.libraries() if place.folder != folder]
    st.session_state[_FAILURES] = {}
    work = partial(
        diagnose_all,
        documents=documents,
        question=question,
        folder=folder,
        tests=(workspace().folder if chosen.keep else workspace().passing) / "passkey",
        elsewhere=elsewhere,
        keep_text=chosen.keep_text,
    )
    return DIAGNOSIS.start(work, tuple(keys), title=t("diagnose.running"), private=not chosen.keep)


def diagnose_all(
    job: JobContext,
    documents: Mapping[str, Document],
    question: Question,
    folder: Path,
    tests: Path,
    elsewhere: Sequence[Path],
    keep_text: bool,
) -> dict[str, UserError]:
    """Diagnose one document after the other; returns why some could not be, by their keys."""
    failures: dict[str, UserError] = {}
    total = len(documents) * len(question.wanted)
    for place, (key, document) in enumerate(documents.items()):

        def report(found: Diagnosis, done: int, tokens: int, before: int = place) -> None:
            reached = before * len(question.wanted) + len(question.wanted) * done / tokens
            job.progress(reached, total, "diagnose.reading" if done < tokens else "diagnose.testing")

        try:
            if limits.limit(limits.TOKENS) is not None:
                limits.check_tokens(len(tokens_of(question.model, document.text)[0]))
            diagnose(
                document,
                question.model,
                folder,
                options=question.options,
                tests=tests,
                elsewhere=elsewhere,
                keep_text=keep_text,
                report=report,
                stop=job.stopped,
            )
        except UserError as error:
            failures[key] = error
        if job.stopped():
            break
    return failures


def collect() -> None:
    """If a job has ended, look at what it left."""
    job = DIAGNOSIS.collect()
    if job is not None:
        session.changed()
        st.session_state[_FAILURES] = job.result or {}


def failures() -> dict[str, UserError]:
    """Why documents of the last job could not be diagnosed, by their keys."""
    return st.session_state.get(_FAILURES, {})
