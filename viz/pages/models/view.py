"""Which models can read a document here, how large are they, and how is another one added?"""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from model.checkpoints.card import ModelCard
from model.checkpoints.catalogue import available
from model.errors import UserError
from model.machine import free_memory
from model.published import FAMILIES, titles
from model.published.config import PublishedConfig
from model.published.cost import expected_speed
from model.published.files import stamp
from model.published.registry import candidates, card_of, forget_folder, note
from model.published.room import gigabytes
from model.reading.reference import WINDOWS, reference_of
from model.studies.facts import UNSURE, Facts, facts, facts_of
from viz.app import session
from viz.app.language import language, plain, show_error, t
from viz.app.links import choice
from viz.app.workspace import STATE_PREFIX
from viz.pages.models import job as model_jobs

MEGABYTE = model_jobs.MEGABYTE
_ADDED = STATE_PREFIX + "model_added"
NUMBERS = ("disk", "parameters", "state", "state_kb", "train_length", "forget", "recall", "needed")


def render() -> None:
    """Draw the page."""
    model_jobs.collect()
    busy = any(job.active for job in model_jobs.JOBS)
    cards, problems = _cards()
    st.header(t("models.here"), anchor=False)
    _table(cards)
    for job in model_jobs.JOBS:
        job.show_progress()
        job.show_failure()
    left, right = st.columns([3, 2], gap="large")
    with left:
        _details(cards, busy)
    with right:
        _add(busy)
    if problems:
        with st.expander(t("models.problems", count=len(problems)), icon=":material/error:"):
            for _, error in problems:
                st.markdown(f"- {plain(error.sentence(language()))}")


@st.cache_data(max_entries=64, show_spinner=False)
def _facts(name: str, mark: str, train_length: int, _card: ModelCard) -> Facts:
    return facts_of(_card)


def _cards() -> tuple[dict[str, tuple[ModelCard, Facts]], list[tuple[str, UserError]]]:
    """Every model with what is known of it, and every checkpoint that was found and cannot be read."""
    found, problems = {}, []
    for name, card in available().items():
        try:
            found[name] = (card, _facts(name, stamp(card.path), card.train_length, card))
        except UserError as error:
            problems.append((name, error))
    for name, folder in candidates():
        try:
            card_of(name, folder)
        except UserError as error:
            problems.append((name, error))
    return found, problems


def _origin(card: ModelCard) -> str:
    if card.published:
        return "folder" if card.name == str(card.path) else "hub"
    return "shipped" if card.shipped else "trained"


def _table(cards: dict[str, tuple[ModelCard, Facts]]) -> None:
    rows = [
        {
            "name": card.name,
            "family": known.family,
            "origin": t(f"models.origin_{_origin(card)}"),
            "disk": known.disk / MEGABYTE,
            "parameters": known.parameters,
            "state": known.state_size,
            "state_kb": known.state / 1e3,
            "train_length": known.train_length,
            "forget": known.forget,
            "recall": known.recall,
            "needed": known.needed["float32"] / MEGABYTE,
        }
        for card, known in cards.values()
    ]
    if not rows:
        return
    columns: dict[str, Any] = {}
    for name in rows[0]:
        label = t(f"models.column_{name}")
        shape = {"disk": "%,.1f", "state_kb": "%,.1f"}.get(name, "%,.0f")
        columns[name] = st.column_config.NumberColumn(label, format=shape) if name in NUMBERS else label
    # The fits cover published models; without one, two empty columns would push the others out of sight.
    table = pd.DataFrame(rows).astype({"forget": "Int64", "recall": "Int64"}).dropna(axis="columns", how="all")
    alt = t("models.table_alt", count=len(rows))
    st.dataframe(table, hide_index=True, placeholder="–", column_config=columns, key="models_table", alt=alt)
    if any(known.forget for _, known in cards.values()):
        st.caption(t("models.lengths_note"))


def _details(cards: dict[str, tuple[ModelCard, Facts]], busy: bool) -> None:
    if not cards:
        return
    name = choice("shown", {name: name for name in cards}, t("models.chosen"))
    card, known = cards[name]
    _sizes(name, card.config, known)
    if card.published:
        _train_length(card)
        _explored(card, busy)
        if _origin(card) == "folder":
            st.button(
                t("models.forget"),
                key="forget_model",
                icon=":material/close:",
                on_click=forget_folder,
                args=(card.name,),
                help=t("models.forget_help"),
            )


