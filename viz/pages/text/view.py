"""In which sentence does the memory collapse, and what does it still hold of everything before?

The whole text, coloured by a number for every token. For a chosen moment the numbers can be shares of the state:
see :mod:`model.studies.shares.run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from model.diagnostics.collapse import collapse_onset
from model.documents.document import Document
from model.errors import UserError
from model.messages import message
from model.recording.reader import Recording
from model.recording.schema import CHARACTER, CHUNK, CONTROL_LOSS, LOSS, POSITION
from model.studies.passage.result import Passage
from model.studies.shares.result import Shares, no_shares, stored_moments
from viz.app import session
from viz.app.language import language, plain, show_error, t
from viz.app.theme import is_dark
from viz.pages.text import job
from viz.pages.text.download import table_download
from viz.pages.text.figures import half_reached, reach_figure
from viz.pages.text.measures import (
    GRAINS,
    REMEMBERED,
    Measure,
    by_group,
    measure,
    names,
    passages,
    remembered,
)
from viz.pages.text.passage import FOLD, passage_section
from viz.ui.chart import chart
from viz.ui.controls import choice, layer_choice
from viz.ui.mark import choose_mark, mark_of
from viz.ui.moment import choose_moment, moment_of
from viz.ui.places import place_of
from viz.ui.sentences import characters_of, sentence_of
from viz.ui.text_view import Painted, text_view

MOST_PLACES = 5000
"""Labels of the document's parts beside the text."""
STRONGEST = 12
"""Passages in the table of what is remembered."""
WORDS = (
    *("search", "text", "map", "found_before", "found_after", "worst_before", "worst_after", "to_moment"),
    *("found", "token", "rank", "mark_other"),
)


def render(recording: Recording) -> None:
    """Draw the page for ``recording``."""
    _collect()
    text = session.text_of(recording)
    if text is None:
        st.info(t("text.no_text"), icon=":material/description:")
        return
    onset = _onset(recording)
    moment, mark = moment_of(recording), mark_of(recording)
    _finding(recording, text, onset)
    found, grain, layer, shares = _controls(recording, moment)
    starts, tokens = _spans(recording, text)
    shown = by_group(found, np.searchsorted(tokens, np.arange(recording.read_tokens), side="right") - 1)
    if grain != "token":
        passage = passages(text, starts, grain)
        whole = by_group(shown, passage)
        shown = replace(whole, values=whole.values[passage])
    low, high = shown.limits()
    text_view(
        Painted(
            text=text,
            starts=starts,
            tokens=tokens,
            values=shown.values,
            base=shown.base,
            low=low,
            high=high,
            digits=shown.digits,
            end=recording.read_tokens,
        ),
        key="text_view",
        moment=moment,
        mark=None if mark is None else (mark.start, mark.stop),
        places=_places(recording),
        words={name: t(f"text.view_{name}") for name in WORDS}
        | {"measure": t(f"text.measure_{found.name}"), "unit": t(f"text.unit_{found.name}")},
        on_choice=choose_moment,
        on_mark=_choose_mark,
    )
    ends = {"low": f"{low:.{shown.digits}f}", "high": f"{high:.{shown.digits}f}"}
    legend = t("text.legend" if low < shown.base else "text.legend_above", **ends)
    with st.container(horizontal=True, vertical_alignment="top"):
        st.caption(f"{legend} {t('text.keys')}", width="stretch")
        table_download(recording, text)
    passage_section(recording, text, starts, tokens, moment)
    if shares is not None:
        _remembered(recording, text, starts, tokens, shares, layer)


def _choose_mark(ends: tuple[int, int] | None) -> None:
    """Mark the tokens from the first to before the second of ``ends``, and open what is said of them; None: no mark."""
    choose_mark(None if ends is None else Passage(start=ends[0], stop=ends[1]))
    st.session_state[FOLD] = ends is not None


