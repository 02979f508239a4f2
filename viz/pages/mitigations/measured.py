"""What was measured with each row: stored recordings beside the plain one of the same reading, and the evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from model.checkpoints.catalogue import available
from model.diagnostics.collapse import excess_removed
from model.errors import UserError
from model.experiment import Experiment
from model.recording.catalogue import Entry, Query
from model.recording.reader import COMPLETE, Meta
from model.studies.evidence import Estimate, EvidenceResult
from model.studies.evidence.family import MITIGATED, POST_TRAINED
from model.studies.evidence.findings import MissingError, cost, left, mitigation_cost, removed
from viz.app import session
from viz.pages.mitigations.rows import PAIR, Row


class Measured(NamedTuple):
    """One recording with a mitigation: share of the plain excess that is gone, and how much more loss within.

    ``removed`` is None where the plain reading has no excess to remove.
    """

    title: str
    model: str
    settings: tuple[tuple[str, float], ...]
    removed: float | None
    cost: float | None


def entries() -> list[Entry]:
    """Every complete recording that this session may see, each once."""
    found: dict[str, Entry] = {}
    for _, entry in session.entries(Query(finished=True)):
        if entry.row.status == COMPLETE:
            found.setdefault(entry.key, entry)
    return list(found.values())


def of_row(row: Row, known: Sequence[Entry]) -> list[Measured]:
    """What ``known`` recordings show of ``row``: those that have a plain one of the same reading beside them."""
    controlled = sorted(known, key=lambda entry: entry.experiment.control)  # without a control there is no excess
    plain = {_reading(entry.experiment): entry for entry in controlled if entry.experiment.plain}
    found = []
    for entry in known:
        experiment = entry.experiment
        strategy = experiment.strategy
        base = plain.get(_reading(experiment))
        if experiment.plain or base is None or not row.matches(strategy.initial_state, dict(strategy.mitigations)):
            continue
        ours, theirs = summary(entry), summary(base)
        title = session.sample_titles().get(entry.document_name, entry.document_name)
        gone = excess_removed(ours.get("excess_loss"), theirs.get("excess_loss"), theirs.get("loss_beyond"))
        within = ours.get("loss_within"), theirs.get("loss_within")
        more = within[0] / within[1] - 1 if within[0] is not None and within[1] else None
        found.append(Measured(title, experiment.model, strategy.mitigations, gone, more))
    return found


def _reading(experiment: Experiment) -> tuple[Any, ...]:
    """All that must agree for two recordings to differ by the strategy alone."""
    same = (experiment.document, experiment.tokens, experiment.model, experiment.weights, experiment.train_length)
    return (*same, experiment.precision, experiment.tokenizer, experiment.attention_window, experiment.off)


def summary(entry: Entry) -> Mapping[str, Any]:
    """The key figures of a recording."""
    file = entry.path / "recording.json"
    try:
        return _summary(entry.path, file.stat().st_mtime_ns)
    except (OSError, UserError):
        return {}


@st.cache_data(max_entries=512, show_spinner=False)
def _summary(path: Path, mark: int) -> dict[str, Any]:
    return dict(Meta.read(path).summary)


def of_evidence(row: Row, evidence: EvidenceResult | None) -> tuple[Estimate, Estimate] | None:
    """What the evidence says of ``row``: the excess that it removes, and its cost within; None if not measured.

    At the published or suggested strength, on the base model, if that is the one that was measured.
    """
    name = "rri" if row.name == PAIR else row.name
    card = available().get(evidence.task.base) if evidence else None
    base = evidence.member("base") if evidence else None
    if name not in MITIGATED or card is None or base is None or base.weights != card.weights:
        return None
    gone, more = (_of(measure, evidence, name) for measure in (removed, mitigation_cost))
    return (gone, more) if gone is not None and more is not None else None


class Trained(NamedTuple):
    """A model that was post-trained: with which intervention, by which command, and what the evidence says of it."""

    name: str
    role: str
    base: str
    command: str
    left: Estimate | None
    cost: Estimate | None


def trained(evidence: EvidenceResult | None) -> list[Trained]:
    """Every post-trained model that is here, with its measured effect where its very weights were measured."""
    cards = available()
    measured = {member.name: member for member in evidence.members} if evidence else {}
    endings = {ending: role for role, ending in POST_TRAINED.items()}
    found = []
    for name, card in cards.items():
        record = _record(card.path)
        config = record.get("config")
        base = config.get("base") if isinstance(config, dict) else None
        role = endings.get(name.removeprefix(f"{base}-")) if base else None
        if role is None:
            continue
        member = measured.get(name)
        known = evidence if member is not None and member.weights == card.weights else None
        command = str(record.get("command") or "")
        found.append(Trained(name, role, str(base), command, _of(left, known, role), _of(cost, known, role)))
    return found


def _of(measure: Any, evidence: EvidenceResult | None, role: str) -> Estimate | None:
    """The number of one measure; None where it was not measured."""
    try:
        return None if evidence is None else measure(evidence, role)
    except MissingError:
        return None


def _record(folder: Path) -> dict[str, Any]:
    """How a model was trained, as far as it says."""
    try:
        record = json.loads((folder / "training.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