def _sizes(name: str, config: Any, known: Facts) -> None:
    """State, parameters and memory, with the refusal that loading would end in."""
    free = free_memory()
    unknown = t("models.unknown")
    state = t("models.state_value", count=f"{known.state_size:,}", size=gigabytes(known.state))
    needed = " / ".join(gigabytes(size) for size in known.needed.values())
    layers = t("published.layers", layers=known.layers, attention=known.attention_layers, share=known.attention_share)
    length = t(f"published.length_{known.length_from}", tokens=known.train_length)
    figures = {"state": state, "layers": layers, "length": length}
    figures |= {"parameters": f"{known.parameters:,}" if known.parameters else unknown}
    figures |= {"memory": needed, "free": gigabytes(free)}
    if known.parameters:
        figures["speed"] = t("models.speed_value", speed=float(f"{expected_speed(known.parameters):.2g}"))
    st.markdown("  \n".join(f"{t(f'models.{key}_metric')}: **{value}**" for key, value in figures.items()))
    if known.needed["bfloat16"] > free:
        show_error(
            UserError("published.no_room", name=name, needed=gigabytes(known.needed["bfloat16"]), free=gigabytes(free))
        )
    if known.grows:
        each, long = gigabytes(1000 * known.grows), gigabytes(100_000 * known.grows)
        key = "models.grows" if known.layers else "models.grows_whole"
        st.warning(t(key, each=each, long=long), icon=":material/trending_up:")
    elif isinstance(config, PublishedConfig) and config.kept_per_token:
        st.caption(t("models.window", tokens=f"{config.kept_tokens:,}"))
    if isinstance(config, PublishedConfig) and config.kept_per_token:
        st.caption(t("models.layers_note"))


def _train_length(card: ModelCard) -> None:
    assert isinstance(card.config, PublishedConfig)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        length = st.number_input(
            t("models.train_length"),
            16,
            1_000_000,
            card.train_length,
            key=f"length-{card.name}",
            help=t("models.train_length_help"),
        )
        if st.button(t("models.save"), key="save_length", disabled=length == card.train_length):
            note(card.name, train_length=int(length))
            st.rerun()
    if card.config.family in UNSURE:
        st.caption(t("models.train_length_unsure"))
    elif card.config.length_from == "family":
        st.caption(t("models.train_length_assumed"))


def _explored(card: ModelCard, busy: bool) -> None:
    st.markdown(f"**{t('models.explored_title')}**")
    known = reference_of(card)
    if known is None:
        st.markdown(t("models.explored_none"))
    else:
        names = ", ".join(plain(name) for name in known.names)
        st.markdown(t("models.explored_from", windows=known.windows, names=names))
    documents = {key: session.document_title(key) for key in session.document_keys()}
    sample = "sample:equipment_spec_en"
    keys = [sample, *(key for key in documents if key != sample)] if sample in documents else list(documents)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        document = choice(
            "reference", {key: documents[key] for key in keys}, t("models.reference"), help=t("models.reference_help")
        )
        windows = st.number_input(t("models.windows"), 2, 512, WINDOWS, key="reference_windows", bind="query-params")
        if st.button(t("models.record"), key="record", icon=":material/explore:", disabled=busy):
            try:
                model_jobs.record(card.name, document, int(windows))
            except UserError as error:
                show_error(error)
            else:
                st.rerun()
    st.caption(t("models.record_tokens", tokens=f"{2 * int(windows) * card.train_length:,}"))


def _add(busy: bool) -> None:
    st.markdown(f"**{t('models.add')}**")
    with st.form("add_model", border=False):
        written = st.text_input(
            t("models.add_field"),
            placeholder=t("models.add_example"),
            key="add_written",
            help=t("models.add_help", known=titles()),
        )
        clicked = st.form_submit_button(t("models.look"), icon=":material/search:", disabled=busy)
    if clicked:
        try:
            added = model_jobs.look(written)
        except UserError as error:
            show_error(error)
        else:
            if added is not None:
                st.session_state[_ADDED] = added
            st.rerun()
    added = st.session_state.pop(_ADDED, None)
    if added is not None:
        st.success(t("models.added", name=plain(added)), icon=":material/check:")
    found = model_jobs.offer()
    if found is None:
        return
    known = facts(found.name, found.config, found.parameters or found.size // 2, found.size)
    parameters = f"{found.parameters:,}" if found.parameters else t("models.unknown")
    st.markdown(
        t(
            "models.offer",
            name=plain(found.name),
            family=FAMILIES[found.config.family].title,
            size=gigabytes(found.size),
            files=len(found.files),
            parameters=parameters,
            state=f"{known.state_size:,}",
            state_size=gigabytes(known.state),
        )
    )
    _sizes(found.name, found.config, known)
    labels = {"file": t("models.offer_file"), "size": t("models.offer_size")}
    table = pd.DataFrame(
        {labels["file"]: list(found.files), labels["size"]: [size / MEGABYTE for size in found.files.values()]}
    )
    st.dataframe(table, hide_index=True, key="offer_table", alt=t("models.offer_alt", files=len(found.files)))
    if st.button(t("models.download", size=gigabytes(found.size)), key="download_model", icon=":material/download:"):
        model_jobs.download(found)
        st.rerun()
