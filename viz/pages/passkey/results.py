"""Stored results: the choice of one or two that are shown, their files, and the button that keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from model.studies.passkey import PasskeyResult, PasskeyTask, Reader
from model.studies.passkey.compare import on_common_grid
from model.studies.passkey.questions import QUESTIONS
from viz.app import links, session
from viz.app.choices import describe_reading
from viz.app.language import t
from viz.jobs.passkeys import TEST
from viz.pages.passkey import job as passkeys
from viz.pages.passkey.figures import short

SETTINGS, NONE = "settings", "none"


def choose(known: Sequence[PasskeyResult]) -> tuple[str, ...]:
    """Draw the boxes that choose a stored result and another beside it; their keys, none for the settings' own."""
    found = passkeys.listed(known)
    asked = None if "pk_result" in st.session_state else st.query_params.get("pk_result")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        labels = {SETTINGS: t("passkey.results.of_settings")} | _labels(found)
        first = links.choice("pk_result", labels, t("passkey.results.which"), help=t("passkey.results.which_help"))
        keys: tuple[str, ...] = () if first == SETTINGS else (first,)
        others = {key: result for key, result in found.items() if keys and _comparable(found[first], result)}
        if others:
            labels = {NONE: t("passkey.results.no_other")} | _labels(others)
            other = links.choice("pk_other", labels, t("passkey.results.other"), help=t("passkey.results.other_help"))
            keys += () if other == NONE else (other,)
    if asked and asked not in (SETTINGS, *found):
        st.info(t("passkey.results.not_here"), icon=":material/link_off:")
    return keys


def _comparable(first: PasskeyResult, second: PasskeyResult) -> bool:
    return first.key != second.key and on_common_grid(first, second) is not None


def show_settings() -> None:
    """Show what the settings describe, from the next run of the script on; called before the boxes are drawn."""
    st.session_state["pk_result"] = SETTINGS


def picked(keys: Sequence[str], known: Sequence[PasskeyResult]) -> tuple[list[PasskeyResult], list[str]]:
    """The results with these keys, on the grid that they have in common, and their titles."""
    found = passkeys.listed(known)
    results = [found[key] for key in keys if key in found]
    if len(results) == 2:
        results = list(on_common_grid(*results) or results[:1])
    same = len({(result.reader.model, task_words(result.task)) for result in results}) == 1
    return results, [reader_words(result.reader) if same else title(result) for result in results]


def downloads(results: Sequence[PasskeyResult], titles: Sequence[str], keys: Sequence[str]) -> None:
    """A button for the file of every result, and one that keeps a result of this session."""
    with st.container(horizontal=True):
        for name, key in zip(titles, keys, strict=True):
            file = TEST.file_of(key)
            if file is None:
                continue
            st.download_button(
                t("passkey.results.download", title=name) if len(results) > 1 else t("passkey.results.download_one"),
                data=file.read_bytes(),
                file_name=f"passkey-{key}.json",
                mime="application/json",
                icon=":material/download:",
                type="tertiary",
                key=f"pk_json_{key}",
                on_click="ignore",
            )
            if passkeys.can_be_kept(file):
                st.button(
                    t("passkey.results.keep", title=name),
                    icon=":material/inventory_2:",
                    type="tertiary",
                    key=f"pk_keep_{key}",
                    help=t("passkey.results.keep_help"),
                    on_click=passkeys.keep,
                    args=(key,),
                )


def _labels(found: Mapping[str, PasskeyResult]) -> dict[str, str]:
    """Titles by key, made different where two are the same."""
    titles = {key: title(result) for key, result in found.items()}
    many = {name for name in titles.values() if list(titles.values()).count(name) > 1}
    return {key: f"{name} ({key[:4]})" if name in many else name for key, name in titles.items()}


def title(result: PasskeyResult) -> str:
    """Reader, task and longest text of ``result``."""
    longest = t("passkey.results.up_to", length=short(result.lengths[-1]))
    return " · ".join([result.reader.model, reader_words(result.reader), task_words(result.task), longest])


def reader_words(reader: Reader) -> str:
    """The mitigations and the initial state of a reader."""
    return t("passkey.plain") if reader.plain else describe_reading(reader)


def task_words(task: PasskeyTask) -> str:
    """Task, filler and language."""
    row = QUESTIONS.get(task.question)
    question = t(f"recall.{task.question}_title") if row else task.question
    counted = f" ({task.count})" if row and row.high > row.low else ""
    parts = [question + counted, filler_words(task), t(f"passkey.language_{task.language}")]
    if row and row.sized:
        parts.append(t(f"passkey.symbols_{task.shape}", count=task.digits))
    return " · ".join(parts)


def filler_words(task: PasskeyTask) -> str:
    """The filler; for a document its title, if this session has it."""
    if task.filler == "text":
        key = session.document_of(task.document)
        if key is not None:
            return session.document_title(key)
    return t(f"passkey.filler_{task.filler}")
