"""The work on a marked passage: which head holds it, and how each strategy forgets it; stored with the recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import streamlit as st

from model.checkpoints.catalogue import available
from model.errors import UserError
from model.experiment import PLAIN, Strategy
from model.interventions.mitigations import MITIGATIONS, check_fits
from model.recording.reader import Recording
from model.studies.diagnose.result import FOLDER, Diagnosis, load
from model.studies.passage.result import Forgetting, HeadTable, Passage
from viz.app import session
from viz.app.language import t
from viz.app.workspace import workspace
from viz.jobs.again import source_of
from viz.jobs.job import Job, JobContext
from viz.jobs.page_job import PageJob

FOLLOW: PageJob[tuple[str, Passage]] = PageJob("passage_follow")
HEADS: PageJob[tuple[str, Passage, int]] = PageJob("passage_heads")


def folder_of(recording: Recording, strategy: Strategy | None = None) -> Path:
    """Where what is known of passages is stored, of a reading with another ``strategy`` if one is given."""
    experiment = recording.experiment
    key = (experiment if strategy is None else replace(experiment, strategy=strategy)).key
    return workspace().folder / "passages" / key


def strategies(recording: Recording) -> dict[str, Strategy]:
    """The strategies that can be put side by side, by how they are typed: that of ``recording``, then the plain one.

    After them those of a diagnosis, those of other recordings of the document, and the suggested mitigations.
    """
    experiment = recording.experiment
    others = [
        entry.experiment.strategy
        for entry in session.visible_recordings().values()
        if (entry.experiment.document, entry.experiment.weights) == (experiment.document, experiment.weights)
    ]
    advised = recommended(recording)
    suggested = [Strategy.of(mitigations={name: float(row.suggested)}) for name, row in MITIGATIONS.items()]
    wanted = [PLAIN, *([] if advised is None else [advised]), *others, *suggested]
    found = {experiment.strategy.text: experiment.strategy}
    for strategy in wanted:
        if not strategy.source and fits(recording, strategy):
            found.setdefault(strategy.text, strategy)
    return found


def fits(recording: Recording, strategy: Strategy) -> bool:
    """Whether the model of ``recording`` can read with ``strategy``."""
    card = available().get(recording.experiment.model)
    if card is None:
        return False
    if card.explored is None and any(
        name not in MITIGATIONS or MITIGATIONS[name].needs_reference for name, _ in strategy.mitigations
    ):
        return False
    try:
        check_fits(dict(strategy.mitigations), card.config)
    except UserError:
        return False
    return True


def recommended(recording: Recording) -> Strategy | None:
    """What a diagnosis of this document and these weights recommends; None without one, or of other weights."""
    for library in session.libraries():
        for file in sorted((library.folder / FOLDER).glob("*.json")):
            found = _diagnosis(file, file.stat().st_mtime_ns)
            wanted = recording.experiment.document, recording.experiment.weights
            if found is not None and (found.document, found.weights) == wanted and found.best is not None:
                return None if found.best.post_trained else found.best.strategy
    return None


@st.cache_resource(max_entries=256, show_spinner=False)
def _diagnosis(file: Path, mark: int) -> Diagnosis | None:
    try:
        return load(file)
    except UserError:
        return None


def start_following(recording: Recording, text: str, passage: Passage, chosen: Mapping[str, Strategy]) -> Job:
    """Queue how each of ``chosen`` forgets ``passage``; UserError for a bad passage."""
    passage.check(recording.read_tokens)
    work = partial(
        following,
        path=recording.path,
        text=text,
        source=source_of(recording),
        passage=passage,
        tasks=[(strategy, folder_of(recording, strategy)) for strategy in chosen.values()],
    )
    return FOLLOW.start(work, (recording.key, passage), title=t("text.passage_following"))


def following(
    job: JobContext,
    path: Path,
    text: str,
    source: Path | None,
    passage: Passage,
    tasks: Sequence[tuple[Strategy, Path]],
) -> None:
    """Follow ``passage`` with one strategy after the other."""
    from model.reading.again import prepare_again
    from model.studies.passage.forgetting import follow, with_strategy

    prepared = prepare_again(Recording(path), text, source)
    for place, (strategy, folder) in enumerate(tasks):

        def report(done: int, total: int, place: int = place) -> None:
            job.progress(place * total + done, len(tasks) * total, "text.passage_reading")

        follow(with_strategy(prepared, strategy), passage, folder, on_progress=report, stop=job.stopped)
        if job.stopped():
            return


def start_heads(recording: Recording, text: str, passage: Passage, moment: int) -> Job:
    """Queue which heads hold ``passage`` after ``moment`` tokens; UserError for a passage that cannot be followed."""
    passage.check(recording.read_tokens)
    work = partial(
        heads,
        path=recording.path,
        text=text,
        source=source_of(recording),
        passage=passage,
        moment=moment,
        folder=folder_of(recording),
    )
    return HEADS.start(work, (recording.key, passage, moment), title=t("text.heads_computing"))


def heads(
    job: JobContext, path: Path, text: str, source: Path | None, passage: Passage, moment: int, folder: Path
) -> None:
    """Compute and store the table of heads."""
    from model.reading.again import prepare_again
    from model.studies.passage.heads import heads_of

    def report(done: int, total: int) -> None:
        job.progress(done, total, "text.passage_reading")

    prepared = prepare_again(Recording(path), text, source)
    found = heads_of(prepared, passage, moment, on_progress=report, stop=job.stopped)
    if found is not None:
        found.save(folder)


def known(recording: Recording, passage: Passage, chosen: Mapping[str, Strategy]) -> dict[str, Forgetting]:
    """What is stored of ``passage`` for each of ``chosen``."""
    return {name: Forgetting.load(folder_of(recording, each), passage) for name, each in chosen.items()}


def known_heads(recording: Recording, passage: Passage, moment: int) -> HeadTable | None:
    """What is stored of the heads that hold ``passage`` after ``moment`` tokens."""
    return HeadTable.load(folder_of(recording), passage, moment)
