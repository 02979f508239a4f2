"""How a passage is forgotten, one line a strategy: its share of the state, and what the model still knows of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from model.messages import message
from model.studies.passage.result import FORGOTTEN, Difference, Forgetting
from viz.figures.curves import hover_mode, mark_training_length, on_axis, position_axis, translucent
from viz.figures.style import COLOURS, DASHES, GREY, template


class Line(NamedTuple):
    """One strategy in the figure: its title, and how it forgets the passage."""

    title: str
    forgetting: Forgetting


def forgetting_figure(
    lines: Sequence[Line], *, measure: str, train_length: int, language: str, dark: bool
) -> go.Figure:
    """The share above what is known, over the logarithm of the distance; a third panel where the passage has a key.

    ``measure`` is "remembered" or "gain", a field of a probe.
    """
    keyed = any(probe.recalled is not None for line in lines for probe in line.forgetting.probes)
    rows = 3 if keyed else 2
    drawn = make_subplots(rows=rows, shared_xaxes=True, vertical_spacing=0.07)
    ends = [distance for line in lines for distance in (*line.forgetting.shares, *_distances(line.forgetting))]
    for place, line in enumerate(lines):
        style = {"color": COLOURS[place % len(COLOURS)], "dash": DASHES[place % len(DASHES)], "width": 2}
        about = {"name": line.title, "legendgroup": str(place), "line": style}
        distance, share = line.forgetting.share()
        drawn.add_scatter(x=_x(distance), y=share, mode="lines", row=1, col=1, **about)
        x, values = _x(_distances(line.forgetting)), _measured(line.forgetting, measure)
        _band(drawn, x, values, str(style["color"]), str(place))
        mean = np.array([value.mean for value in values], float)
        marker = {"size": 6}
        named = {"marker": marker, "showlegend": not len(share)}
        drawn.add_scatter(x=x, y=mean, mode="lines+markers", row=2, col=1, **named, **about)
        if keyed:
            said = [probe.recalled for probe in line.forgetting.probes]
            probability = [math.nan if each is None else each.probability for each in said]
            drawn.add_scatter(
                x=x, y=probability, mode="lines+markers", marker=marker, showlegend=False, row=3, col=1, **about
            )
    drawn.add_hline(y=FORGOTTEN, line={"color": GREY, "width": 1, "dash": "dot"}, row=1, col=1)
    drawn.add_hline(y=0, line={"color": GREY, "width": 1.2, "dash": "dot"}, row=2, col=1)
    drawn.update_layout(template=template(dark), height=150 * rows + 150, hovermode=hover_mode(len(lines)))
    drawn.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}, margin={"t": 40})
    end = max(ends, default=1)
    drawn.update_xaxes(**position_axis(True, language, range=[-0.05, on_axis(end * 1.1, True)]))
    drawn.update_xaxes(title_text=None, ticks="", minor_ticks="")
    last = {"title_text": message("figures.distance_after", language), "ticks": "outside"}
    drawn.update_xaxes(**last, row=rows, col=1)
    drawn.update_yaxes(title_text=message("figures.share_of_state", language), tickformat=".0%", row=1, col=1)
    drawn.update_yaxes(title_text=message(f"figures.{measure}", language), row=2, col=1)
    if keyed:
        drawn.update_yaxes(
            title_text=message("figures.key_probability", language), tickformat=".0%", range=[-0.03, 1.03], row=3, col=1
        )
    mark_training_length(drawn, train_length, end, language=language, dark=dark, log=True)
    return drawn


def forgetting_table(lines: Sequence[Line]) -> pd.DataFrame:
    """The numbers of the figure: a row for every strategy and distance."""
    rows = []
    for line in lines:
        probes = {probe.distance: probe for probe in line.forgetting.probes}
        for distance in sorted({*line.forgetting.shares, *probes}):
            shares, probe = line.forgetting.shares.get(distance), probes.get(distance)
            row = {"strategy": line.title, "tokens_after": distance}
            row["share"] = math.nan if shares is None else float(np.mean(shares))
            if probe is not None:
                row |= {"loss": probe.loss, "loss_without_passage": probe.without, "loss_fresh_state": probe.fresh}
                for name in ("remembered", "gain"):
                    found = getattr(probe, name)
                    row |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
                if probe.recalled is not None:
                    row |= {"key_probability": probe.recalled.probability, "key_right": probe.recalled.right}
            rows.append(row)
    return pd.DataFrame(rows)


def _distances(forgetting: Forgetting) -> list[int]:
    return [probe.distance for probe in forgetting.probes]


def _measured(forgetting: Forgetting, measure: str) -> list[Difference]:
    return [getattr(probe, measure) for probe in forgetting.probes]


def _x(distance: Sequence[float] | np.ndarray) -> np.ndarray:
    """Distances on a logarithmic axis, which has no 0: the passage's end is drawn at 1."""
    return np.maximum(np.asarray(distance, float), 1)


def _band(drawn: go.Figure, x: np.ndarray, values: Sequence[Difference], colour: str, group: str) -> None:
    """The 95% interval around a line of the second panel."""
    hidden = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False, "legendgroup": group}
    drawn.add_scatter(x=x, y=np.array([value.low for value in values], float), row=2, col=1, **hidden)
    fill = {"fill": "tonexty", "fillcolor": translucent(colour, 0.15)}
    drawn.add_scatter(x=x, y=np.array([value.high for value in values], float), row=2, col=1, **fill, **hidden)
