"""One cell of the passkey map in detail: a short job that reads its trials, and its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from model.checkpoints.catalogue import model_card
from model.studies.passkey import PasskeyResult, PasskeyTask, Reader
from viz.app import session
from viz.app.language import t
from viz.app.workspace import STATE_PREFIX
from viz.jobs.job import Job, JobContext
from viz.jobs.page_job import PageJob

if TYPE_CHECKING:
    from model.studies.passkey.explain import Explained

LOOK: PageJob[None] = PageJob("passkey_cell")
KEPT = 8
"""Examined cells that a session holds; one more replaces the oldest."""
_FOUND = STATE_PREFIX + "passkey_cells"

Cell = tuple[int, float]
Name = tuple[PasskeyTask, Reader]


def name_of(result: PasskeyResult, cell: Cell) -> Name:
    """The identity of an examined cell: the task with this cell alone, and the reader."""
    length, depth = cell
    return replace(result.task, lengths=(length,), depths=(depth,)), result.reader


def found(result: PasskeyResult, cell: Cell) -> Explained | None:
    """What is known of ``cell``; None if it was not read."""
    return st.session_state.get(_FOUND, {}).get(name_of(result, cell))


def start(results: Sequence[PasskeyResult], cell: Cell, texts: Sequence[str]) -> Job:
    """Queue the examination of ``cell`` of all ``results`` that lack it; ``texts`` are their documents."""
    lacking = [(name_of(result, cell), text) for result, text in zip(results, texts, strict=True)]
    lacking = [(name, text) for name, text in lacking if name not in st.session_state.get(_FOUND, {})]
    found = [session.find(reader.strategy.source) for (_, reader), _ in lacking]
    sources = [None if entry is None else entry.path for entry in found]
    work = partial(examine, cell=cell, lacking=lacking, sources=sources)
    return LOOK.start(work, None, title=t("passkey.cell.running"))


def examine(
    job: JobContext, cell: Cell, lacking: Sequence[tuple[Name, str]], sources: Sequence[Path | None]
) -> dict[Name, Explained]:
    """What is seen of ``cell`` by each name in ``lacking``, which has its text, until the job is cancelled."""
    from model.studies.passkey.explain import explain

    examined: dict[Name, Explained] = {}
    before, total = 0, sum(task.tokens for (task, _), _ in lacking)
    for ((task, reader), text), source in zip(lacking, sources, strict=True):

        def passed(tokens: int, before: int = before) -> bool:
            job.progress(before + tokens, total, "passkey.reading")
            return job.stopped()

        explained = explain(task, reader, cell, text=text, source=source, passed=passed)
        if explained is None:
            break
        examined[task, reader] = explained
        before += task.tokens
    return examined


def collect() -> None:
    """Store the results of an examination that has ended since the last call."""
    ended = LOOK.collect()
    if ended is not None:
        known = {**st.session_state.get(_FOUND, {}), **(ended.result or {})}
        st.session_state[_FOUND] = dict(list(known.items())[-KEPT:])


def same_weights(reader: Reader) -> bool:
    """Whether the installed model is the tested one; UserError if there is none of that name."""
    return model_card(reader.model).weights == reader.weights
