"""Which recording the page shows, and whether the sidebar is set to the same reading.

A recording that is chosen sets the sidebar to what it was run with. Where somebody changes a setting, or uploads a
document, one line says that the page shows another reading, with a button for each way out.
"""

from __future__ import annotations

import streamlit as st

from model.checkpoints.catalogue import available
from model.errors import UserError
from model.experiment import Experiment, Strategy
from model.interventions.mitigations import MITIGATIONS
from model.published.config import sees_everything
from model.reading.prepare import attention_window
from model.recording.catalogue import Entry
from viz.app import session
from viz.app.choices import Choices, describe
from viz.app.language import plain, show_error, t
from viz.app.links import publish, restore
from viz.jobs import reading

SETTINGS = ("doc", "model", "init", "from", "own_length", "attention_own", "off", *MITIGATIONS)
"""What a link may hold of the sidebar; a link that holds any of it is not overruled by the recording."""


def choose(*, draw: bool = True) -> Entry | None:
    """The recording that every page shows: a link, a choice or the default; without ``draw`` there is no box for it.

    The sidebar must be drawn later in the same run: it follows a recording that was chosen by other means.
    """
    asked = None if "recording" in st.session_state else st.query_params.get("recording")
    if asked:
        session.open_link(asked)
    found = session.visible_recordings()
    if not found:
        return None
    wanted = st.session_state.pop(session.WANTED, None)
    for key in (asked, wanted, st.session_state.get("recording")):
        if key and key not in found and (older := session.find(key)) is not None:
            found[key] = older
    restore("recording", list(found), session.default_key(found))
    if wanted in found:
        st.session_state["recording"] = wanted
    if draw:
        titles = session.titles_of(found)
        st.selectbox(
            t("app.recording"),
            list(found),
            format_func=titles.__getitem__,
            key="recording",
            persist_state="session",
            help=t("app.recording_help"),
        )
    shown = found[st.session_state["recording"]]
    publish("recording", shown.key)
    if draw and asked and asked not in found:
        st.info(t("app.recording_not_here"), icon=":material/link_off:")
    _follow_if_new(shown)
    return shown


def _follow_if_new(shown: Entry) -> None:
    """Set the sidebar when another recording is shown than in the last run, unless this is a link with settings."""
    before = st.session_state.get(session.FOLLOWED)
    st.session_state[session.FOLLOWED] = shown.key
    linked = before is None and any(name in st.query_params for name in SETTINGS)
    if before != shown.key and not linked:
        follow(shown)


def follow(shown: Entry) -> None:
    """Set the sidebar to what ``shown`` was run with, as far as that is here; a callback may call it."""
    state, experiment = st.session_state, shown.experiment
    document, card = session.document_of(experiment.document), available().get(experiment.model)
    if document is not None:
        state["doc"] = document
    if card is not None:
        state["model"] = experiment.model
        _number("own_length", "train_length", experiment.train_length, card.train_length)
        if sees_everything(card.config):
            usual = attention_window(card.config, None, experiment.train_length)
            _number("attention_own", "attention_window", experiment.attention_window, usual)
    state["init"], state["off"] = experiment.strategy.initial_state, " ".join(experiment.off)
    if experiment.strategy.source:
        state["from"] = experiment.strategy.source
    values = dict(experiment.strategy.mitigations)
    for name, row in MITIGATIONS.items():
        value = values.get(name)
        state[name] = value is not None and row.low <= value <= row.high
        if state[name]:
            state[f"{name}_value"] = int(values[name]) if row.integer else float(values[name])


def _number(switch: str, name: str, value: int, usual: int) -> None:
    """Set a number of the sidebar that has a switch: on where ``value`` is not the ``usual`` one."""
    st.session_state[switch] = value != usual
    if value != usual:
        st.session_state[name] = value


def agrees(experiment: Experiment, chosen: Choices) -> bool:
    """Whether running what the sidebar has ``chosen`` would be this reading: same document, model and strategy."""
    card = available().get(chosen.model)
    if card is None:
        return False
    options = chosen.options
    train_length = options.train_length or card.train_length
    return (
        session.text_hash(chosen.document) == experiment.document
        and chosen.model == experiment.model
        and _acting(chosen.strategy) == _acting(experiment.strategy)
        and options.off == experiment.off
        and train_length == experiment.train_length
        and attention_window(card.config, options.attention_window, train_length) == experiment.attention_window
    )


def _acting(strategy: Strategy) -> tuple[object, ...]:
    return strategy.initial_state, strategy.source, sorted(strategy.mitigations)


def show_difference(shown: Entry, chosen: Choices | None) -> None:
    """Say in one line that the sidebar is set to another reading than the page shows, if it is."""
    if chosen is None or reading.READING.active or agrees(shown.experiment, chosen):
        return
    back = can_follow(shown.experiment)
    words = t(
        "app.other_settings.says" if back else "app.other_settings.not_here",
        document=plain(session.document_title(chosen.document)),
        model=plain(chosen.model),
        strategy=plain(describe(chosen.strategy)),
    )
    with st.container(border=True, horizontal=True, vertical_alignment="center", key="other_settings"):
        (st.markdown if back else st.caption)(f":material/tune: {words}", width="stretch")
        ready = chosen.strategy.initial_state != "carried" or bool(chosen.strategy.source)
        if st.button(
            t("app.other_settings.run"),
            key="run_other",
            type="primary" if back else "secondary",
            icon=":material/play_arrow:",
            disabled=not ready,
            help=None if ready else t("app.sidebar.no_source"),
        ):
            run(chosen)
        if back:
            st.button(
                t("app.other_settings.back"),
                key="settings_back",
                icon=":material/undo:",
                on_click=follow,
                args=(shown,),
            )


def can_follow(experiment: Experiment) -> bool:
    """Whether document and model of a reading are still here, so that the sidebar can be set to it."""
    return session.document_of(experiment.document) is not None and experiment.model in available()


def run(chosen: Choices) -> None:
    """Start a reading of what was ``chosen`` and draw the page anew; its failure is a sentence."""
    try:
        reading.start(chosen)
    except UserError as error:
        show_error(error)
    else:
        st.rerun()