def _collect() -> None:
    ended = job.SHARES.collect()
    if ended is not None and ended.result is not None:
        st.toast(t("text.computed"), icon=":material/check:")


def _onset(recording: Recording) -> int | None:
    control = recording.array(CONTROL_LOSS) if recording.has(CONTROL_LOSS) else None
    return collapse_onset(recording.array(LOSS), control, recording.train_length)


def _finding(recording: Recording, text: str, onset: int | None) -> None:
    """Where the collapse begins, in the words of the document."""
    if onset is None:
        st.markdown(t("text.no_onset"))
        return
    where = place_of(recording, onset)
    words = {"token": onset + 1, "sentence": plain(sentence_of(recording, text, onset))}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(t("text.onset_at", place=where, **words) if where else t("text.onset", **words), width="stretch")
        st.button(
            t("text.go_to_onset"),
            icon=":material/my_location:",
            key="text_onset",
            on_click=choose_moment,
            args=(onset,),
        )


def _controls(recording: Recording, moment: int | None) -> tuple[Measure, str, int | None, Shares | None]:
    """What the text is coloured by, over which passages, of which layer, and the shares if they are it."""
    explored = session.explored(recording.experiment.model)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = choice(
            t("text.colour_by"),
            names(recording, explored),
            key="text_measure",
            words=lambda option, locale: message(f"text.measure_{option}", locale),
            help=t("text.colour_by_help"),
        )
        grain = choice(
            t("text.grain"),
            GRAINS,
            key="text_grain",
            words=lambda option, locale: message(f"text.grain_{option}", locale),
        )
        layer = layer_choice(range(len(recording.meta.layers)), key="text_layer")
        head = None
        if layer is not None:
            heads = ["all", *map(str, range(recording.meta.nheads))]
            chosen = choice(
                t("text.head"),
                heads,
                key="text_head",
                words=lambda option, locale: (
                    message("text.all_heads", locale)
                    if option == "all"
                    else message("text.head_n", locale, head=option)
                ),
            )
            head = None if chosen == "all" else int(chosen)
    if name != REMEMBERED:
        return measure(recording, name, explored, layer, head), grain, layer, None
    nothing = remembered(np.zeros(0, np.float32), recording.read_tokens)
    if obstacle := no_shares(recording.meta.layers):
        st.info(t(f"shares.{obstacle}", model=plain(recording.experiment.model)), icon=":material/info:")
        return nothing, grain, layer, None
    if moment is None:
        st.info(t("text.choose_moment"), icon=":material/ads_click:")
        return nothing, grain, layer, None
    shares = Shares.load(job.folder_of(recording), moment + 1)
    if shares is None:
        _compute(recording, moment)
        return nothing, grain, layer, None
    return remembered(_of(shares, layer, head), recording.read_tokens), grain, layer, shares


def _of(shares: Shares, layer: int | None, head: int | None) -> np.ndarray:
    """(moment,): of one head the shares of its chunks, spread over their tokens."""
    if layer is None or head is None:
        return shares.token_shares(layer)
    chunks = shares.by_chunk[layer, head]
    lengths = np.diff(np.minimum(np.arange(len(chunks) + 1) * CHUNK, shares.moment))
    return np.repeat(chunks / np.maximum(lengths, 1), lengths)


def _compute(recording: Recording, moment: int) -> None:
    """The button that computes the shares of ``moment``, and the job that does."""
    stored = [other for other in stored_moments(job.folder_of(recording)) if other != moment + 1]
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t("text.compute", token=moment + 1),
            key="text_compute",
            type="primary",
            icon=":material/psychology:",
            disabled=job.SHARES.active,
        )
        st.caption(t("text.compute_help"))
        for other in stored[:3]:
            stored_key, said = f"text_stored_{other}", t("text.stored", token=other)
            st.button(said, key=stored_key, type="tertiary", on_click=choose_moment, args=(other - 1,))
    if clicked:
        text = session.text_of(recording)
        try:
            job.start(recording, text or "", moment + 1)
        except UserError as error:
            show_error(error)
        else:
            st.rerun()
    job.SHARES.show_failure()
    job.SHARES.show_progress()


