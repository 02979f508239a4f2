"""What to do: recommendation, risks, a staged plan, and what to monitor with thresholds from the measured numbers."""

from __future__ import annotations

from typing import NamedTuple

from model.diagnostics.collapse import MATERIAL, tokens_needed
from model.diagnostics.explored import PERCENTILE
from model.messages import message
from viz.report.answers import UNCLEAR, name_of
from viz.report.facts import Facts, Reading


class Stage(NamedTuple):
    """One stage of the plan: what is done, and when it continues."""

    name: str
    does: str
    passes: str


class Monitor(NamedTuple):
    """One quantity to watch: what was measured, and when it is an alarm."""

    quantity: str
    measured: str
    alarm: str


def recommendation(facts: Facts, language: str) -> list[str]:
    """What to do next, the decision first."""
    diagnosis = facts.diagnosis
    if diagnosis is not None and diagnosis.steps:
        return [step.words(language, **steps_words(facts, language)) for step in diagnosis.steps]
    if facts.best is not None:
        name = name_of(facts.best, language)
        return [message("report.do_use", language, strategy=name, tokens=facts.tokens)]
    if facts.healthy:
        return [message("report.do_plain", language, tokens=facts.tokens)]
    if facts.plain is None or facts.case.startswith(UNCLEAR):
        return [message("report.do_longer", language, needed=tokens_needed(facts.train_length))]
    return [
        message("report.do_split", language, length=split_at(facts)),
        message("report.do_measure", language),
    ]


def steps_words(facts: Facts, language: str) -> dict[str, object]:
    """What the steps of a diagnosis say in a language: the names of the recommended strategy and of the other one."""
    wanted = {"strategy": facts.best and facts.best.key, "other": facts.diagnosis and facts.diagnosis.alternative}
    names = {reading.key: name_of(reading, language) for reading in facts.readings}
    return {word: names.get(key, "") for word, key in wanted.items() if key}


def split_at(facts: Facts) -> int:
    """The length of parts that a document can be split into: that of the diagnosis, the onset, else T."""
    if facts.diagnosis is not None and facts.diagnosis.split:
        return facts.diagnosis.split
    plain = facts.plain
    return facts.train_length if plain is None or not plain.onset else plain.onset


def risks(facts: Facts, language: str) -> list[str]:
    """What could still go wrong, and what was not measured."""
    said: list[str] = []
    diagnosis, used = facts.diagnosis, facts.used
    if diagnosis is not None:
        if not diagnosis.complete:
            counts = {"read": len(diagnosis.strategies), "planned": diagnosis.planned}
            said.append(message("report.risk_incomplete", language, **counts))
        level = message(f"report.confidence_{diagnosis.confidence.level}", language)
        said.append(" ".join([level, *(reason.words(language) for reason in diagnosis.confidence.reasons)]))
    if used is not None:
        window = dict(used.strategy.mitigations).get("window")
        if window is not None and used.recording is not None:
            layers = len(used.recording.meta.layers)
            reach = {"window": int(window), "layers": layers, "reach": int(window) * layers}
            said.append(message("report.risk_window", language, **reach))
        if used.unexplored:
            said.append(message("report.risk_unexplored", language, share=used.unexplored))
    ties = [name_of(reading, language) for reading in facts.readings if reading.tie and reading is not facts.best]
    if ties:
        said.append(message("report.risk_ties", language, names=", ".join(ties)))
    said.append(message("report.risk_scope", language))
    said.append(message("report.risk_length", language, tokens=facts.tokens))
    if not any(reading.recall for reading in facts.readings):
        said.append(message("report.risk_recall", language))
    return [*said, message("report.risk_answers", language), message("report.risk_money", language)]


def stages(facts: Facts, language: str) -> list[Stage]:
    """Pilot, trial beside the present system, replacement."""
    used = facts.used
    if used is None:
        pilot = message("report.pilot_search", language)
    elif used.plain:
        pilot = message("report.pilot_plain", language)
    else:
        pilot = message("report.pilot_use", language, strategy=name_of(used, language))
    rows = (
        ("pilot", pilot, message("report.pilot_passes", language, share=MATERIAL)),
        ("trial", message("report.trial_does", language), message("report.trial_passes", language)),
        (
            "replacement",
            message("report.replacement_does", language, length=split_at(facts)),
            message("report.replacement_passes", language),
        ),
    )
    return [Stage(message(f"report.stage_{name}", language), does, passes) for name, does, passes in rows]


def monitors(facts: Facts, language: str) -> list[Monitor]:
    """What to watch of the strategy that is used; nothing while there is none."""
    used = facts.used
    if used is None:
        return []
    rows = [_loss(facts, used, language)]
    if used.largest_norm is not None:
        norm = f"{used.largest_norm:.2f}"
        rows.append(
            Monitor(
                message("report.monitor_norm", language),
                message("report.monitor_norm_measured", language, norm=used.largest_norm),
                message("report.monitor_above", language, limit=norm),
            )
        )
    if used.unexplored is not None:
        share = f"{used.unexplored:.1%}"
        limit = max(used.unexplored, 1 - PERCENTILE / 100)  # so many of the explored states themselves count as that
        above = message("report.monitor_above", language, limit=f"{limit:.1%}")
        rows.append(Monitor(message("report.monitor_unexplored", language), share, above))
    length = message("report.monitor_tokens", language, tokens=facts.tokens)
    rows.append(Monitor(message("report.monitor_length", language), length, message("report.monitor_longer", language)))
    return [row for row in rows if row is not None]


def _loss(facts: Facts, used: Reading, language: str) -> Monitor | None:
    """The loss: a material excess over the fresh state's is an alarm."""
    if used.beyond is None or used.control is None:
        return None
    measured = {"beyond": used.beyond, "control": used.control}
    return Monitor(
        message("report.monitor_loss", language, train_length=facts.train_length),
        message("report.monitor_loss_measured", language, **measured),
        message("report.monitor_above_loss", language, limit=facts.limit, share=MATERIAL),
    )
