"""HTML pages that need nothing from outside: plotly.js once, figures as data, and a policy that forbids every request.

Templates are Jinja's with automatic escaping. Nothing in a page runs but what carries the page's own random nonce, so
markup that came in with a name or a note would stay text even if it were not escaped.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from model.messages import message
from viz.figures.style import BACKGROUND, CONFIG, TEXT

HERE = Path(__file__).parent
QUIET = {False: "#5B6270", True: "#A7ADB8"}
"""The colour of what is less important, readable on either background."""


class Charts:
    """The charts of one page: each is put in its place as an empty box, and all are drawn when the page is there."""

    def __init__(self) -> None:
        self.figures: list[go.Figure] = []

    def draw(self, figure: go.Figure) -> Markup:
        """The box of one more chart, and its numbers."""
        self.figures.append(figure)
        number, height = len(self.figures), int(figure.layout.height or 300)
        return Markup(
            '<div class="chart" id="chart-{0}" style="height:{1}px"></div>'
            '<script type="application/json" id="data-{0}">{2}</script>'
        ).format(number, height, Markup(as_data(figure.to_json())))


def as_data(text: str) -> str:
    """The JSON ``text`` so that nothing in it can end the element that holds it."""
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def page_of(template: str, language: str, **values: Any) -> str:
    """The page that ``template`` makes of ``values``; in it ``t`` gives messages and ``draw`` puts figures."""
    charts = Charts()
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )

    def t(key: str, **more: object) -> str:
        return message(key, language, **more)

    dark = bool(values.pop("dark", False))
    return environment.get_template(template).render(
        t=t,
        draw=charts.draw,
        language=language,
        nonce=secrets.token_urlsafe(16),
        plotly=lambda: Markup(get_plotlyjs()),
        style=Markup((HERE / "page.css").read_text("utf-8")),
        config=Markup(as_data(json.dumps({**CONFIG, "responsive": True}))),
        background=BACKGROUND[dark],
        ink=TEXT[dark],
        quiet=QUIET[dark],
        **values,
    )
