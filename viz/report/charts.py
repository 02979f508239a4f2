"""The three charts of a report, each small enough for two pages, and those of its appendix."""

from __future__ import annotations

import html
import math
from typing import NamedTuple

import plotly.graph_objects as go

from model.diagnostics.collapse import BEYOND, excess_curve
from model.errors import UserError
from model.messages import message
from model.recording.reader import Recording
from model.recording.schema import CONTROL_LOSS, LOSS, NORM, POSITION
from viz.figures import recorded
from viz.figures.compared import Line, excess_figure, norm_figure
from viz.figures.style import BLUE, GREY, TEXT, template
from viz.report.answers import name_of
from viz.report.facts import Facts, Reading

COMPARED = 3
"""Readings in one chart: with more, bands hide each other in print."""
BARS = 7
"""Strategies in the chart of effects."""
WIDE, NARROW = 200, 168
"""Heights of the chart across the page and of the two below it: three fit on the first page."""
NAME = 26
"""Letters of a name beside a narrow chart."""


class Chart(NamedTuple):
    """A figure with its heading and its explanation."""

    title: str
    help: str
    figure: go.Figure


def charts(facts: Facts, language: str) -> list[Chart]:
    """Excess and norms by position, and the excess of every strategy; of one reading alone loss, norms and novelty."""
    shown = [reading for reading in _compared(facts) if reading.recording is not None]
    with_control = [reading for reading in shown if reading.recording and reading.recording.has(CONTROL_LOSS)]
    found = []
    if len(with_control) > 1:
        found.append(_excess(with_control, facts, language))
    elif shown:
        alone = _named("loss" if not with_control else "excess", shown[0], language)
        title = f"{alone.title}: {name_of(shown[0], language)}"
        found.append(Chart(title, alone.help, _from_training(alone.figure, facts) if with_control else alone.figure))
    if shown:
        found.append(_norms(shown, facts, language))
    if sum(reading.excess is not None for reading in facts.readings) > 1:
        found.append(_effects(facts, language))
    elif shown:
        third = _first_of(("novelty", "half_lives"), shown[0], language)
        found += [] if third is None else [third]
    return [_for_paper(chart, NARROW if order else WIDE) for order, chart in enumerate(found)]


def appendix_charts(facts: Facts, language: str) -> list[tuple[str, list[Chart]]]:
    """Loss, half-lives, unexplored share and the state map of what is used and of the plain model."""
    found = []
    for reading in {reading.key: reading for reading in (facts.plain, facts.used) if reading is not None}.values():
        drawn = [_first_of((name,), reading, language) for name in ("loss", "half_lives", "unexplored", "state_map")]
        known = [_for_paper(chart, 270) for chart in drawn if chart is not None]
        if known:
            found.append((name_of(reading, language), known))
    return found


def _compared(facts: Facts) -> list[Reading]:
    """The plain model, the best strategy, and others by what they leave, as many as a chart can show."""
    first = [reading for reading in (facts.plain, facts.best) if reading is not None]
    rest = [reading for reading in facts.readings if reading.excess is not None and reading not in first]
    rest.sort(key=lambda reading: reading.excess.mean if reading.excess else 0)
    more = [reading for reading in facts.readings if reading not in first and reading not in rest]
    return list({reading.key: reading for reading in (*first, *rest, *more)}.values())[:COMPARED]


def _lines(readings: list[Reading], language: str) -> list[tuple[Line, Recording]]:
    """A line for every reading; names are text to Plotly, not markup."""
    return [
        (Line(chr(ord("A") + order), html.escape(name_of(reading, language)), order), reading.recording)
        for order, reading in enumerate(readings)
        if reading.recording is not None
    ]


def _excess(readings: list[Reading], facts: Facts, language: str) -> Chart:
    curves = []
    for line, recording in _lines(readings, language):
        loss, control = recording.array(LOSS)[: facts.tokens], recording.array(CONTROL_LOSS)[: facts.tokens]
        curves.append((line, excess_curve(loss, control, facts.train_length)))
    figure = excess_figure(
        curves, train_length=facts.train_length, end=facts.tokens, log_x=True, language=language, dark=False
    )
    title = message("report.chart_compared", language)
    return Chart(title, message("report.chart_compared_help", language), _from_training(figure, facts))


