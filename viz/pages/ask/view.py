"""What does the model say after reading so far: does it still write, or only repeat itself?

The state at a moment is continued, or a question is read on from it, for several recordings side by side. Short
continuations along the document show from where on the model repeats itself.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from model.errors import UserError
from model.recording.reader import Recording
from model.studies.ask.result import REPEATS, Along, Answer
from viz.app import session
from viz.app.language import plain, show_error, t
from viz.app.theme import is_dark
from viz.pages.ask import job
from viz.pages.ask.controls import choose
from viz.pages.ask.figures import Line, along_figure, along_table
from viz.pages.ask.job import Asked
from viz.pages.ask.states import state_files
from viz.ui.chart import chart
from viz.ui.moment import follow_clicks, mark_moment
from viz.ui.visible import has_glyph, visible

BREAK = '<span style="opacity: 0.5">↵</span>'
ROWS = 10
"""Rows of the table of next tokens."""
LETTERS = "ABCD"
TEXT_STYLE = "white-space: pre-wrap; overflow-wrap: anywhere; height: 11em; overflow-y: auto"


def render(recording: Recording) -> None:
    """Draw the page for ``recording``."""
    job.ASK.collect()
    text = session.text_of(recording)
    if text is None:
        st.info(t("ask.no_text"), icon=":material/description:")
        return
    top = st.container()
    moment, question, along, others = choose(recording)
    shown = [recording, *others]
    titles = [plain(title) for title in session.short_titles_of(shown)]
    asked = [job.asked_of(each, question, moment, along=along) for each in shown]
    _run(asked, text)
    answers = [each.answer() for each in asked]
    summaries = [each.summary() for each in asked]
    with top:
        _finding(asked, answers, summaries, titles)
    if any(answer is not None for answer in answers):
        _answers(asked, answers, titles)
    if all(summary is not None for summary in summaries) and along:
        _along(shown, [summary for summary in summaries if summary is not None], titles)
    state_files(recording, text, moment)


def _run(asked: Sequence[Asked], text: str) -> None:
    """The button, and beside it what pressing it costs."""
    lacking = [each.lacking() for each in asked]
    read = sum(max((moment for moment, _ in each), default=0) for each in lacking)
    written = sum(question.length for each in lacking for _, question in each)
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t("ask.run" if read else "ask.run_done"),
            key="ask_run",
            type="primary",
            icon=":material/forum:" if read else ":material/check:",
            disabled=job.ASK.active or not read,
        )
        st.caption(t("ask.estimate", read=read, written=written) if read else t("ask.estimate_nothing"))
    if clicked:
        try:
            job.start(asked, text)
        except UserError as error:
            show_error(error)
        else:
            st.rerun()
    job.ASK.show_failure()
    job.ASK.show_progress()


def _finding(
    asked: Sequence[Asked],
    answers: Sequence[Answer | None],
    summaries: Sequence[Along | None],
    titles: Sequence[str],
) -> None:
    """What the comparison says: along the document, then at the moment; only what was measured."""
    known = [(title, summary) for title, summary in zip(titles, summaries, strict=True) if summary is not None]
    sentences = [along_words(*known[0])] if known else []
    since = known[0][1].repeats_from if known else None
    for title, summary in known[1:]:
        share = summary.repetition_since(since) if since is not None else math.nan
        sentences.append(
            along_words(title, summary) if math.isnan(share) else t("ask.finding_there", who=title, share=share)
        )
    if sentences:
        st.subheader(sentences[0], anchor=False)
        for sentence in sentences[1:]:
            st.markdown(sentence)
    here = [
        t("ask.here_one", who=title, share=answer.repetition, nats=answer.mean_entropy)
        for title, answer in zip(titles, answers, strict=True)
        if answer is not None and not math.isnan(answer.repetition)
    ]
    if here:
        st.markdown(t("ask.here", moment=asked[0].moment, numbers=t("ask.here_comma").join(here)))
    st.caption(t("ask.what_to_look_at"))


def along_words(who: str, along: Along) -> str:
    """What continuations along a document say of one recording."""
    if math.isnan(along.within_repetition) or math.isnan(along.beyond_repetition):
        return t("ask.finding_short", who=who)
    numbers = {"within": along.within_repetition, "share": along.beyond_repetition}
    if along.repeats_from is not None:
        numbers["share"] = along.repetition_since(along.repeats_from)
        return t("ask.finding_from", who=who, token=along.repeats_from, **numbers)
    if along.within_repetition >= REPEATS:
        return t("ask.finding_always", who=who, **numbers)
    return t("ask.finding_fine", who=who, **numbers)


def _answers(asked: Sequence[Asked], answers: Sequence[Answer | None], titles: Sequence[str]) -> None:
    grid = st.grid(len(asked), min_column_width=300)
    for place, (each, answer, title) in enumerate(zip(asked, answers, titles, strict=True)):
        with grid.cell(), st.container(border=True, height="stretch"):
            st.markdown(f"**{LETTERS[place]} · {title}**")
            if answer is None:
                st.caption(t("ask.not_asked"))
            else:
                _answer(each, answer, place)


def _answer(asked: Asked, answer: Answer, place: int) -> None:
    """One column: the text, its numbers, and the table of next tokens."""
    if not answer.decoded:
        st.caption(t("ask.ids_only"))
    question = f"<b>{shown(asked.question.text)}</b>" if asked.question.text else ""
    words = question + shown(answer.text)
    st.html(f'<div style="{TEXT_STYLE}">{words}</div>')
    if len(answer.tokens) < asked.question.length:
        st.caption(t("ask.overflowed", tokens=len(answer.tokens)))
    with st.container(horizontal=True):
        repeated = "–" if math.isnan(answer.repetition) else f"{answer.repetition:.0%}"
        nats = "–" if math.isnan(answer.mean_entropy) else f"{answer.mean_entropy:.2f}"
        st.metric(t("ask.repetition"), repeated, help=t("ask.repetition_help"))
        st.metric(t("ask.entropy"), nats, help=t("ask.entropy_help"))
    if answer.follows is not None:
        real = answer.follows
        words = plain(visible(real.text))
        st.caption(t("ask.follows", token=words, rank=real.rank, probability=real.probability))
    table = pd.DataFrame(
        {
            t("ask.column_token"): [visible(each.text) for each in answer.next[:ROWS]],
            t("ask.column_probability"): [each.probability for each in answer.next[:ROWS]],
        }
    )
    title = t("ask.next_after_question" if asked.question.text else "ask.next")
    st.markdown(f"**{title}**", help=t("ask.next_help"))
    st.dataframe(
        table,
        hide_index=True,
        key=f"ask_next_{place}",
        height=210,
        column_config={
            t("ask.column_probability"): st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)
        },
        alt=title,
    )


def shown(text: str) -> str:
    """``text`` as HTML that shows it as it is, with its line breaks to be seen, so that empty lines take no room.

    What has no glyph, and marks that turn the direction of writing, are replaced.
    """
    words = html.escape("".join(sign if sign == "\n" or has_glyph(sign) else "�" for sign in text))
    return re.sub(r"\n+", lambda breaks: BREAK * len(breaks[0]) + "\n", words)


def _along(shown: Sequence[Recording], summaries: Sequence[Along], titles: Sequence[str]) -> None:
    """The chart along the document; a click looks at that moment."""
    lines = [
        Line(letter, title, summary, each.summary.get("collapse_onset"))
        for letter, title, summary, each in zip(LETTERS, session.short_titles_of(shown), summaries, shown, strict=False)
    ]
    dark = is_dark()
    figure = along_figure(lines, train_length=shown[0].train_length, dark=dark)
    chart(
        mark_moment(figure, shown[0], dark=dark),
        key="ask_along_chart",
        title=t("ask.along_title"),
        explanation=t("ask.along_explanation", limit=REPEATS),
        alt=" ".join(along_words(title, summary) for title, summary in zip(titles, summaries, strict=True)),
        data=along_table(lines),
    )
    follow_clicks(shown[0], "ask_along_chart")
