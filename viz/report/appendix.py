"""The tables of the appendix: numbers, settings and versions of every reading, and the command that reproduces it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

from model.experiment import Experiment
from model.messages import message
from viz.report.answers import name_of
from viz.report.facts import Facts, Reading, Span

UNKNOWN = "–"


def effects(facts: Facts, language: str, most: int | None = None) -> list[dict[str, str]]:
    """Cost and effect of every strategy; the plain model and the recommended one are always among the ``most``."""
    kept = list(facts.readings)
    if most is not None and len(kept) > most:
        first = [reading for reading in kept if reading.plain or reading is facts.best]
        rest = [reading for reading in kept if reading not in first]
        rest.sort(key=lambda reading: reading.excess.mean if reading.excess else float("inf"))
        kept = [*first, *rest][:most]
    return [_effect(reading, facts, language) for reading in kept]


def _effect(reading: Reading, facts: Facts, language: str) -> dict[str, str]:
    mark = ""
    if reading.failure is not None:
        mark = message("report.failed", language)
    elif facts.used is not None and reading.key == facts.used.key:
        mark = message("report.recommended", language)
    elif reading.tie:
        mark = message("report.tied", language)
    recall = reading.recall
    return {
        "strategy": name_of(reading, language),
        "mark": mark,
        "excess": interval(reading.excess, language),
        "removed": UNKNOWN if reading.plain else percent(reading.removed),
        "cost": UNKNOWN if reading.plain or reading.cost is None else f"{reading.cost.mean:+z.1%}",
        "speed": UNKNOWN if not reading.tokens_per_second else f"{reading.tokens_per_second:,.0f}",
        "recall": UNKNOWN if recall is None else f"{recall.correct} / {recall.trials}",
    }


def interval(span: Span | None, language: str) -> str:
    """A number with its interval, as far as they are known."""
    if span is None:
        return UNKNOWN
    if span.low is None or span.high is None:
        return f"{span.mean:+z.3f}"
    return message("report.interval", language, mean=span.mean, low=span.low, high=span.high)


def percent(span: Span | None) -> str:
    """A share; above 100% the long memory helps."""
    return UNKNOWN if span is None else f"{span.mean:z.1%}"


def numbers(facts: Facts, language: str) -> list[dict[str, str]]:
    """All numbers of every reading."""
    return [
        {
            "strategy": name_of(reading, language),
            "within": _plain(reading.within, ".3f"),
            "beyond": _plain(reading.beyond, ".3f"),
            "control": _plain(reading.control, ".3f"),
            "excess": interval(reading.excess, language),
            "onset": UNKNOWN if reading.onset is None else f"{reading.onset + 1:,}",
            "growth": UNKNOWN if reading.growth is None else f"× {reading.growth:.2f}",
            "unexplored": _plain(reading.unexplored, ".1%"),
            "failure": "" if reading.failure is None else reading.failure.words(language),
        }
        for reading in facts.readings
    ]


def _plain(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


class Settings(NamedTuple):
    """A table of what differs between the readings, and in words what is the same in all."""

    columns: list[str]
    rows: list[list[str]]
    common: str


def settings(facts: Facts, language: str) -> Settings:
    """What read, with which settings and versions; what is only in a recording is missing where that is not here."""
    rows = [_settings(reading, language) for reading in facts.readings]
    names = {name: message(f"report.column_{name}", language) for name in rows[0]}
    same = {name for name in names if len(rows) > 1 and len({row[name] for row in rows}) == 1}
    differing = [name for name in names if name not in same]
    common = " · ".join(f"{names[name]} {rows[0][name]}" for name in names if name in same and rows[0][name] != UNKNOWN)
    return Settings(
        columns=[names[name] for name in differing],
        rows=[[row[name] for name in differing] for row in rows],
        common=message("report.common", language, settings=common) if common else "",
    )


def _settings(reading: Reading, language: str) -> dict[str, str]:
    """The cells of one reading."""
    cells = {
        "strategy": name_of(reading, language),
        "recording": reading.key,
        "model": reading.model,
        "weights": reading.weights,
    }
    if reading.recording is None:
        return {**cells, **dict.fromkeys(("precision", "window", "seed", "device", "versions"), UNKNOWN)}
    experiment, summary = reading.recording.experiment, reading.recording.summary
    versions = reading.recording.meta.versions
    return {
        **cells,
        "precision": experiment.precision,
        "window": f"{experiment.attention_window:,}" if experiment.attention_window else UNKNOWN,
        "seed": str(experiment.strategy.seed),
        "device": " · ".join(filter(None, map(summary.get, ("device", "kernels")))) or UNKNOWN,
        "versions": ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) or UNKNOWN,
    }


def commands(facts: Facts) -> list[str]:
    """The commands that reproduce the readings whose settings are known, and the diagnosis."""
    found = [command_of(reading.recording.experiment) for reading in facts.readings if reading.recording is not None]
    if facts.diagnosis is not None:
        found.insert(0, shlex.join(["memory-explorer", "diagnose", "FILE", "--model", facts.diagnosis.model]))
    return found


def command_of(experiment: Experiment) -> str:
    """The command that gives the recording of ``experiment`` from the document FILE."""
    strategy, words = experiment.strategy, ["memory-explorer", "read", "FILE", "--model", experiment.model]
    if strategy.initial_state != "zeros":
        source = f"={Path('recordings') / strategy.source}" if strategy.source else ""
        words += ["--initial-state", f"{strategy.initial_state}{source}"]
    for name, value in strategy.mitigations:
        words += ["--mitigate", f"{name}={value!r}"]
    for part in experiment.off:
        words += ["--off", part]
    words += ["--train-length", str(experiment.train_length)]
    if experiment.precision != "float32":
        words += ["--precision", experiment.precision]
    if experiment.attention_window:
        words += ["--attention-window", str(experiment.attention_window)]
    if strategy.seed:
        words += ["--seed", str(strategy.seed)]
    words += [] if experiment.control else ["--no-control"]
    words += ["--token-norms"] if experiment.token_norms else []
    return shlex.join(words)