def _norms(readings: list[Reading], facts: Facts, language: str) -> Chart:
    norms = []
    for line, recording in _lines(readings, language):
        position = recording.array(POSITION)
        norms.append((line, position, recording.array(NORM).mean(axis=(1, 2))))
    figure = norm_figure(norms, train_length=facts.train_length, log_x=True, language=language, dark=False)
    title = message("report.chart_norms", language)
    figure.update_layout(showlegend=len(norms) == 1)  # the letters are those of the chart above
    return Chart(title, message("report.chart_norms_help", language), _from_training(figure, facts))


def _from_training(figure: go.Figure, facts: Facts) -> go.Figure:
    """``figure`` from half a training length on: before that there is nothing to compare."""
    if facts.tokens <= facts.train_length:
        return figure
    return figure.update_xaxes(range=[math.log10(facts.train_length / 2), math.log10(1.06 * facts.tokens)])


def _effects(facts: Facts, language: str) -> Chart:
    """One row a strategy, the best on top: the excess with its interval."""
    known = [reading for reading in facts.readings if reading.excess is not None]
    known.sort(key=lambda reading: reading.excess.mean if reading.excess else 0)
    if len(known) > BARS:
        plain = [reading for reading in known[BARS - 1 :] if reading.plain]
        known = [*known[: BARS - len(plain)], *plain]
    figure = go.Figure(layout={"template": template(False), "height": NARROW})
    for row, reading in enumerate(known):
        span = reading.excess
        assert span is not None
        used = facts.used is not None and reading.key == facts.used.key
        low, high = (span.mean if bound is None else bound for bound in (span.low, span.high))
        figure.add_scatter(
            x=[span.mean],
            y=[row],
            error_x={"array": [high - span.mean], "arrayminus": [span.mean - low], "thickness": 1.4, "width": 4},
            mode="markers",
            marker={"color": BLUE if used else GREY, "symbol": "diamond" if used else "circle", "size": 9},
            hovertemplate="%{x:+.3f}<extra></extra>",
            showlegend=False,
        )
    names = [html.escape(_short(name_of(reading, language))) for reading in known]
    figure.update_yaxes(
        tickvals=list(range(len(known))),
        ticktext=names,
        range=[len(known) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(title_text=message("figures.excess_axis", language), zeroline=False)
    figure.add_vline(x=0, line={"color": TEXT[False], "width": 1})
    return Chart(
        message("report.chart_effects", language),
        message("report.chart_effects_help", language, far=facts.far),
        figure,
    )


def _first_of(names: tuple[str, ...], reading: Reading, language: str) -> Chart | None:
    """The first of the figures ``names`` that the recording has the numbers for."""
    for name in names:
        try:
            return _named(name, reading, language)
        except UserError:
            continue
    return None


def _named(name: str, reading: Reading, language: str) -> Chart:
    draw = {
        "loss": recorded.loss,
        "excess": recorded.excess,
        "novelty": recorded.novelty,
        "half_lives": recorded.half_lives,
        "unexplored": recorded.unexplored,
        "state_map": recorded.state_map,
    }[name]
    if reading.recording is None:
        raise UserError("report.nothing")
    figure = draw(reading.recording, language)
    help_text = message(f"figures.{name}_help", language)
    return Chart(message(f"figures.{name}_title", language), help_text, figure)


def _short(name: str) -> str:
    return name if len(name) <= NAME else name[: NAME - 1] + "…"


def _for_paper(chart: Chart, height: int) -> Chart:
    """Smaller letters and no wider margins than paper needs; the marks of the training length below each other."""
    figure = chart.figure.update_layout(font={"size": 10}, height=height, margin={"l": 48, "r": 22, "t": 22, "b": 36})
    for axis in (figure.update_xaxes, figure.update_yaxes):
        axis(title_font_size=10, title_standoff=4)
    for mark in figure.layout.annotations:
        mark.font.size = 9
        if mark.text == f"{BEYOND}×":
            mark.yshift = -13
    return chart
