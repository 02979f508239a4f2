"""In which cells is a second result more accurate than the first, and where is the difference significant?"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from model.studies.passkey import PasskeyResult
from model.studies.passkey.compare import Difference, differences
from viz.app.language import t
from viz.app.theme import BACKGROUND, BLUE, TEXT, VERMILLION, template
from viz.pages.passkey.figures import depth_name, hatching, mark_train_length, short

MARK = "*"
"""Follows the number of a cell whose interval excludes zero."""


def figure(first: PasskeyResult, second: PasskeyResult, *, train_length: int, dark: bool) -> go.Figure:
    """The difference in every cell of two results on one grid; clear ones are framed, those not run hatched."""
    found = differences(first, second)
    lengths, depths = first.lengths, first.task.depths
    rows = [[found.get((length, depth)) for length in lengths] for depth in depths]
    drawn = go.Figure(
        go.Heatmap(
            z=[[None if value is None else round(value.mean, 4) for value in row] for row in rows],
            text=[["" if value is None else words(value) for value in row] for row in rows],
            customdata=[[_details(value) for value in row] for row in rows],
            texttemplate="%{text}",
            hovertemplate=t("passkey.results.difference_hover"),
            hoverongaps=False,
            coloraxis="coloraxis",
            xgap=1.5,
            ygap=1.5,
        )
    )
    drawn.add_trace(hatching([[value is None for value in row] for row in rows]))
    clear = [(x, y) for y, row in enumerate(rows) for x, value in enumerate(row) if value is not None and value.clear]
    for x, y in clear:
        frame = {"x0": x - 0.47, "x1": x + 0.47, "y0": y - 0.45, "y1": y + 0.45}
        drawn.add_shape(type="rect", **frame, line={"color": TEXT[dark], "width": 2.5})
    mark_train_length(drawn, lengths, train_length)
    drawn.update_xaxes(
        tickvals=list(range(len(lengths))),
        ticktext=[short(length) for length in lengths],
        range=[-0.5, len(lengths) - 0.5],
        showgrid=False,
        title_text=t("passkey.axis_length"),
    )
    drawn.update_yaxes(
        tickvals=list(range(len(depths))),
        ticktext=[depth_name(depth) for depth in depths],
        range=[len(depths) - 0.5, -0.5],
        showgrid=False,
        title_text=t("passkey.axis_depth"),
    )
    drawn.update_layout(
        template=template(dark),
        height=150 + 38 * max(len(depths), 3),
        barmode="overlay",
        showlegend=False,
        margin={"t": 36, "r": 8},
        coloraxis={
            "colorscale": [[0, VERMILLION], [0.5, BACKGROUND[dark]], [1, BLUE]],
            "cmin": -1,
            "cmax": 1,
            "colorbar": {"thickness": 12, "tickvals": [-1, 0, 1], "title": {"text": t("passkey.results.difference")}},
        },
    )
    return drawn


def words(value: Difference) -> str:
    """A difference as a cell prints it: +0.40*, 0.00, -0.10."""
    number = "0.00" if abs(value.mean) < 0.005 else f"{value.mean:+.2f}"
    return number + (MARK if value.clear else "")


def _details(value: Difference | None) -> list[str]:
    return [] if value is None else [f"{number:+.2f}" for number in value]


def counts(first: PasskeyResult, second: PasskeyResult) -> tuple[int, int, int]:
    """In how many cells the second is clearly better, in how many clearly worse, and how many were compared."""
    found = list(differences(first, second).values())
    return sum(value.low > 0 for value in found), sum(value.high < 0 for value in found), len(found)


def table(first: PasskeyResult, second: PasskeyResult) -> pd.DataFrame:
    """Every cell that both have run, one row each."""
    rows = [(length, depth, *value, value.clear) for (length, depth), value in differences(first, second).items()]
    return pd.DataFrame(rows, columns=["length", "depth", "difference", "low_95", "high_95", "excludes_zero"])
