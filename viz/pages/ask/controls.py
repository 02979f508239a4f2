"""The controls of the page: the moment, what it is compared with, the question, and how the continuation is drawn."""

from __future__ import annotations

import streamlit as st

from model.recording.catalogue import Entry
from model.recording.reader import Recording
from model.studies.ask.result import SHORT, Question
from viz.app import links, session
from viz.app.language import t
from viz.ui.moment import choose_moment, moment_of

MOMENT = "ask_moment"
MOST_OTHERS = 3
MOST_CHARACTERS = 2000
"""Characters of a question: it is part of the link."""


def choose(recording: Recording) -> tuple[int, Question, bool, list[Recording]]:
    """Draw the controls: the moment in tokens, the question, whether it is asked along the document, and of whom."""
    with st.container(border=True, key="ask-settings"):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            moment = _moment(recording)
            others = _others(recording)
        text = st.text_area(
            t("ask.question"),
            key="ask_question",
            placeholder=t("ask.question_placeholder"),
            help=t("ask.question_help"),
            max_chars=MOST_CHARACTERS,
            height=90,
            bind="query-params",
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            length = _number("length", 8, 500, SHORT, step=8)
            temperature = _number("temperature", 0.0, 2.0, 0.0, step=0.1)
            top_p = _number("top_p", 0.05, 1.0, 1.0, step=0.05)
            seed = _number("seed", 0, 9999, 0, step=1)
            along = st.toggle(
                t("ask.along"), value=True, key="ask_along", help=t("ask.along_help"), bind="query-params"
            )
    question = Question(
        text=text or "",
        length=int(length),
        temperature=round(float(temperature), 3),
        top_p=round(float(top_p), 3),
        seed=int(seed) if temperature else 0,  # without draws all seeds are one question
    )
    return moment, question, along, others


def _number(name: str, low: float, high: float, value: float, *, step: float) -> float:
    return st.number_input(
        t(f"ask.{name}"),
        low,
        high,
        value,
        step,
        key=f"ask_{name}",
        help=t(f"ask.{name}_help"),
        width=130,
        bind="query-params",
    )


def _moment(recording: Recording) -> int:
    """Tokens that have been read: those up to the chosen moment, else to the collapse onset, else all."""
    onset, end = recording.summary.get("collapse_onset"), recording.read_tokens
    token = moment_of(recording)
    default = end if onset is None else min(int(onset) + 1, end)
    st.session_state[MOMENT] = default if token is None else token + 1

    def look(tokens: int | None = None) -> None:
        choose_moment((st.session_state[MOMENT] if tokens is None else tokens) - 1)

    moment = st.number_input(t("ask.moment"), 1, end, key=MOMENT, help=t("ask.moment_help"), width=170, on_change=look)
    places = {"train_length": recording.train_length, "onset": None if onset is None else int(onset) + 1, "end": end}
    for name, tokens in places.items():
        if tokens is not None and tokens <= end:
            st.button(t(f"ask.to_{name}"), key=f"ask_to_{name}", on_click=look, args=(tokens,))
    return int(moment)


def _others(recording: Recording) -> list[Recording]:
    """Recordings of the same document in the same tokens, to put beside this one."""
    found = {
        key: entry
        for key, entry in session.visible_recordings().items()
        if key != recording.key
        and entry.experiment.document == recording.experiment.document
        and entry.experiment.tokens == recording.tokens
    }
    if not found:
        return []
    short = dict(zip(found, session.short_titles_of(list(found.values())), strict=True))
    titles = short if len(set(short.values())) == len(short) else session.titles_of(found)
    st.session_state.setdefault("ask_others_of", recording.key)
    if st.session_state["ask_others_of"] != recording.key:  # another recording has other neighbours
        st.session_state.pop("ask_others", None)
        st.session_state["ask_others_of"] = recording.key
    picked = links.choices(
        "ask_others",
        titles,
        _default(recording, found),
        t("ask.others"),
        most=MOST_OTHERS,
        placeholder=t("app.choose"),
        help=t("ask.others_help"),
    )
    return [session.opened(found[key].path) for key in picked]


def _default(recording: Recording, found: dict[str, Entry]) -> list[str]:
    """Beside a mitigated reading the plain one, beside the plain one a mitigated one; of the same model."""
    wanted = not recording.experiment.plain
    same = [key for key, entry in found.items() if entry.experiment.weights == recording.experiment.weights]
    return [key for key in same if found[key].experiment.plain == wanted][:1]
