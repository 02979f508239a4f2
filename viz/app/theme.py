"""One palette and one pair of Plotly templates, light and dark, used by every figure.

Figures always get an explicit template: Streamlit's own replaces colours in the browser, so an exported figure would
come out black. Blue, vermillion, green and purple keep 3:1 contrast on both backgrounds and stay apart for all common
kinds of colour blindness; where more series are needed, dashes and labels distinguish them.
"""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st

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


def is_dark() -> bool:
    """Whether this session shows the dark theme."""
    return st.context.theme.type == "dark"


_FOLLOW = """
let sent = null
export default function ({ data, setTriggerValue }) {
  const look = () => {
    const app = document.querySelector(".stApp")
    const [red, green, blue] = getComputedStyle(app).backgroundColor.match(/\\d+/g).map(Number)
    const dark = red + green + blue < 384
    if (dark === data.dark) sent = null
    else if (sent !== dark) setTriggerValue("changed", (sent = dark))
  }
  const timer = setInterval(look, 300)
  return () => clearInterval(timer)
}
"""


def follow_theme() -> None:
    """Draw the page anew when the theme is changed in the menu, which Streamlit does not report."""
    component = st.components.v2.component("follow_theme", js=_FOLLOW)
    component(key="follow_theme", data={"dark": is_dark()}, on_changed_change=lambda: None, height=1)


def keep_contrast() -> None:
    """Dark letters on the primary buttons, and on what was chosen among many, of the dark theme.

    Streamlit's are white there, and no blue is dark enough for white letters and light enough on a dark page.
    """
    if is_dark():
        filled = '[data-testid^="stBaseButton-primary"]:not(:disabled) *, [data-tag-index] *'
        st.html(f"<style>:is({filled}) {{ color: {BACKGROUND[True]} !important }}</style>")


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
