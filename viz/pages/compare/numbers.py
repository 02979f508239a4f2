"""The numbers of a comparison: whether recordings can be compared, their differences, their costs and gains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st

from model.diagnostics.collapse import BEYOND, collapse_onset, excess_beyond, excess_removed, tokens_needed
from model.diagnostics.explored import unexplored_fraction
from model.diagnostics.memory import mean_norm_growth
from model.recording.catalogue import Entry
from model.recording.reader import Recording
from viz.app.choices import number
from viz.app.language import plain, t
from viz.figures.reference import reference_of
from viz.jobs.state_map import States, scores


class Figures(NamedTuple):
    """Key figures of one recording over the tokens that are compared; None where unknown.

    Losses in nats per token, ``onset`` in tokens, ``growth`` of the mean norm, ``unexplored`` a share.
    """

    within: float | None
    beyond: float | None
    excess: float | None
    onset: int | None
    growth: float | None
    unexplored: float | None


def alike(one: Recording | Entry, other: Recording | Entry) -> bool:
    """Whether two recordings are of the same document, read by the same model."""
    return read(one) == read(other)


def read(recording: Recording | Entry) -> tuple[str, str, str]:
    """What was read and by which model."""
    experiment = recording.experiment
    return experiment.document, experiment.model, experiment.weights


def figures(recording: Recording, tokens: int) -> Figures:
    """The key figures of the first ``tokens`` tokens of ``recording``."""
    return _figures(str(recording.path), recording.read_tokens, tokens, recording)


@st.cache_data(max_entries=64, show_spinner=False)
def _figures(path: str, read: int, tokens: int, _recording: Recording) -> Figures:
    train_length = _recording.train_length
    loss = _recording.array("loss")[:tokens]
    control = _recording.array("control_loss")[:tokens] if _recording.has("control_loss") else None
    position = _recording.array("position")
    rows = position <= tokens
    far = tokens >= tokens_needed(train_length)
    excess = excess_beyond(loss, control, train_length)
    growth = mean_norm_growth(_recording.array("norm")[rows], position[rows], train_length) if far else None
    return Figures(
        within=_mean(loss[:train_length]),
        beyond=_mean(loss[BEYOND * train_length :]) if far else None,
        excess=excess.mean if excess else None,
        onset=collapse_onset(loss, control, train_length),
        growth=growth,
        unexplored=_unexplored(_recording, tokens),
    )


def _mean(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else None


def novelty(recording: Recording, tokens: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Position and novelty of the snapshots within ``tokens``, each (n,); None without a reference."""
    known = reference_of(recording)
    position = recording.array("snapshot_position")
    rows = position <= tokens
    if known is None or not rows.any():
        return None
    return position[rows], scores(States(recording, known, None)).novelty[rows]


def _unexplored(recording: Recording, tokens: int) -> float | None:
    found = novelty(recording, tokens)
    return None if found is None else unexplored_fraction(found[1], found[0], tokens)


def differences(chosen: Sequence[Recording]) -> dict[str, list[str]]:
    """What was set differently: a name for each such setting, and its value in every recording."""
    rows: dict[str, list[str]] = {
        "document": [plain(recording.meta.document_name) for recording in chosen],
        "model": [plain(recording.experiment.model) for recording in chosen],
        "weights": [recording.experiment.weights for recording in chosen],
        "initial_state": [
            t(f"initial_states.{recording.experiment.strategy.initial_state}_title") for recording in chosen
        ],
        "source": [recording.experiment.strategy.source or t("compare.none") for recording in chosen],
    }
    settings = [dict(recording.experiment.strategy.mitigations) for recording in chosen]
    for name in dict.fromkeys(name for setting in settings for name in setting):
        rows[f"mitigation.{name}"] = [
            number(name, setting[name]) if name in setting else t("compare.off") for setting in settings
        ]
    rows |= {
        "attention_window": [
            f"{recording.experiment.attention_window:,}" if recording.experiment.attention_window else t("compare.off")
            for recording in chosen
        ],
        "parts_off": [", ".join(recording.experiment.off) or t("compare.none") for recording in chosen],
        "train_length": [f"{recording.train_length:,}" for recording in chosen],
        "precision": [recording.experiment.precision for recording in chosen],
        "seed": [str(recording.experiment.strategy.seed) for recording in chosen],
        "read": [f"{recording.read_tokens:,}" for recording in chosen],
    }
    if len({recording.experiment.document for recording in chosen}) > 1:  # two documents may share a name
        rows["document"] = [
            f"{name} ({recording.experiment.document[:6]})"
            for name, recording in zip(rows["document"], chosen, strict=True)
        ]
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def removed(figure: Figures, baseline: Figures) -> float | None:
    """Share of the baseline's excess that ``figure`` lacks; None if the baseline's is negligible."""
    return excess_removed(figure.excess, baseline.excess, baseline.beyond)


def cost(figure: Figures, baseline: Figures) -> float | None:
    """By what share the loss within the training length is above the baseline's."""
    return figure.within / baseline.within - 1 if figure.within is not None and baseline.within else None


class Best(NamedTuple):
    """The recording that removes the most: its place, the share it removes, and its cost (None if unknown)."""

    order: int
    share: float
    paid: float | None


def best_of(found: Sequence[Figures]) -> Best | None:
    """The best of ``found`` beside the first, which is the baseline; None if nothing can be removed."""
    gains = [
        (share, order) for order, one in enumerate(found) if order and (share := removed(one, found[0])) is not None
    ]
    if not gains:
        return None
    share, order = max(gains)
    return Best(order, share, cost(found[order], found[0]))
