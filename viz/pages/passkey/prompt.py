"""The prompt of one trial of the passkey test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from model.checkpoints.catalogue import load_tokenizer_of, model_card
from model.errors import UserError
from model.studies.passkey import PasskeyResult, PasskeyTask, Prompts
from viz.app.language import show_error, t
from viz.pages.passkey import cell as passkey_cell
from viz.pages.passkey import job as passkeys

HEAD, TAIL = 600, 300
"""Characters of the filler that are shown at its start and end; all of it is in the download."""
_KEPT = "_explorer_passkey_prompts"


def choose(task: PasskeyTask, *, column: int, row: int) -> None:
    """Set the boxes below to the cell in this column and row of the map."""
    lengths = sorted(task.lengths)
    st.session_state["pk_length"] = lengths[min(max(column, 0), len(lengths) - 1)]
    st.session_state["pk_depth"] = task.depths[min(max(row, 0), len(task.depths) - 1)]


@st.fragment
def render(results: Sequence[PasskeyResult], titles: Sequence[str], text: str | None) -> None:
    """Draw the boxes that choose a cell and a trial of ``results``, the first one's prompt, and what was answered.

    ``text`` is the filler document, "" if there is none, and None if it is not available.
    """
    task, model = results[0].task, results[0].reader.model
    with st.container(key="passkey-prompt"):
        st.caption(t("passkey.prompt_help"))
        if text is None:
            st.caption(t("passkey.prompt_gone"))
            return
        with st.container(horizontal=True):
            length = _box("passkey.prompt_length", sorted(task.lengths), "pk_length")
            depth = _box("passkey.prompt_depth", list(task.depths), "pk_depth")
            trial = _box("passkey.prompt_trial", list(range(1, task.trials + 1)), "pk_trial")
        try:
            prompts = _prompts(task, model, text)
            prompt = prompts.prompt(int(length), depth, int(trial) - 1)
        except UserError as error:
            show_error(error)
            return
        before, needle, after, query = prompt.pieces(prompts.tokenizer)
        _piece(t("passkey.prompt_before", tokens=prompt.needle_start), before)
        _piece(t("passkey.prompt_needle", tokens=prompt.needle_end - prompt.needle_start), needle)
        _piece(t("passkey.prompt_after", tokens=prompt.query_start - prompt.needle_end), after)
        _piece(t("passkey.prompt_query", tokens=len(prompt.ids) - prompt.query_start, answer=prompt.key), query)
        st.download_button(
            t("passkey.prompt_download"),
            data=(before + needle + after + query).encode(),
            file_name=f"passkey-{length}-{depth:g}-{trial}.txt",
            mime="text/plain",
            icon=":material/download:",
            key="pk_prompt_txt",
            on_click="ignore",
        )
        texts = [found for result in results if (found := passkeys.text_of(result.task)) is not None]
        if len(texts) == len(results):
            passkey_cell.render(results, titles, (int(length), depth), int(trial) - 1, texts)


def _prompts(task: PasskeyTask, model: str, text: str) -> Prompts:
    """The writer of prompts, so that a document is tokenised once.

    It is deleted with the session, because it holds the document's tokens.
    """
    wanted = (task, model, model_card(model).weights)
    kept = st.session_state.get(_KEPT)
    if kept is None or kept[0] != wanted:
        kept = st.session_state[_KEPT] = wanted, Prompts(task, load_tokenizer_of(model), text)
    return kept[1]


def _box(label: str, options: list[Any], key: str) -> float:
    if st.session_state.get(key) not in (None, *options):  # left over from another test
        del st.session_state[key]
    return st.selectbox(t(label), options, key=key, format_func=_number, bind="query-params")


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _piece(label: str, text: str) -> None:
    st.caption(label)
    if len(text) > 2 * (HEAD + TAIL):
        left_out = t("passkey.prompt_cut", characters=len(text) - HEAD - TAIL)
        text = f"{text[:HEAD]}\n{left_out}\n{text[-TAIL:]}"
    st.code(text or t("passkey.prompt_nothing"), language=None, wrap_lines=True)
