"""A marked passage: what it says, how long until it is forgotten, and which head holds it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from model.errors import UserError
from model.experiment import Strategy
from model.recording.reader import Recording
from model.studies.passage.result import MOST_TOKENS, Forgetting, Passage, planned
from viz.app import links
from viz.app.choices import describe
from viz.app.language import language, plain, show_error, t
from viz.app.theme import is_dark
from viz.figures.forgetting import Line, forgetting_figure, forgetting_table
from viz.pages.text import passage_job
from viz.pages.text.heads import which_head
from viz.ui.chart import chart
from viz.ui.fold import fold
from viz.ui.mark import choose_mark, mark_of
from viz.ui.places import place_of

FOLD = "text_passage"
ENDS = ("text_passage_first", "text_passage_last")
"""The two numbers that say where the passage begins and ends."""
MOST_STRATEGIES = 4
QUOTED = 240
"""Characters of the passage that are shown."""
BETWEEN = {"en": " ", "ja": ""}
"""What stands between two sentences."""
MEASURES = ("remembered", "gain")


def passage_section(
    recording: Recording, text: str, starts: np.ndarray, tokens: np.ndarray, moment: int | None
) -> None:
    """Draw the fold; ``starts`` and ``tokens`` (n,) are the characters and tokens at which spans of ``text`` begin."""
    for job in (passage_job.FOLLOW, passage_job.HEADS):
        job.collect()
    with fold(t("text.passage_title"), key=FOLD, icon=":material/format_ink_highlighter:") as opened:
        if not opened:
            return
        passage = _chosen(recording)
        if passage is None:
            return
        first = max(0, int(np.searchsorted(tokens, passage.start, side="right")) - 1)
        after = int(np.searchsorted(tokens, passage.stop))
        end = int(starts[after]) if after < len(starts) else len(text)
        words = " ".join(text[int(starts[first]) : end].split())
        where = place_of(recording, passage.start)
        st.markdown(f"> {plain(words[:QUOTED])}{'…' if len(words) > QUOTED else ''}")
        counted = t("text.passage_tokens", start=passage.start + 1, stop=passage.stop, count=passage.length)
        st.caption(f"{counted} {where}")
        try:
            passage.check(recording.read_tokens)
        except UserError as error:
            show_error(error)
            return
        _forgetting(recording, text, passage)
        which_head(recording, text, passage, moment)


def _chosen(recording: Recording) -> Passage | None:
    """The marked passage; how to mark one, and two numbers that do it without a mouse."""
    passage = mark_of(recording)
    st.caption(t("text.passage_how", most=MOST_TOKENS))
    if passage is not None:
        st.session_state.update(zip(ENDS, (passage.start + 1, passage.stop), strict=True))

    def mark() -> None:
        first, last = (st.session_state[key] for key in ENDS)
        if first and last:
            choose_mark(Passage(start=min(first, last) - 1, stop=max(first, last)))

    def clear() -> None:
        choose_mark(None)
        st.session_state.update(dict.fromkeys(ENDS))

    with st.container(horizontal=True, vertical_alignment="bottom"):
        for key in ENDS:
            st.session_state.setdefault(key, None)
            st.number_input(t(key.replace("_", ".", 1)), 1, recording.read_tokens, key=key, width=160, on_change=mark)
        st.button(
            t("text.passage_clear"),
            key="text_passage_clear",
            icon=":material/backspace:",
            type="tertiary",
            disabled=passage is None,
            on_click=clear,
        )
    return passage


def _forgetting(recording: Recording, text: str, passage: Passage) -> None:
    """How long until the passage is forgotten, by strategy."""
    st.subheader(t("text.forget_title"), anchor=False, help=t("text.forget_help"))
    offered = passage_job.strategies(recording)
    advised = passage_job.recommended(recording)
    labels = {name: _label(strategy, advised) for name, strategy in offered.items()}
    best = "" if advised is None else advised.text
    default = list(dict.fromkeys([next(iter(offered)), "plain", *([best] if best in offered else [])]))
    picked = links.choices(
        "text_strategies",
        labels,
        default,
        t("text.strategies"),
        most=MOST_STRATEGIES,
        placeholder=t("app.choose"),
        help=t("text.strategies_help"),
    )
    chosen = {name: offered[name] for name in picked}
    known = passage_job.known(recording, passage, chosen)
    lacking = {name: offered[name] for name in picked if not known[name].complete}
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t("text.follow" if lacking or not picked else "text.follow_done"),
            key="text_follow",
            type="primary" if lacking else "secondary",
            icon=":material/hourglass_bottom:" if lacking else ":material/check:",
            disabled=passage_job.FOLLOW.active or not lacking,
        )
        about = {"probes": len(planned(passage, recording.tokens)), "rest": recording.tokens - passage.stop}
        if lacking:
            st.caption(t("text.follow_cost", strategies=len(lacking), **about))
    if clicked:
        try:
            passage_job.start_following(recording, text, passage, lacking)
        except UserError as error:
            show_error(error)
        else:
            st.rerun()
    passage_job.FOLLOW.show_failure()
    passage_job.FOLLOW.show_progress()
    found = {name: each for name, each in known.items() if each.probes}
    if found:
        _found(recording, labels, found)


def _label(strategy: Strategy, advised: Strategy | None) -> str:
    name = describe(strategy)
    return t("text.recommended", name=name) if strategy == advised else name


def _found(recording: Recording, labels: Mapping[str, str], found: Mapping[str, Forgetting]) -> None:
    """The finding in a sentence, a row for every strategy, and the curves."""
    names = {name: plain(labels[name]) for name in found}
    for name, each in found.items():
        st.markdown(f"**{names[name]}**{t('text.colon')}{_finding(each)}")
    measure = links.switch("text_against", {name: t(f"text.against_{name}") for name in MEASURES}, t("text.against"))
    _table(labels, found, measure)
    lines = [Line(labels[name], each) for name, each in found.items()]
    chart(
        forgetting_figure(
            lines, measure=measure, train_length=recording.train_length, language=language(), dark=is_dark()
        ),
        key="text_forgetting",
        title=t("text.forget_chart"),
        explanation=t("text.forget_chart_help"),
        alt=" ".join(f"{names[name]}: {_finding(each)}" for name, each in found.items()),
        data=forgetting_table(lines),
    )


def _finding(found: Forgetting) -> str:
    """What is known of one strategy: by the state, then by what the model does."""
    parts = []
    if found.shares:
        half, gone = found.half_life(), found.forgotten()
        parts.append(t("text.half_unseen") if half is None else t("text.half_after", tokens=round(half)))
        parts.append(t("text.gone_unseen") if gone is None else t("text.gone_after", tokens=round(gone)))
    else:
        parts.append(t("text.no_share"))
    if found.probes and not math.isnan(found.probes[-1].remembered.mean):
        parts.append(_until(found, found.lost(), "help"))
        if any(probe.recalled for probe in found.probes):
            parts.append(_until(found, found.unanswered(), "key"))
    return BETWEEN[language()].join(parts)


def _until(found: Forgetting, ended: int | None, what: str) -> str:
    """How long something held: at every distance, at none, or up to the one before where it ``ended``."""
    if ended is None:
        return t(f"text.{what}_to_the_end")
    before = [probe.distance for probe in found.probes if probe.distance < ended]
    return t(f"text.{what}_until", last=before[-1], tokens=ended) if before else t(f"text.{what}_never")


def _table(labels: Mapping[str, str], found: Mapping[str, Forgetting], measure: str) -> None:
    rows = []
    for name, each in found.items():
        share = each.share()[1]
        first, last = (getattr(each.probes[place], measure) for place in (0, -1))
        rows.append(
            {
                t("text.column_strategy"): labels[name],
                t("text.column_share_end"): float(share[0]) if len(share) else None,
                t("text.column_half"): _rounded(each.half_life()),
                t("text.column_gone"): _rounded(each.forgotten()),
                t("text.column_known_first"): first.mean,
                t("text.column_lost"): each.lost(),
                t("text.column_known_last"): last.mean,
            }
        )
    formats = {
        t("text.column_share_end"): st.column_config.NumberColumn(format="percent"),
        t("text.column_known_first"): st.column_config.NumberColumn(format="%.2f"),
        t("text.column_known_last"): st.column_config.NumberColumn(format="%.2f"),
    }
    for name in ("half", "gone", "lost"):
        formats[t(f"text.column_{name}")] = st.column_config.NumberColumn(
            format="localized", help=t("text.column_tokens_help")
        )
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, key="text_forget_table", column_config=formats, alt=t("text.forget_title")
    )


def _rounded(tokens: float | None) -> int | None:
    return None if tokens is None else round(tokens)
