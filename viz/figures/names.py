"""What a strategy, a mitigation's value and a reading are called, in a language."""

from __future__ import annotations

from model.experiment import Experiment, Strategy
from model.interventions.mitigations import MITIGATIONS
from model.messages import message
from model.studies.passkey import Reader


def strategy_name(strategy: Strategy, language: str) -> str:
    """Initial state and mitigations in a few words: “Noise · Faster decay 4”."""
    start = strategy.initial_state
    parts = [] if start == "zeros" else [message(f"initial_states.{start}_title", language)]
    parts += [
        f"{message(f'mitigations.{name}_title', language)} {number(name, value)}"
        for name, value in strategy.mitigations
    ]
    return " · ".join(parts) if parts else message("figures.plain", language)


def reading_name(experiment: Experiment | Reader, language: str) -> str:
    """The same of a whole reading, or of who answers a passkey test, with what else changes the model."""
    parts = [strategy_name(experiment.strategy, language)]
    if experiment.attention_window:
        parts.append(message("figures.attention_window", language, window=experiment.attention_window))
    if experiment.off:
        parts.append(message("figures.off", language, parts=", ".join(experiment.off)))
    return " · ".join(parts)


def number(name: str, value: float) -> str:
    """The value of a mitigation as it is written: 256, 0.9999, 4."""
    row = MITIGATIONS.get(name)
    return f"{int(value):,}" if row is not None and row.integer else f"{value:g}"
