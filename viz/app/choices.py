"""What the sidebar has set: one frozen value that the Run button, the passkey page and titles all read."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from model.experiment import PLAIN, Experiment, Strategy
from model.reading.prepare import DEFAULTS, Options
from model.studies.passkey import Reader
from viz.app.language import language
from viz.figures.names import number, reading_name, strategy_name

__all__ = ["Choices", "choices", "describe", "describe_reading", "number", "remember"]

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
    return strategy_name(strategy, language())


def describe_reading(experiment: Experiment | Reader) -> str:
    """The same of a whole reading, or of who answers a passkey test, with what else changes the model."""
    return reading_name(experiment, language())
