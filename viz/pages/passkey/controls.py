"""The controls of the passkey test: task, filler, lengths, depths and trials."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from model.messages import message
from model.studies.passkey import PasskeyTask, Reader, even_depths
from model.studies.passkey.questions import QUESTIONS
from model.studies.passkey.task import FILLERS, MAX_DIGITS
from model.studies.passkey.words import SHAPES
from model.studies.recall import PASSKEYS
from viz.app import links, session
from viz.app.language import language, t
from viz.pages.passkey import job as passkeys
from viz.ui.controls import choice

LONGEST = (2, 4, 8, 16, 32, 64, 128)
"""Lengths of the longest text that can be chosen, in training lengths."""


def task_of(reader: Reader) -> tuple[PasskeyTask, str]:
    """Draw the controls; the test that they describe and the text of its document, "" if it has none.

    UserError if the model cannot run that task.
    """
    with st.container(border=True, key="passkey-settings"):
        st.markdown(f"**{t('passkey.settings')}**")
        first, second = st.container(horizontal=True), st.container(horizontal=True)
    with first:
        titles = {name: t(f"recall.{name}_title") for name in QUESTIONS}
        question = links.choice("pk_question", titles, t("passkey.which_question"), help=_help())
        filler, document, text = _filler()
        locales = sorted(PASSKEYS, key=lambda locale: locale != language())
        locale = choice(t("passkey.which_language"), locales, key="pk_language", words=_language_name)
    with second:
        task = PasskeyTask(
            language=locale,
            lengths=(reader.train_length,),
            depths=even_depths(_depths()),
            trials=_number("trials", 1, 200, 10, help=t("passkey.which_trials_help")),
            filler=filler,
            document=document,
            question=question,
            **_needle(question),
        )
        longest = st.select_slider(
            t("passkey.which_longest"),
            LONGEST,
            value=16,
            key="pk_longest",
            bind="query-params",
            help=t("passkey.which_longest_help", train_length=reader.train_length),
        )
    return replace(task, lengths=passkeys.lengths(task, reader, longest)), text


def _help() -> str:
    lines = [f"- **{t(f'recall.{name}_title')}**: {t(f'recall.{name}_help')}" for name in QUESTIONS]
    return "\n".join([t("passkey.which_question_help"), "", *lines])


def _filler() -> tuple[str, str, str]:
    """The kind of filler, and the hash and the text of its document."""
    documents = {key: session.document_title(key) for key in session.document_keys()}
    kinds = {name: t(f"passkey.filler_{name}") for name in FILLERS if name != "text"}
    chosen = links.choice(
        "pk_filler", kinds | documents, t("passkey.which_filler"), help=t("passkey.which_filler_help")
    )
    if chosen in kinds:
        return chosen, "", ""
    document = session.document(chosen)
    return "text", document.sha256, document.text


def _needle(question: str) -> dict[str, Any]:
    """How many needles there are, and what a key is made of; only what the task has."""
    row, found = QUESTIONS[question], dict[str, Any]()
    if row.high > row.low:
        usual = min(max(row.low, 4), row.high)
        found["count"] = _number("count", row.low, row.high, usual, key=f"pk_count_{question}")
    if row.sized:
        found["digits"] = _number("digits", 1, MAX_DIGITS, 5)
    if row.shaped:
        shapes = {name: t(f"passkey.shape_{name}") for name in SHAPES}
        found["shape"] = links.choice("pk_shape", shapes, t("passkey.which_shape"))
    return found


def _depths() -> int:
    label, help = t("passkey.which_depths"), t("passkey.which_depths_help")
    return st.slider(label, 2, 11, 5, key="pk_depths", bind="query-params", help=help)


def _number(name: str, low: int, high: int, usual: int, key: str | None = None, help: str | None = None) -> int:
    label = t(f"passkey.which_{name}")
    return int(st.number_input(label, low, high, usual, key=key or f"pk_{name}", bind="query-params", help=help))


def _language_name(option: str, locale: str) -> str:
    return message(f"passkey.language_{option}", locale)
