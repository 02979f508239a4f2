"""What the sidebar has set: one frozen value that the Run button, the passkey page and titles all read."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from model.experiment import PLAIN, Experiment, Strategy
from model.interventions.mitigations import MITIGATIONS
from model.reading.prepare import DEFAULTS, Options
from model.studies.passkey import Reader
from viz.app.language import t

_NAME = "_explorer_choices"


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The choices of the sidebar; ``keep`` and ``keep_text`` say what outlives the session."""

    document: str
    model: str
    strategy: Strategy = PLAIN
    options: Options = DEFAULTS
    keep: bool = False
    keep_text: bool = False


def choices() -> Choices | None:
    """What the sidebar shows now; None if no model is installed."""
    return st.session_state.get(_NAME)


def remember(chosen: Choices | None) -> None:
    """Note what the sidebar shows; the sidebar calls this."""
    st.session_state[_NAME] = chosen


def describe(strategy: Strategy) -> str:
    """Initial state and mitigations in a few words: “Noise · Faster decay 4”."""
    parts = [] if strategy.initial_state == "zeros" else [t(f"initial_states.{strategy.initial_state}_title")]
    parts += [f"{t(f'mitigations.{name}_title')} {number(name, value)}" for name, value in strategy.mitigations]
    return " · ".join(parts) if parts else t("app.plain")


def describe_reading(experiment: Experiment | Reader) -> str:
    """The same of a whole reading, or of who answers a passkey test, with what else changes the model."""
    parts = [describe(experiment.strategy)]
    if experiment.attention_window:
        parts.append(t("app.attention_window", window=experiment.attention_window))
    if experiment.off:
        parts.append(t("app.off", parts=", ".join(experiment.off)))
    return " · ".join(parts)


def number(name: str, value: float) -> str:
    """The value of a mitigation as it is written: 256, 0.9999, 4."""
    row = MITIGATIONS.get(name)
    return f"{int(value):,}" if row is not None and row.integer else f"{value:g}"