def _remembered(
    recording: Recording, text: str, starts: np.ndarray, tokens: np.ndarray, shares: Shares, layer: int | None
) -> None:
    """What the state holds: how far back, and the passages that it holds most of."""
    half = half_reached(shares.token_shares(layer))
    initial = float(shares.initial.mean() if layer is None else shares.initial[layer])
    within = float(shares.token_shares(layer)[-recording.train_length :].sum())
    columns = st.columns(3)
    half_words = "–" if half is None else t("text.tokens", count=half)
    columns[0].metric(t("text.half"), half_words, help=t("text.half_help"), border=True)
    columns[1].metric(t("text.within"), f"{within:.0%}", help=t("text.within_help"), border=True)
    columns[2].metric(t("text.initial"), f"{initial:.1%}", help=t("text.initial_help"), border=True)
    grid = st.grid(2, min_column_width=360)
    by_layer = shares.by_token if layer is None else shares.by_token[layer : layer + 1]
    with grid.cell():
        chart(
            reach_figure(by_layer, train_length=recording.train_length, dark=is_dark()),
            key="text_reach",
            title=t("text.reach"),
            explanation=t("text.reach_help"),
            alt=t("text.reach_alt", tokens=half_words),
            data=pd.DataFrame(by_layer.T, columns=[f"layer_{index}" for index in range(len(by_layer))]),
        )
    with grid.cell():
        _strongest(recording, text, starts, tokens, shares.token_shares(layer))


def _strongest(recording: Recording, text: str, starts: np.ndarray, tokens: np.ndarray, shares: np.ndarray) -> None:
    """The passages that the state holds most of, as a table."""
    passage = passages(text, starts, "paragraph")
    if passage[-1] < 2:
        passage = passages(text, starts, "line")
    before = np.concatenate([[0], np.cumsum(shares, dtype=np.float64)])
    ends = np.minimum([*tokens[1:], len(shares)], len(shares))
    share = np.bincount(passage, before[ends] - before[np.minimum(tokens, len(shares))])
    first = np.searchsorted(passage, np.arange(len(share)))
    best = np.argsort(-share)[:STRONGEST]
    table = pd.DataFrame(
        {
            t("text.column_share"): share[best],
            t("text.column_token"): tokens[first[best]] + 1,
            t("text.column_place"): [place_of(recording, int(tokens[first[number]])) for number in best],
            t("text.column_text"): [" ".join(text[starts[first[number]] :][:160].split()) for number in best],
        }
    )
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{t('text.strongest')}**", help=t("text.strongest_help"))
        st.dataframe(
            table,
            hide_index=True,
            key="text_strongest",
            column_config={t("text.column_share"): st.column_config.NumberColumn(format="percent")},
            alt=t("text.strongest"),
        )


def _spans(recording: Recording, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Where each span of the text begins, and its token: a span a token, or a chunk where the tokens are not known.

    Several tokens may begin at one character, of which each writes a part: they share the span of the first.
    """
    exact = characters_of(recording, text)
    if exact is None:
        position, character = recording.array(POSITION)[:-1], recording.array(CHARACTER)[:-1]
        starts, first = np.unique(character, return_index=True)
        return starts.astype(np.int64), position[first].astype(np.int64)
    starts, first = np.unique(exact[: recording.read_tokens], return_index=True)
    return starts.astype(np.int64), first.astype(np.int64)


def _places(recording: Recording) -> Sequence[tuple[int, str]]:
    """Labels of the parts of the document, where it is still here and has parts."""
    key = session.document_of(recording.experiment.document)
    if key is None:
        return []
    try:
        document: Document = session.document(key)
    except UserError:
        return []
    return [(place.start, document.place(place.start, language())) for place in document.places[:MOST_PLACES]]
