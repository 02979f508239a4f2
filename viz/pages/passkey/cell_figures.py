"""The figures of one cell of the passkey test: the probability of every symbol, and the state norms over the prompt."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from viz.app.language import t
from viz.app.theme import COLOURS, DASHES, GREEN, GREY, SEQUENTIAL, VERMILLION, template
from viz.ui.curves import MAX_POINTS, kept_rows

if TYPE_CHECKING:
    from model.studies.passkey.explain import Explained

ROWS = 40
"""Trials that are drawn; the table has them all."""
LAYERS = 4
"""Layers that are drawn one by one; of more, all together."""

Known = Sequence[tuple[str, "Explained"]]


def digits(known: Known, *, dark: bool) -> go.Figure:
    """The probability of every right symbol, trials down and symbols across, one map for each reader."""
    titles = [title for title, _ in known]
    drawn = make_subplots(rows=1, cols=len(known), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    for column, (_, explained) in enumerate(known, 1):
        probability = explained.probability[:ROWS]
        right, said = explained.right[:ROWS], explained.said[:ROWS]
        drawn.add_trace(
            go.Heatmap(
                z=probability.round(4),
                x=list(range(1, probability.shape[1] + 1)),
                y=list(range(1, len(probability) + 1)),
                text=[[spoken(*pair) for pair in zip(*row, strict=True)] for row in zip(right, said, strict=True)],
                texttemplate="%{text}",
                hovertemplate=t("passkey.cell.digits_hover"),
                coloraxis="coloraxis",
                xgap=1,
                ygap=1,
            ),
            row=1,
            col=column,
        )
        step = max(1, probability.shape[1] // 16)
        drawn.update_xaxes(dtick=step, tick0=1, showgrid=False, title_text=t("passkey.cell.axis_symbol"), col=column)
    drawn.update_yaxes(autorange="reversed", showgrid=False, dtick=max(1, len(probability) // 10), tick0=1)
    drawn.update_yaxes(title_text=t("passkey.cell.axis_trial"), row=1, col=1)
    drawn.update_layout(
        template=template(dark),
        height=150 + 22 * max(len(probability), 4),
        margin={"t": 44, "r": 8},
        coloraxis={
            "colorscale": SEQUENTIAL,
            "cmin": 0,
            "cmax": 1,
            "colorbar": {
                "thickness": 12,
                "tickvals": [0, 0.5, 1],
                "title": {"text": t("passkey.cell.axis_probability")},
            },
        },
    )
    return drawn


def spoken(right: str, said: str) -> str:
    """A symbol as a cell prints it: 7, or 7→3 where the model answers 3 instead."""
    return _visible(right) if right == said else f"{_visible(right)}→{_visible(said)}"


def _visible(symbol: str) -> str:
    """At most four characters; white space as a visible sign."""
    return html.escape(symbol.replace("\n", "↵").replace(" ", "␣")[:4])


def digits_table(known: Known) -> pd.DataFrame:
    """Every symbol of every trial, one row each."""
    rows = [
        (title, trial + 1, key, place + 1, right, said, probability)
        for title, explained in known
        for trial, (key, *symbols) in enumerate(
            zip(explained.keys, explained.right, explained.said, explained.probability, strict=True)
        )
        for place, (right, said, probability) in enumerate(zip(*symbols, strict=True))
    ]
    return pd.DataFrame(rows, columns=["reader", "trial", "key", "symbol", "right", "said", "probability"])


def norms(known: Known, trial: int, *, dark: bool) -> go.Figure:
    """The norms of the states in one trial: a colour for each layer, a dash for each reader."""
    drawn = go.Figure()
    for index, (title, explained) in enumerate(known):
        for layer, (name, values) in enumerate(_curves(explained, trial).items()):
            kept = kept_rows(explained.position, values, points=MAX_POINTS // LAYERS)
            drawn.add_scatter(
                x=explained.position[kept],
                y=values[kept].astype(float).round(4),
                name=f"{title} · {name}" if len(known) > 1 else name,
                mode="lines",
                line={"color": COLOURS[layer], "dash": DASHES[index], "width": 2},
                hovertemplate="%{x:,}: %{y:.2f}<extra>%{fullData.name}</extra>",
            )
    explained = known[0][1]
    (begin, end), query = explained.needles[trial], explained.queries[trial]
    drawn.add_vrect(x0=begin, x1=end, fillcolor=GREEN, opacity=0.35, line_width=0)
    drawn.add_vline(x=query, line={"color": VERMILLION, "dash": "dot", "width": 2})
    for place, words in (((begin + end) / 2, "passkey.cell.needle"), (query, "passkey.cell.query")):
        label = {"text": t(words), "showarrow": False, "font": {"size": 11, "color": GREY}}
        right = place > explained.position[-1] * 0.8
        drawn.add_annotation(
            **label, x=place, y=1, yref="paper", yanchor="bottom", xanchor="right" if right else "left"
        )
    drawn.update_xaxes(title_text=t("passkey.cell.axis_position"))
    drawn.update_yaxes(title_text=t("passkey.cell.axis_norm"), rangemode="tozero")
    drawn.update_layout(template=template(dark), height=340, showlegend=True, margin={"t": 70}, legend={"y": 1.1})
    return drawn


def _curves(explained: Explained, trial: int) -> dict[str, np.ndarray]:
    """What is drawn of a trial by name: every layer if there are few, else all together."""
    layers = explained.norms[trial].T
    if len(layers) > LAYERS:
        return {t("passkey.cell.all_layers"): total(explained, trial)}
    return {t("figures.layer", layer=layer): values for layer, values in enumerate(layers)}


def total(explained: Explained, trial: int) -> np.ndarray:
    """The norm over all layers at every position, (n,)."""
    return np.sqrt(np.square(explained.norms[trial], dtype=np.float64).sum(-1))


def norms_table(known: Known, trial: int) -> pd.DataFrame:
    """The norm of every layer at every position, one row each."""
    rows = [
        (title, int(position), layer, float(norm))
        for title, explained in known
        for position, layers in zip(explained.position, explained.norms[trial], strict=True)
        for layer, norm in enumerate(layers)
    ]
    return pd.DataFrame(rows, columns=["reader", "position", "layer", "norm"])
