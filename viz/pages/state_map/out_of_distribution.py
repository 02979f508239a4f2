"""The out-of-distribution spans of the document: where its states are farthest from the explored ones, and the text."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from model.diagnostics.out_of_distribution import PICKED, Span, out_of_distribution_spans
from model.recording.reader import Recording
from viz.app.language import t
from viz.app.session import text_of
from viz.jobs.state_map import States, scores
from viz.ui.controls import open_page
from viz.ui.places import places_of
from viz.ui.spans import document_of, pick, span_words

SNIPPET, PASSAGE = 80, 1200
"""Characters of a span that the table shows, and that are quoted below it once its row is ticked."""
LAYERS = 2
"""Layers that the table names: those with the largest shares."""


def render(states: States) -> None:
    """Draw the list for a recording and its model's explored states, if these are enough to measure against."""
    recording = states.recording
    if np.isnan(scores(states).novelty).all():
        return
    found = _found(states.identity, states)
    with st.container(key="out-of-distribution-spans"):
        st.caption(t("ui.spans.short"), help=t("ui.spans.explanation"))
        if not found:
            st.caption(t("ui.spans.none"))
            return
        text = text_of(recording)
        passages = [None if text is None else passage(recording, span, text) for span in found]
        event = st.dataframe(
            table(found, passages, places_of(recording, [span.at for span in found])),
            hide_index=True,
            placeholder="–",
            column_config={
                t("ui.spans.column_novelty"): st.column_config.NumberColumn(format="%.2f"),
                t("ui.spans.column_loss"): st.column_config.NumberColumn(format="%.2f"),
                t("ui.spans.column_control"): st.column_config.NumberColumn(format="%.2f"),
                t("ui.spans.column_excess"): st.column_config.NumberColumn(format="%+.2f"),
            },
            key=f"spans_{recording.key}",
            on_select="rerun",
            selection_mode="multi-row",
            alt=t("ui.spans.table_alt", count=len(found), novelty=found[0].novelty),
        )
        rows = [row for row in event.selection.rows if row < len(found)]
        for row in rows:
            if passages[row]:
                _quote(found[row], passages[row] or "")
        _training(recording, [found[row] for row in rows] or found[:PICKED])


@st.cache_data(max_entries=32, show_spinner=False)
def _found(identity: tuple[object, ...], _states: States) -> list[Span]:
    return out_of_distribution_spans(_states.explored, _states.recording)


def table(found: list[Span], passages: list[str | None], places: Sequence[str] = ()) -> pd.DataFrame:
    """One row per span, with its place in the document where that is known; losses in nats per token."""
    rows = []
    for row, (span, words) in enumerate(zip(found, passages, strict=True)):
        layer, head = span.grown
        rows.append(
            {
                t("ui.spans.column_tokens"): span_words(span.first, span.last),
                **({t("ui.spans.column_place"): places[row]} if places else {}),
                t("ui.spans.column_novelty"): span.novelty,
                t("ui.spans.column_loss"): span.loss,
                t("ui.spans.column_control"): span.control,
                t("ui.spans.column_excess"): span.loss - span.control,
                t("ui.spans.column_layers"): layers_in_words(span.layers),
                t("ui.spans.column_head"): t("ui.spans.head", layer=layer, head=head, growth=span.growth),
                t("ui.spans.column_text"): " ".join((words or "")[-2 * SNIPPET :].split())[-SNIPPET:],
            }
        )
    return pd.DataFrame(rows)


def layers_in_words(shares: np.ndarray) -> str:
    """The layers with the largest ``shares`` (layers,) of the squared distance."""
    if not np.isfinite(shares).all():
        return ""
    largest = np.argsort(-shares, kind="stable")[:LAYERS]
    return " · ".join(t("ui.spans.layer_share", layer=layer, share=shares[layer]) for layer in largest)


def passage(recording: Recording, span: Span, text: str) -> str:
    """The text of ``span`` before its most novel state; of a long one, the end."""
    rows = np.searchsorted(recording.array("position"), [span.first, span.at])
    first, here = (int(recording.array("character")[row]) for row in rows)
    return text[max(first, here - PASSAGE) : here]


def _quote(span: Span, words: str) -> None:
    st.caption(span_words(span.first, span.last))
    st.html(f'<div style="white-space: pre-wrap; overflow-wrap: anywhere">…{html.escape(words)}</div>')


def _training(recording: Recording, chosen: list[Span]) -> None:
    """The button that leads to the lab, or a sentence that says why there is none."""
    if not recording.experiment.plain:
        st.caption(t("ui.spans.not_plain"))
        return
    document = document_of(recording)
    if document is None:
        st.caption(t("ui.spans.no_document"))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t("ui.spans.train"),
            key="spans_train",
            icon=":material/science:",
            help=t("ui.spans.train_help"),
            on_click=pick,
            args=(recording, document, chosen),
        )
        st.caption(t("ui.spans.choose_hint", count=PICKED))
    if clicked:
        open_page("lab")
