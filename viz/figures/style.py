"""One palette and one pair of Plotly templates, light and dark, used by every figure.

Figures always get an explicit template: Streamlit's own replaces colours in the browser, so an exported figure would
come out black. Blue, vermillion, green and purple keep 3:1 contrast on both backgrounds and stay apart for all common
kinds of colour blindness; where more series are needed, dashes and labels distinguish them.
"""

from __future__ import annotations

import plotly.graph_objects as go

BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY = "#8A8F98"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE)
DASHES = ("solid", "dash", "dot", "dashdot")
EXPLORED, UNEXPLORED = BLUE, VERMILLION
SEQUENTIAL = "Cividis"
FONT = (
    "'Source Sans', 'Hiragino Sans', 'Noto Sans JP', 'Noto Sans CJK JP', 'Yu Gothic UI', Meiryo, system-ui, sans-serif"
)
BACKGROUND = {False: "#FFFFFF", True: "#0E1117"}
TEXT = {False: "#0D111A", True: "#E6E9EF"}
GRID = {False: "#E6E8EC", True: "#2A2F3A"}

CONFIG = {"displaylogo": False, "showSendToCloud": False, "modeBarButtonsToRemove": ["lasso2d", "select2d"]}
"""Plotly's toolbar without its logo and without the button that would upload the figure."""


def template(dark: bool) -> go.layout.Template:
    """The Plotly template of a theme: transparent background, quiet grid, one font stack with Japanese faces."""
    axis = {
        "gridcolor": GRID[dark],
        "linecolor": GRID[dark],
        "zerolinecolor": GRID[dark],
        "ticks": "outside",
        "tickcolor": GRID[dark],
        "title": {"standoff": 8, "font": {"size": 13}},
        "automargin": True,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "color": TEXT[dark], "size": 13},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "colorway": list(COLOURS),
            "colorscale": {"sequential": SEQUENTIAL},
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {"font": {"family": FONT, "size": 12}, "bgcolor": BACKGROUND[dark], "font_color": TEXT[dark]},
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": TEXT[dark]},
            "margin": {"l": 56, "r": 16, "t": 28, "b": 44},
        }
    )
