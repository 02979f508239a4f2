"""Repetition and entropy of short continuations along a document, one line a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from model.studies.ask.result import REPEATS, Along
from viz.app.language import t
from viz.app.theme import COLOURS, DASHES, GREY, template
from viz.ui.curves import hover_mode, ink, mark_training_length, on_axis, position_axis


class Line(NamedTuple):
    """One recording in the chart: its letter, its title, what is known along it, and its collapse onset."""

    letter: str
    title: str
    along: Along
    onset: int | None


def along_figure(lines: Sequence[Line], *, train_length: int, dark: bool) -> go.Figure:
    """Repetition above entropy, over the logarithm of the position; onsets are vertical lines in a line's colour."""
    drawn = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.08)
    end = max(line.along.moments[-1] for line in lines)
    least = min(line.along.moments[0] for line in lines)
    for place, line in enumerate(lines):
        style = {"color": COLOURS[place % len(COLOURS)], "dash": DASHES[place % len(DASHES)], "width": 2}
        for row, values in enumerate((line.along.repetition, line.along.entropy), start=1):
            drawn.add_scatter(
                x=np.array(line.along.moments),
                y=np.array(values),
                mode="lines+markers",
                name=f"{line.letter} · {line.title}",
                legendgroup=line.letter,
                showlegend=row == 1,
                line=style,
                marker={"size": 7},
                row=row,
                col=1,
            )
        if line.onset is not None:
            _mark_onset(drawn, line, str(style["color"]), dark)
    drawn.add_hline(y=REPEATS, line={"color": GREY, "width": 1, "dash": "dot"}, row=1, col=1)
    drawn.update_layout(template=template(dark), height=440, hovermode=hover_mode(len(lines)), margin={"t": 40})
    drawn.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    drawn.update_xaxes(**position_axis(True, range=[on_axis(least * 0.8, True), on_axis(end * 1.1, True)]))
    drawn.update_xaxes(title_text=None, ticks="", minor_ticks="", row=1, col=1)
    drawn.update_yaxes(title_text=t("ask.repetition"), tickformat=".0%", range=[-0.03, 1.03], row=1, col=1)
    drawn.update_yaxes(title_text=t("ask.entropy"), rangemode="tozero", row=2, col=1)
    mark_training_length(drawn, train_length, end, dark=dark, log=True)
    return drawn


def _mark_onset(drawn: go.Figure, line: Line, colour: str, dark: bool) -> None:
    place = line.onset or 0
    drawn.add_vline(x=place + 1, line={"color": colour, "width": 1.5, "dash": "longdash"})
    drawn.add_annotation(
        x=on_axis(place + 1, True),
        y=0,
        yref="paper",
        yanchor="bottom",
        xanchor="left",
        xshift=3,
        text=t("ask.onset_mark", letter=line.letter),
        showarrow=False,
        font={"size": 11, "color": ink(dark)},
    )


def along_table(lines: Sequence[Line]) -> pd.DataFrame:
    """The numbers of the chart: moment, recording, repetition, entropy."""
    rows = [
        (moment, f"{line.letter} · {line.title}", share, nats)
        for line in lines
        for moment, share, nats in zip(line.along.moments, line.along.repetition, line.along.entropy, strict=True)
    ]
    return pd.DataFrame(rows, columns=["tokens", "recording", "repetition", "entropy_nats"])
