"""What a replay is made of, from stored recordings alone: curves, the path on the map, the text at each position."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from model.diagnostics.state_map import PCA, project
from model.recording.reader import Recording
from model.recording.schema import CHARACTER, CONTROL_LOSS, LOSS, NORM, POSITION, SNAPSHOT_POSITION
from viz.app.language import t
from viz.app.theme import GREY
from viz.figures.reference import reference_of
from viz.jobs.state_map import States, scores
from viz.ui.curves import binned, ink, kept_rows, line_colours
from viz.ui.player import LOSS as LOSS_PANEL
from viz.ui.player import NORM as NORM_PANEL
from viz.ui.player import Curve, Passages, Track
from viz.ui.text_view import in_units

SKETCH = "sketch"
LAYERS = 4
"""Layers up to which each has a line; of more, the mean and the one that grew most are drawn."""
MOST_POINTS, MOST_EXPLORED = 600, 1500
"""Points of a curve, and explored states of the map."""
MOST_FRAMES = 800
"""Positions at which the text is known exactly; between two of them its place is interpolated."""
MOST_TEXT = 400_000
"""Characters of a text that goes to the browser whole; of a longer one the surroundings of every frame do."""
BEFORE, AFTER, WIDEST = 160, 160, 640


def span(recording: Recording) -> tuple[float, float]:
    """Positions from which and to which a recording is played."""
    end = float(recording.read_tokens)
    return min(64.0, recording.train_length / 4, end / 4), end


def curves(recording: Recording, *, log: bool, dark: bool) -> list[Curve]:
    """The norms of the layers as multiples of their values at the training length, and the losses."""
    position, growth = norm_growth(recording)
    layers = growth.shape[1]
    if layers <= LAYERS:
        lines = {t("figures.layer", layer=layer): growth[:, layer] for layer in range(layers)}
    else:
        most = int(np.argmax(np.nan_to_num(growth[-1], nan=-1)))
        lines = {t("play.mean"): growth.mean(axis=1), t("figures.layer", layer=most): growth[:, most]}
    found = [
        _norm_curve(position, values, name=name, colour=colour, log=log)
        for (name, values), colour in zip(lines.items(), line_colours(len(lines), dark), strict=True)
    ]
    return [*found, *losses(recording, t("ui.curves.loss_name"), ink(dark), log=log)]


def whole_curves(recording: Recording, name: str, colour: str, *, control: bool) -> list[Curve]:
    """One line of the mean norm and one of the loss, both called ``name``, on a logarithmic axis."""
    position, growth = norm_growth(recording)
    norm = _norm_curve(position, growth.mean(axis=1), name=name, colour=colour, log=True)
    return [norm, *losses(recording, name, colour, log=True, control=control)]


def losses(recording: Recording, name: str, colour: str, *, log: bool, control: bool = True) -> list[Curve]:
    """Binned losses of the recording and, if there is one and it is wanted, of its control."""
    x, y = binned(recording.array(LOSS)[: recording.read_tokens], parts=160, log=log)
    found = [Curve(panel=LOSS_PANEL, name=name, colour=colour, x=x, y=y)]
    if control and recording.has(CONTROL_LOSS):
        x, y = binned(recording.array(CONTROL_LOSS)[: recording.read_tokens], parts=160, log=log)
        found.append(Curve(panel=LOSS_PANEL, name=t("play.fresh"), colour=GREY, x=x, y=y, dash=True))
    return found


def norm_growth(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n,) and the mean norm over the heads of each layer, (n, layers), over that at the training length."""
    position, norm = recording.array(POSITION), recording.array(NORM).astype(np.float64).mean(axis=2)
    at = int(np.searchsorted(position, min(recording.train_length, position[-1])))
    with np.errstate(invalid="ignore", divide="ignore"):
        return position, norm / np.where(norm[at] > 0, norm[at], np.nan)


def _norm_curve(position: np.ndarray, values: np.ndarray, *, name: str, colour: str, log: bool) -> Curve:
    rows = kept_rows(position, values, points=MOST_POINTS, log=log)
    return Curve(panel=NORM_PANEL, name=name, colour=colour, x=position[rows], y=values[rows])


def tracks(
    recordings: Sequence[Recording], curves_of: Sequence[list[Curve]], names: Sequence[str], colours: Sequence[str]
) -> tuple[list[Track], np.ndarray]:
    """A track for each recording, all of one model, and the explored states (n, 2) of the map that they share.

    The map is a PCA of the explored states, where they are here, and of all recordings together.
    """
    plane, explored = _plane(tuple((str(each.path), each.read_tokens) for each in recordings), recordings)
    known = reference_of(recordings[0])
    found = []
    for recording, lines, name, colour, xy in zip(recordings, curves_of, names, colours, plane, strict=True):
        new = np.zeros(len(xy), bool)
        if known is not None and len(xy):
            new = scores(States(recording, known, None)).novelty > 1
        position = recording.array(SNAPSHOT_POSITION)
        found.append(Track(name=name, colour=colour, curves=lines, position=position, xy=xy, unexplored=new))
    return found, explored


@st.cache_data(max_entries=16, show_spinner=False)
def _plane(
    identity: tuple[tuple[str, int], ...], _recordings: Sequence[Recording]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Coordinates (m, 2) of the snapshots of each recording, and of explored states."""
    sketches = [each.array(SKETCH) for each in _recordings]
    known = reference_of(_recordings[0])
    reference = sketches[0][:0] if known is None else known.sketch
    drawn = sum(map(len, sketches)) > 1 and bool(_recordings[0].state_layers)
    plane = project(reference, np.concatenate(sketches), PCA) if drawn else None
    if plane is None:
        return [np.zeros((len(each), 2), np.float32)[:0] for each in sketches], np.zeros((0, 2), np.float32)
    ends = np.cumsum([len(each) for each in sketches])[:-1]
    step = max(1, -(-len(reference) // MOST_EXPLORED))
    return np.split(plane.document_xy, ends), plane.explored_xy[::step]


def passages(recording: Recording, text: str | None) -> Passages:
    """The text of ``recording`` for the replay: whole, or around each frame where it is long; empty without one."""
    position, character = recording.array(POSITION), recording.array(CHARACTER)
    frames = _frames(len(position))
    position, character = position[frames], np.minimum(character[frames], len(text or ""))
    if not text:
        return Passages(position=position, character=character, parts=[])
    counted = in_units(text + " ", character)
    if len(text) <= MOST_TEXT:
        return Passages(position=position, character=counted, parts=[(0, 0, text)])
    starts = np.maximum(character - BEFORE, 0)
    ends = np.minimum(np.append(character[1:], len(text)) + AFTER, starts + WIDEST)
    parts = [
        (int(first), int(start), text[at:end])
        for first, start, at, end in zip(counted, in_units(text + " ", starts), starts, ends, strict=True)
    ]
    return Passages(position=position, character=counted, parts=parts)


def _frames(count: int) -> np.ndarray:
    """At most MOST_FRAMES of ``count`` rows, first and last too: half spread evenly, half by logarithm."""
    if count <= MOST_FRAMES:
        return np.arange(count)
    even = np.linspace(0, count - 1, MOST_FRAMES // 2)
    return np.unique(np.concatenate([even, np.geomspace(1, count - 1, MOST_FRAMES // 2)]).astype(int))
