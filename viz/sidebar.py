"""The sidebar: a new reading, drawn from the tables of models, initial states and mitigations. Nothing runs by itself.

Every widget stands in the URL under its key, so that a link restores the view; the keys are short and stable: ``doc``,
``model``, ``init``, ``from``, one per mitigation (``decay`` and ``decay_value``), and those of the options.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from model.checkpoint import DEFAULT, PRECISIONS, ModelCard, available
from model.errors import UserError
from model.initial_states import INITIAL_STATES
from model.mitigations import MITIGATIONS, PRESETS, Mitigation
from viz import reading, session, uploads
from viz.choices import Choices, number, remember
from viz.language import show_error, t
from viz.links import publish, restore

CUSTOM = "custom"
BOUND = "query-params"


def sidebar(with_uploader: bool) -> None:
    """Draw the sidebar and remember what it shows; ``with_uploader`` is off where the page has its own."""
    st.subheader(t("sidebar.title"))
    document = _document()
    if with_uploader:
        uploads.document_uploader("sidebar_upload")
    models = available()
    if not models:
        st.info(t("sidebar.no_model"), icon=":material/deployed_code_alert:")
        remember(None)
        return
    model = _model(models)
    initial_state, source = _initial_state(model)
    mitigations = _mitigations(model)
    options = _options(model)
    chosen = Choices(
        document=document, model=model.name, initial_state=initial_state, source=source, mitigations=mitigations, **options
    )
    remember(chosen)
    _run(chosen)


def _linked_choice(name: str, options: list[str], words: Callable[[str], str], label: str, help: str | None) -> str:
    """A selectbox whose choice stands in the URL by its key."""
    restore(name, options, options[0])
    chosen = st.selectbox(label, options, format_func=words, key=name, help=help, persist_state="session")
    publish(name, chosen, options[0])
    return chosen


def _document() -> str:
    keys = session.document_keys()
    fresh = st.session_state.pop("_explorer_doc", None)
    if fresh in keys:
        st.session_state["doc"] = fresh
    return _linked_choice(
        "doc", keys, session.document_title, t("sidebar.document"), t("sidebar.document_help")
    )


def _model(models: dict[str, ModelCard]) -> ModelCard:
    names = list(models)
    name = st.selectbox(
        t("sidebar.model"),
        names,
        index=names.index(DEFAULT) if DEFAULT in names else 0,
        key="model",
        bind=BOUND,
        help=t("sidebar.model_help"),
    )
    model = models[name if name in models else names[0]]
    config = model.config
    st.caption(
        t(
            "sidebar.model_facts",
            layers=len(config.layers),
            heads=config.nheads,
            memory=f"{config.state_size:,}",
            train_length=f"{config.train_length:,}",
        )
    )
    return model


def _initial_state(model: ModelCard) -> tuple[str, str]:
    usable = [name for name, row in INITIAL_STATES.items() if model.explored is not None or not row.needs_explored]
    help_text = "\n\n".join(
        f"**{t(f'initial_states.{name}_title')}** – {t(f'initial_states.{name}_help')}" for name in usable
    )
    name = _linked_choice(
        "init", usable, lambda name: t(f"initial_states.{name}_title"), t("sidebar.initial_state"), help_text
    )
    if not INITIAL_STATES[name].needs_source:
        return name, ""
    sources = {
        key: recording.title
        for key, recording in session.visible_recordings().items()
        if recording.experiment.model == model.name
    }
    if not sources:
        st.caption(t("sidebar.no_source"))
        return name, ""
    return name, _linked_choice("from", list(sources), lambda key: sources.get(key, key), t("sidebar.source"), None)


def _mitigations(model: ModelCard) -> tuple[tuple[str, float], ...]:
    with st.expander(t("sidebar.mitigations"), icon=":material/healing:", expanded=True):
        st.session_state["preset"] = _matching_preset()
        st.selectbox(
            t("sidebar.preset"),
            ["none", *PRESETS] if st.session_state["preset"] != CUSTOM else ["none", *PRESETS, CUSTOM],
            format_func=lambda name: t("sidebar.preset_custom" if name == CUSTOM else f"mitigations.preset_{name}"),
            key="preset",
            on_change=_apply_preset,
            help=t("sidebar.preset_help"),
        )
        chosen = []
        for name, row in MITIGATIONS.items():
            usable = model.explored is not None or not row.needs_reference
            help_text = t(f"mitigations.{name}_help")
            if not usable:
                help_text = f"{t('sidebar.needs_reference')}\n\n{help_text}"
            on = st.toggle(
                t(f"mitigations.{name}_title"), key=name, bind=BOUND, help=help_text, disabled=not usable
            )
            if on and usable:
                chosen.append((name, _value(name, row)))
    return tuple(chosen)


def _value(name: str, row: Mitigation) -> float:
    whole = int if row.integer else float
    low, high = whole(row.low), whole(row.high)
    return st.number_input(
        t("sidebar.strength", low=number(name, low), high=number(name, high)),
        min_value=low,
        max_value=high,
        value=whole(row.suggested),
        step=whole(row.step),
        format="%d" if row.integer else f"%.{max(2, len(f'{row.step:f}'.rstrip('0').partition('.')[2]))}f",
        key=f"{name}_value",
        bind=BOUND,
    )


def _settings() -> dict[str, float]:
    """The mitigations as the widgets have them now, before they are drawn again."""
    return {
        name: st.session_state.get(f"{name}_value", row.suggested)
        for name, row in MITIGATIONS.items()
        if st.session_state.get(name)
    }


def _matching_preset() -> str:
    settings = _settings()
    return next((name for name, preset in {"none": {}, **PRESETS}.items() if preset == settings), CUSTOM)


def _apply_preset() -> None:
    preset = PRESETS.get(st.session_state["preset"], {})
    if st.session_state["preset"] == CUSTOM:
        return
    for name, row in MITIGATIONS.items():
        st.session_state[name] = name in preset
        if name in preset:
            st.session_state[f"{name}_value"] = int(preset[name]) if row.integer else float(preset[name])


def _options(model: ModelCard) -> dict:
    with st.expander(t("sidebar.advanced"), icon=":material/tune:"):
        own_length = st.toggle(t("sidebar.train_length_own"), key="own_length", bind=BOUND, help=t("sidebar.train_length_help"))
        train_length = None
        if own_length:
            train_length = st.number_input(
                t("sidebar.train_length"), 16, 1_000_000, model.train_length, key="train_length", bind=BOUND
            )
        return {
            "train_length": train_length,
            "control": st.toggle(t("sidebar.control"), True, key="control", bind=BOUND, help=t("sidebar.control_help")),
            "token_norms": st.toggle(
                t("sidebar.token_norms"), key="token_norms", bind=BOUND, help=t("sidebar.token_norms_help")
            ),
            "precision": st.selectbox(
                t("sidebar.precision"), PRECISIONS, key="precision", bind=BOUND, help=t("sidebar.precision_help")
            ),
            "keep": st.toggle(t("sidebar.keep"), key="keep", help=t("sidebar.keep_help"), persist_state="session"),
            "keep_text": st.toggle(
                t("sidebar.keep_text"), key="keep_text", help=t("sidebar.keep_text_help"), persist_state="session"
            ),
        }


def _run(chosen: Choices) -> None:
    ready = chosen.initial_state != "carried" or bool(chosen.source)
    clicked = st.button(
        t("sidebar.run"),
        key="run",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=not ready or reading.busy(),
        help=None if ready else t("sidebar.no_source"),
    )
    if clicked:
        try:
            reading.start(chosen)
        except UserError as error:
            show_error(error)
        else:
            st.rerun()
    st.caption(t("sidebar.privacy_kept" if chosen.keep else "sidebar.privacy"))
