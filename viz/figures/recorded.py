"""The figures of one recording by name, for ``recording.figure(name)``, ``memory-explorer export`` and reports.

Each takes a recording, a language ("en" or "ja") and a theme, and is an entry point of ``memory_explorer.figures``; a
recording without the numbers for one gives a UserError that says what is missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from model.diagnostics.collapse import excess_curve
from model.diagnostics.explored import Explored
from model.diagnostics.explored import novelty as novelty_of
from model.diagnostics.memory import half_lives as half_lives_of
from model.diagnostics.state_map import project
from model.errors import UserError
from model.recording.reader import Recording
from model.recording.schema import CONTROL_LOSS, LOG_DECAY, LOSS, NORM, POSITION, SKETCHED, SNAPSHOT_POSITION
from viz.figures.compared import Line, shares, unexplored_figure
from viz.figures.losses import excess_figure, loss_figure
from viz.figures.norms import half_life_figure, norm_figure
from viz.figures.reference import reference_of
from viz.figures.states import map_figure, novelty_figure


def loss(recording: Recording, language: str = "en", dark: bool = False) -> go.Figure:
    """Loss by position, with the control where there is one."""
    control = recording.array(CONTROL_LOSS) if recording.has(CONTROL_LOSS) else None
    return loss_figure(recording.array(LOSS), control, **_frame(recording, language, dark))


def excess(recording: Recording, language: str = "en", dark: bool = False) -> go.Figure:
    """Excess of the loss over the control by position."""
    if not recording.has(CONTROL_LOSS):
        raise UserError("figures.no_control", name=recording.title)
    curve = excess_curve(recording.array(LOSS), recording.array(CONTROL_LOSS), recording.train_length)
    return excess_figure(curve, **_frame(recording, language, dark))


def state_norms(recording: Recording, language: str = "en", dark: bool = False) -> go.Figure:
    """Mean state norm of every layer by position."""
    return norm_figure(recording.array(POSITION), recording.array(NORM), **_frame(recording, language, dark))


def half_lives(recording: Recording, language: str = "en", dark: bool = False) -> go.Figure:
    """Half-life of every head."""
    found = half_lives_of(recording.array(LOG_DECAY), recording.array(POSITION))
    if np.isnan(found).all():
        raise UserError("figures.no_half_life", name=recording.title)
    return half_life_figure(found, train_length=recording.train_length, language=language, dark=dark)


def novelty(recording: Recording, language: str = "en", dark: bool = False) -> go.Figure:
    """Novelty of the states by position."""
    position, scores = scored(recording, _reference(recording))
    return novelty_figure(position, scores, **_frame(recording, language, dark))


def unexplored(recording: Recording, language: str = "en", dark: bool = False) -> go.Figure:
    """Share of unexplored states by position."""
    position, scores = scored(recording, _reference(recording))
    middle, share = shares(position, scores, log=True)
    drawn = [(Line("", recording.title, 0), middle, share)]
    figure = unexplored_figure(drawn, log_x=True, **_frame(recording, language, dark))
    return figure.update_layout(showlegend=False)


def state_map(recording: Recording, language: str = "en", dark: bool = False) -> go.Figure:
    """The states among the explored ones, on their first two principal components."""
    known = _reference(recording)
    position, scores = scored(recording, known)
    plane = project(known.sketch, recording.array(SKETCHED))
    assert plane is not None  # nothing stops it
    return map_figure(plane, scores, position, by_position=False, language=language, dark=dark)


def scored(recording: Recording, known: Explored) -> tuple[np.ndarray, np.ndarray]:
    """Position and novelty of the snapshots, both (m,)."""
    return recording.array(SNAPSHOT_POSITION), novelty_of(known, recording.array(SKETCHED))


def _reference(recording: Recording) -> Explored:
    if not recording.state_layers:
        raise UserError("figures.cache", name=recording.title)
    known = reference_of(recording)
    if known is None or not len(recording.array(SNAPSHOT_POSITION)):
        raise UserError("figures.no_reference", name=recording.title)
    return known


def _frame(recording: Recording, language: str, dark: bool) -> dict[str, Any]:
    words = {"language": language, "dark": dark}
    return {"train_length": recording.train_length, "end": recording.read_tokens, **words}
