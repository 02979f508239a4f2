"""What should be done with a document: one button reads it with every sensible strategy and says which one to use.

One document gives a verdict, a recommendation with what it costs, and every strategy with its interval; several give a
table of documents, those that need attention first (see :mod:`model.studies.diagnose`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import streamlit as st

from model.errors import UserError
from model.studies.diagnose import Diagnosis
from viz.app import links, session
from viz.app.choices import Choices
from viz.app.language import language, plain, show_error, t
from viz.pages.diagnose import job as work
from viz.pages.diagnose import many, one
from viz.pages.diagnose.job import DIAGNOSIS, Known, Question

LIVE = 2.0
"""Seconds between two drawings while strategies come in."""
MOST = 50
"""Documents of one run."""


def render(chosen: Choices) -> None:
    """Draw the page for what the sidebar has chosen."""
    st.markdown(t("diagnose.intro"))
    work.collect()
    question = Question.of(chosen)
    keys = _documents(chosen)
    active = DIAGNOSIS.active
    _run(keys, chosen, question, active)
    DIAGNOSIS.show_progress(t("diagnose.running"))
    for key, error in work.failures().items():
        st.error(
            t("diagnose.failed", name=plain(session.document_title(key)), why=plain(error.sentence(language()))),
            icon=":material/error:",
        )
    asked = DIAGNOSIS.asked if active else tuple(keys)
    live = st.fragment(_results, run_every=LIVE if active else None)
    live(asked, question, active)


def _documents(chosen: Choices) -> list[str]:
    """The document of the sidebar, and those that are diagnosed with it."""
    others = {key: session.document_title(key) for key in session.document_keys() if key != chosen.document}
    picked = links.choices(
        "dg_more",
        others,
        [],
        t("diagnose.more"),
        most=MOST - 1,
        placeholder=t("app.choose"),
        help=t("diagnose.more_help"),
    )
    return [chosen.document, *picked]


def _run(keys: Sequence[str], chosen: Choices, question: Question, active: bool) -> None:
    """The button, and beside it what pressing it means."""
    try:
        found = _found(keys, question)
    except UserError as error:
        show_error(error)
        return
    done = all(diagnosis is not None and diagnosis.complete for diagnosis in found.values())
    begun = any(diagnosis is not None for diagnosis in found.values())
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t("diagnose.run_again" if done else "diagnose.run_more" if begun else "diagnose.run"),
            key="dg_run",
            type="secondary" if done else "primary",
            icon=":material/stethoscope:",
            disabled=active,
        )
        numbers = {"documents": len(keys), "strategies": len(question.wanted)}
        st.caption(t("diagnose.estimate", model=plain(chosen.model), **numbers))
    if clicked:
        try:
            work.start(keys, chosen, question)
        except UserError as error:
            show_error(error)
        else:
            st.rerun()
    DIAGNOSIS.show_failure()


def _titles(keys: Iterable[str]) -> dict[str, str]:
    """What documents are called, made different where two are the same."""
    titles = {key: session.document_title(key) for key in keys}
    count = Counter(titles.values())
    return {key: f"{title} ({key[-4:]})" if count[title] > 1 else title for key, title in titles.items()}


def _found(keys: Sequence[str], question: Question) -> dict[str, Diagnosis | None]:
    """What is known of every document."""
    known = Known()
    return {key: known.of(session.document(key).sha256, question) for key in keys}


def _results(keys: Sequence[str], question: Question, active: bool) -> None:
    """What is known; while it is read, this is drawn anew every other second."""
    found = {key: one for key, one in _found(keys, question).items() if one is not None and one.strategies}
    if not found:
        if not active:
            st.info(t("diagnose.nothing_yet"), icon=":material/stethoscope:")
        return
    titles = _titles(found)
    if len(keys) == 1:
        one.render(found[keys[0]], titles[keys[0]], question, active)
    else:
        many.render(found, titles, question, active)
