"""The sidebar: the settings of a run, from the tables of models, initial states and mitigations; Run starts it.

On a page that shows a recording they are folded, for they describe the next reading and not that one. On a page that
computes with them they are open, without what acts on a reading alone.

The URL holds every widget under its key, so that a link restores the view; the keys are short and stable: ``doc``,
``model``, ``init``, ``from``, one per mitigation (``decay`` and ``decay_value``), and those of the options.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from model.checkpoints.card import ModelCard
from model.checkpoints.catalogue import DEFAULT, PRECISIONS, available
from model.errors import UserError
from model.experiment import Strategy
from model.interventions.initial_states import INITIAL_STATES
from model.interventions.mitigations import MITIGATIONS, PRESETS, Mitigation
from model.machine import DEVICES, expected_device
from model.published.config import sees_everything
from model.published.cost import notes
from model.reading.prepare import MOST_WINDOW, Options, attention_window
from viz.app import session, shortcuts, shown, uploads
from viz.app.browser import days, shared
from viz.app.choices import Choices, number, remember
from viz.app.language import t
from viz.app.links import choice
from viz.app.workspace import workspace
from viz.jobs import reading

CUSTOM = "custom"
BOUND: Final = "query-params"


def sidebar(*, computes: bool) -> None:
    """Draw the sidebar and remember what it shows; ``computes`` where the page itself computes with the settings."""
    uploads.document_uploader("sidebar_upload")
    with _settings_box(computes):
        models = available()
        document = uploads.document_choice()
        if not models:
            st.info(t("app.sidebar.no_model"), icon=":material/deployed_code_alert:")
            remember(None)
            return
        model = _model(models)
        initial_state, source = _initial_state(model)
        mitigations = _mitigations(model, computes)
        options, keep, keep_text = _options(model, computes)
        chosen = Choices(
            document=document,
            model=model.name,
            strategy=Strategy(initial_state=initial_state, source=source, mitigations=mitigations),
            options=options,
            keep=keep,
            keep_text=keep_text,
        )
        remember(chosen)
        if not computes:
            _cost(chosen, model)
            _run(chosen)


def _settings_box(computes: bool) -> DeltaGenerator:
    """Where the settings are: under a heading where they act, else folded until somebody wants another reading."""
    if computes:
        st.subheader(t("app.sidebar.settings"))
        return st.container()
    empty = not session.visible_recordings()
    return st.expander(t("app.sidebar.title"), icon=":material/play_circle:", expanded=empty, key="new_run")


def _inner(computes: bool) -> Literal["default", "compact"]:
    """How a folded part looks: without a frame of its own inside the folded settings."""
    return "default" if computes else "compact"


def _model(models: dict[str, ModelCard]) -> ModelCard:
    names = list(models)
    name = st.selectbox(
        t("app.sidebar.model"),
        names,
        index=names.index(DEFAULT) if DEFAULT in names else 0,
        key="model",
        bind=BOUND,
        help=t("app.sidebar.model_help"),
    )
    model = models[name if name in models else names[0]]
    config = model.config
    st.caption(
        t(
            "app.sidebar.model_facts_cache" if model.has_cache else "app.sidebar.model_facts",
            layers=len(config.layers),
            heads=config.nheads,
            memory=f"{model.state_size:,}",
            train_length=f"{config.train_length:,}",
        )
    )
    return model


def _initial_state(model: ModelCard) -> tuple[str, str]:
    fitting = {name: row for name, row in INITIAL_STATES.items() if row.fits(model.config)}
    usable = [name for name, row in fitting.items() if model.explored is not None or not row.needs_explored]
    help_text = "\n\n".join(
        f"**{t(f'initial_states.{name}_title')}** – {t(f'initial_states.{name}_help')}" for name in usable
    )
    titles = {name: t(f"initial_states.{name}_title") for name in usable}
    name = choice("init", titles, t("app.sidebar.initial_state"), help=help_text)
    if not INITIAL_STATES[name].needs_source:
        return name, ""
    sources = session.titles_of(session.visible_recordings(model.name))
    if not sources:
        st.caption(t("app.sidebar.no_source"))
        return name, ""
    return name, choice("from", sources, t("app.sidebar.source"))


def _mitigations(model: ModelCard, computes: bool) -> tuple[tuple[str, float], ...]:
    fitting = {name for name, row in MITIGATIONS.items() if row.fits(model.config)}
    usable = {name for name in fitting if model.explored is not None or not MITIGATIONS[name].needs_reference}
    _from_link()
    presets = ["none", *(name for name, preset in PRESETS.items() if preset.keys() <= usable)]
    titles = {name: t(f"mitigations.preset_{name}") for name in presets} | {CUSTOM: t("app.sidebar.preset_custom")}
    st.session_state["preset"] = _matching_preset()
    st.selectbox(
        t("app.sidebar.mitigations"),
        list(titles),
        format_func=titles.__getitem__,
        key="preset",
        on_change=_apply_preset,
        help=t("app.sidebar.preset_help"),
    )
    chosen = []
    with st.expander(
        t("app.sidebar.combine"),
        icon=":material/healing:",
        expanded=st.session_state["preset"] == CUSTOM,
        key="combine",
        type=_inner(computes),
    ):
        for name, row in MITIGATIONS.items():
            help_text = t(f"mitigations.{name}_help")
            if name not in usable:
                why = row.obstacle(model.config) or "needs_reference"
                help_text = f"{t(f'app.sidebar.{why}')}\n\n{help_text}"
            on = st.toggle(
                t(f"mitigations.{name}_title"), key=name, bind=BOUND, help=help_text, disabled=name not in usable
            )
            if on and name in usable:
                chosen.append((name, _value(name, row)))
    return tuple(chosen)


def _from_link() -> None:
    """Take switches and strengths from the URL before the first draw: the preset depends on them."""
    for name, row in MITIGATIONS.items():
        if name in st.session_state or st.query_params.get(name) != "true":
            continue
        st.session_state[name] = True
        try:
            value = float(st.query_params.get(f"{name}_value", row.suggested))
        except ValueError:
            continue
        if row.low <= value <= row.high:
            st.session_state[f"{name}_value"] = int(value) if row.integer else value


def _value(name: str, row: Mitigation) -> float:
    whole: Any = int if row.integer else float  # Streamlit needs all bounds of one type
    low, high = whole(row.low), whole(row.high)
    return st.number_input(
        t("app.sidebar.strength", low=number(name, low), high=number(name, high)),
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


def _options(model: ModelCard, computes: bool) -> tuple[Options, bool, bool]:
    """How to read, whether the recording outlives the session, and whether the text is stored with it."""
    with st.expander(t("app.sidebar.advanced"), icon=":material/tune:", type=_inner(computes)):
        own_length = st.toggle(
            t("app.sidebar.train_length_own"), key="own_length", bind=BOUND, help=t("app.sidebar.train_length_help")
        )
        train_length = None
        if own_length:
            train_length = st.number_input(
                t("app.sidebar.train_length"), 16, 1_000_000, model.train_length, key="train_length", bind=BOUND
            )
        options = Options(
            train_length=train_length,
            attention_window=_attention_window(model, train_length or model.train_length),
            off=tuple(
                st.text_input(
                    t("app.sidebar.off"), key="off", bind=BOUND, help=t("app.sidebar.off_help"), placeholder="layer:0"
                ).split()
            ),
            control=_reads("control", True, computes),
            token_norms=_reads("token_norms", False, computes),
            precision=st.selectbox(
                t("app.sidebar.precision"),
                PRECISIONS,
                key="precision",
                bind=BOUND,
                help=t("app.sidebar.precision_help"),
            ),
            device=_device(),
        )
        keep = _keeps(computes)
        if computes:
            return options, keep, False
        keep_text = st.toggle(
            t("app.sidebar.keep_text"), key="keep_text", help=t("app.sidebar.keep_text_help"), persist_state="session"
        )
        return options, keep, keep_text


def _reads(name: str, default: bool, computes: bool) -> bool:
    """A switch that acts on a reading alone; a page that ``computes`` does not show it."""
    if computes:
        return default
    return st.toggle(t(f"app.sidebar.{name}"), default, key=name, bind=BOUND, help=t(f"app.sidebar.{name}_help"))


def _keeps(computes: bool) -> bool:
    """Whether what is read now outlives the session."""
    if workspace().lasting is None or computes:
        return workspace().lasting is not None and bool(st.session_state.get("keep", True))
    return st.toggle(
        t("app.sidebar.keep"),
        True,
        key="keep",
        help=t(f"app.sidebar.keep_{'browser' if shared() else 'own'}", days=days()),
        persist_state="session",
    )


def _device() -> str:
    """Which device reads: a choice where there is a GPU, and otherwise a word that there is none."""
    if expected_device() == "cpu" and expected_device("cuda") == "cpu":
        st.caption(t("app.sidebar.device_none"))
        return "cpu"
    return st.selectbox(
        t("app.sidebar.device"),
        DEVICES,
        format_func=lambda name: t(f"app.sidebar.device_{name}"),
        key="device",
        bind=BOUND,
        help=t("app.sidebar.device_help"),
    )


def _attention_window(model: ModelCard, train_length: int) -> int | None:
    """How far attention sees, where the model has full attention; None for the training length."""
    if not sees_everything(model.config):
        return None
    help_text = t("app.sidebar.attention_window_help")
    if not st.toggle(t("app.sidebar.attention_own"), key="attention_own", bind=BOUND, help=help_text):
        return None
    label = t("app.sidebar.attention_window")
    return st.number_input(label, 0, MOST_WINDOW, train_length, key="attention_window", bind=BOUND)


def _cost(chosen: Choices, model: ModelCard) -> None:
    """What a model with full attention will see, keep and take, before it starts: a token is about four bytes."""
    options = chosen.options
    window = attention_window(model.config, options.attention_window, options.train_length or model.train_length)
    try:
        tokens = max(1, len(session.document(chosen.document).text.encode()) // 4)
        said = notes(model, tokens, window, options.control, expected_device(options.device))
    except UserError:
        return  # the Run button says it
    if said:
        st.caption(" ".join(t(key, **values) for key, values in said))


def _run(chosen: Choices) -> None:
    ready = chosen.strategy.initial_state != "carried" or bool(chosen.strategy.source)
    if st.button(
        t("app.sidebar.run"),
        key="run",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=not ready or reading.READING.active,
        help=None if ready else t("app.sidebar.no_source"),
        shortcut=shortcuts.RUN,
    ):
        shown.run(chosen)
    st.caption(t(f"app.sidebar.privacy_{session.stays()}", days=days()))
