"""Where tokens of a recording stand in the original document, in words: "page 12", "sheet Stock, row 40"."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from model.errors import UserError
from model.recording.reader import Recording
from viz.app import session
from viz.app.language import language


def places_of(recording: Recording, tokens: Sequence[float] | np.ndarray) -> list[str]:
    """Where the token after each number of ``tokens`` stands; empty if the document is not here any more.

    Characters are known at every chunk boundary; between two of them they are interpolated.
    """
    key = session.document_of(recording.experiment.document)
    if key is None:
        return []
    try:
        document = session.document(key)
    except UserError:
        return []
    position, character = recording.array("position"), recording.array("character")
    last = max(0, len(document.text) - 1)
    found = np.interp(np.asarray(tokens, float), position, character).astype(int)
    return [document.place(min(int(at), last), language()) for at in found]


def place_of(recording: Recording, token: int) -> str:
    """Where one token stands; empty if that is not known."""
    return next(iter(places_of(recording, [token])), "")


def name_places(figure: go.Figure, recording: Recording) -> go.Figure:
    """``figure``, over tokens, whose hover box says where in the document they are."""
    first = next((trace for trace in figure.data if trace.x is not None and len(trace.x)), None)
    words = [] if first is None else places_of(recording, first.x)
    if first is not None and any(words):
        figure.add_scatter(
            x=first.x,
            y=first.y,
            mode="lines",
            line={"width": 0},
            opacity=0,
            showlegend=False,
            text=[html.escape(word) for word in words],
            hovertemplate="%{text}<extra></extra>",
        )
    return figure
