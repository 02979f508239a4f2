"""Which theme a session shows, and what the pages need of it; colours and templates are those of every figure."""

from __future__ import annotations

import streamlit as st

from viz.figures.style import (
    BACKGROUND,
    BLUE,
    COLOURS,
    DASHES,
    EXPLORED,
    FONT,
    GREEN,
    GREY,
    GRID,
    PURPLE,
    SEQUENTIAL,
    TEXT,
    UNEXPLORED,
    VERMILLION,
    template,
)

__all__ = [
    "BACKGROUND",
    "BLUE",
    "COLOURS",
    "DASHES",
    "EXPLORED",
    "FONT",
    "GREEN",
    "GREY",
    "GRID",
    "PURPLE",
    "SEQUENTIAL",
    "TEXT",
    "UNEXPLORED",
    "VERMILLION",
    "follow_theme",
    "is_dark",
    "keep_contrast",
    "template",
]


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
