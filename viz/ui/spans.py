"""Spans picked on the state map, handed to the lab: the spans, their document and their model."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from model.checkpoints.catalogue import model_card
from model.diagnostics.out_of_distribution import Span
from model.recording.reader import Recording
from model.training.trial import Pick
from viz.app import session, uploads
from viz.app.choices import Choices
from viz.app.language import t
from viz.app.workspace import STATE_PREFIX

_PICKED = STATE_PREFIX + "spans"


@dataclass(frozen=True, kw_only=True)
class Picked:
    """``picks`` of the document with the hash ``document``, in the tokens and states of the model ``weights``."""

    document: str
    weights: str
    picks: tuple[Pick, ...]


def document_of(recording: Recording) -> str | None:
    """The key of the document of ``recording``, an upload or a sample; None if it is not here."""
    return session.document_of(recording.experiment.document)


def pick(recording: Recording, document: str, spans: list[Span]) -> None:
    """Pick ``spans`` and set the sidebar and the lab to train on them; a callback may call it."""
    picks = tuple(
        Pick(first=span.first, last=span.last, at=span.at) for span in sorted(spans, key=lambda span: span.first)
    )
    experiment = recording.experiment
    st.session_state[_PICKED] = Picked(document=experiment.document, weights=experiment.weights, picks=picks)
    st.session_state[uploads.FRESH] = document
    st.session_state["model"] = experiment.model
    st.session_state["lab_how"] = "stretches"


def picked(chosen: Choices) -> tuple[Pick, ...]:
    """The picked spans, if they are of the chosen document and model."""
    found: Picked | None = st.session_state.get(_PICKED)
    if found is None or found.weights != model_card(chosen.model).weights:
        return ()
    return found.picks if found.document == session.document(chosen.document).sha256 else ()


def drop() -> None:
    """Forget what was picked; a callback may call it."""
    st.session_state.pop(_PICKED, None)


def span_words(first: int, last: int) -> str:
    """“1,024–2,048”."""
    return t("ui.spans.span", first=first, last=last)
