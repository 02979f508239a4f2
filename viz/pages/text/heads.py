"""Which head holds the marked passage: a table of heads, and what is lost without the one that is chosen in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from model.errors import UserError
from model.recording.reader import Recording
from model.studies.passage.result import Difference, Effect, HeadTable, Passage
from model.studies.shares.result import no_shares
from viz.app.language import plain, show_error, t
from viz.pages.text import passage_job
from viz.ui.visible import visible

NEXT = 8
"""Rows of the tables of next tokens."""


def which_head(recording: Recording, text: str, passage: Passage, moment: int | None) -> None:
    """Draw the section for the state after the token ``moment``, the end of the recording if none is chosen."""
    st.subheader(t("text.heads_title"), anchor=False, help=t("text.heads_help"))
    read = recording.read_tokens if moment is None else moment + 1
    if read < passage.stop:
        st.caption(t("text.heads_later", token=passage.stop))
        return
    found = passage_job.known_heads(recording, passage, read)
    if found is None:
        _compute(recording, text, passage, read)
    else:
        _table(found)
    passage_job.HEADS.show_failure()
    passage_job.HEADS.show_progress()


def _compute(recording: Recording, text: str, passage: Passage, read: int) -> None:
    obstacle = no_shares(recording.meta.layers)
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t("text.heads_compute", token=read),
            key="text_heads",
            icon=":material/lan:",
            disabled=passage_job.HEADS.active or obstacle is not None,
        )
        model = plain(recording.experiment.model)
        st.caption(t("text.heads_moment") if obstacle is None else t(f"shares.{obstacle}", model=model))
    if clicked:
        try:
            passage_job.start_heads(recording, text, passage, read)
        except UserError as error:
            show_error(error)
        else:
            st.rerun()


def _table(found: HeadTable) -> None:
    """All heads, the largest part of the passage first; the row that is chosen says which head is removed."""
    layers, heads = found.weight.shape
    order = np.argsort(-np.abs(found.weight), axis=None, kind="stable")
    places = [divmod(int(place), heads) for place in order]
    effects = [found.effect(layer, head) for layer, head in places]
    table = pd.DataFrame(
        {
            t("text.column_layer"): [layer for layer, _ in places],
            t("text.column_head"): [head for _, head in places],
            t("text.column_of_head"): found.share.ravel()[order],
            t("text.column_of_state"): found.weight.ravel()[order] / layers,
            t("text.column_again"): [math.nan if each is None else each.again_change.mean for each in effects],
            t("text.column_next"): [math.nan if each is None else each.loss_change.mean for each in effects],
        }
    )
    if found.whole is not None and found.whole.recalled is not None:
        keys = [None if each is None else each.recalled for each in effects]
        table.insert(4, t("text.column_key"), [math.nan if key is None else key.probability for key in keys])
    best = places[0]
    held = np.abs(found.weight).ravel()[order[0]] / max(np.abs(found.weight).sum(), 1e-30)
    st.markdown(
        t("text.heads_finding", token=found.moment, share=found.total, layer=best[0], head=best[1], held=float(held))
    )
    percent = st.column_config.NumberColumn(format="%.2f%%")
    removed = {"again": "%+.3f", "next": "%+.3f", "key": "percent"}
    for name in ("column_of_head", "column_of_state"):
        table[t(f"text.{name}")] *= 100
    event: Any = st.dataframe(
        table,
        hide_index=True,
        key="text_heads_table",
        height=250,
        column_config={t("text.column_of_head"): percent, t("text.column_of_state"): percent}
        | {
            t(f"text.column_{name}"): st.column_config.NumberColumn(format=form, help=t(f"text.column_{name}_help"))
            for name, form in removed.items()
        },
        on_select="rerun",
        selection_mode="single-row",
        alt=t("text.heads_title"),
    )
    if found.whole is None:
        st.caption(t("text.heads_no_removal"))
        return
    chosen = event.selection.rows
    if not chosen:
        st.caption(t("text.heads_choose"))
        alone = found.effect(-1, -1)
        if alone is not None:
            st.markdown(t("text.part_removed", again=_nats(alone.again_change), following=_nats(alone.loss_change)))
            if found.whole.recalled is not None and alone.recalled is not None:
                before, after = found.whole.recalled.probability, alone.recalled.probability
                st.markdown(t("text.part_key", before=before, after=after))
        return
    layer, head = places[min(chosen[0], len(places) - 1)]
    without = found.effect(layer, head)
    if without is None:
        st.caption(t("text.heads_not_tried", count=len(found.without) - 1))
    else:
        _without(found, found.whole, without)


def _without(found: HeadTable, whole: Effect, without: Effect) -> None:
    """What is lost without one head: losses, the answer to the query, and the next tokens."""
    st.markdown(f"**{t('text.without_head', layer=without.layer, head=without.head)}**")
    with st.container(horizontal=True):
        _metric("again", whole.again, without.again, without.again_change)
        if found.ahead:
            _metric("following", whole.loss, without.loss, without.loss_change, count=found.ahead)
        if whole.recalled is not None and without.recalled is not None:
            before, after = whole.recalled.probability, without.recalled.probability
            st.metric(
                t("text.recalled"), f"{after:.0%}", f"{after - before:+.0%}", help=t("text.recalled_help"), border=True
            )
    columns = st.columns(2)
    for column, name, effect in zip(columns, ("with", "without"), (whole, without), strict=True):
        with column:
            st.caption(t(f"text.next_{name}"))
            st.dataframe(
                pd.DataFrame(
                    {
                        t("text.column_token_text"): [visible(each.text) for each in effect.next[:NEXT]],
                        t("text.column_probability"): [each.probability for each in effect.next[:NEXT]],
                    }
                ),
                hide_index=True,
                key=f"text_next_{name}",
                height=210,
                column_config={
                    t("text.column_probability"): st.column_config.ProgressColumn(
                        format="percent", min_value=0, max_value=1
                    )
                },
                alt=t(f"text.next_{name}"),
            )


def _metric(name: str, before: float, after: float, change: Difference, **values: int) -> None:
    st.metric(
        t(f"text.{name}_loss", **values),
        f"{after:.3f}",
        _nats(change),
        delta_color="inverse",
        help=t(f"text.{name}_help", before=before, low=change.low, high=change.high),
        border=True,
    )


def _nats(change: Difference) -> str:
    return t("text.nats", value=change.mean)
