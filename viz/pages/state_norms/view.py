"""Does the state norm level off, or does it grow over the whole document?

The state norm is the Frobenius norm of each head's state, |h|. In a model that has learned to forget it levels off
within the training length. Where it keeps growing, the state leaves the explored states (Stuffed Mamba, arXiv
2410.07145, figures 5 and 6), so the loss is drawn below, on the same axis.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from model.diagnostics.memory import half_lives, mean_norm_growth, norm_growth
from model.messages import message
from model.recording.reader import Recording
from model.recording.schema import OVERWRITING, OVERWRITTEN
from viz.app.language import language, t
from viz.app.theme import GREY, is_dark, template
from viz.figures.norms import half_life_figure
from viz.pages.state_norms import close_up
from viz.pages.state_norms.heads import LABELS, draw_heads, growth_figure
from viz.ui.chart import chart
from viz.ui.controls import choice, layer_choice, newly_clicked
from viz.ui.curves import (
    binned,
    hover_mode,
    ink,
    kept_rows,
    label_ends,
    line_colours,
    mark_training_length,
    on_axis,
    points_for,
    position_axis,
    translucent,
)
from viz.ui.fold import fold
from viz.ui.moment import follow_clicks, mark_moment, moment_box
from viz.ui.places import name_places

STATISTICS = ("norm", "std", "max_abs", "mean", "decay", "effective_rank", "overwritten", "alignment")
BANDS = 4
"""Layers up to which the spread over heads is drawn; more bands would hide each other."""


def statistic(recording: Recording, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Where ``name`` was measured, (n,), and its values (n, layer, head); positions without any are left out."""
    values = recording.array(name)
    position = recording.array("snapshot_position" if name == "effective_rank" else "position")
    known = np.isfinite(values).any(axis=(1, 2))
    return position[known], values[known]


def figure(
    position: np.ndarray,
    values: np.ndarray,
    loss: np.ndarray,
    control_loss: np.ndarray | None,
    *,
    name: str,
    train_length: int,
    layer: int | None,
    head: int,
    log_x: bool,
    log_y: bool,
    dark: bool,
) -> go.Figure:
    """A statistic of the states, (n, layer, head) at ``position`` (n,), over the loss (token).

    Without a ``layer`` one line per layer, the mean over its heads, in a band that holds eight heads of ten; with
    one, a line per head of that layer, of which ``head`` is highlighted.
    """
    drawn = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.68, 0.32])
    end = float(len(loss))
    if layer is None:
        ends = _layers(drawn, position, values, log_x, dark)
    else:
        ends = draw_heads(drawn, position, values[:, layer], head, log_x)
    losses = [(loss, t("ui.curves.loss_name"), ink(dark), "solid")]
    if control_loss is not None:
        losses.append((control_loss, t("figures.control_loss"), GREY, "dash"))
    for tokens, label, colour, dash in losses:
        middle, mean = binned(tokens, log=log_x)
        line = {"color": colour, "width": 1.8, "dash": dash}
        drawn.add_scatter(x=middle, y=mean, mode="lines", name=label, line=line, row=2, col=1)
    start, lines = on_axis(16, True) if log_x else 0, values.shape[1 if layer is None else 2]
    drawn.update_layout(template=template(dark), height=480, hovermode=hover_mode(lines), margin={"r": 76, "t": 28})
    drawn.update_xaxes(**position_axis(log_x, range=[start, on_axis(end, log_x)]))
    drawn.update_xaxes(title_text=None, ticks="", minor_ticks="", row=1, col=1)
    drawn.update_yaxes(title_text=t(f"state_norms.{name}"), type="log" if log_y else "linear", row=1, col=1)
    drawn.update_yaxes(title_text=t("figures.loss"), rangemode="tozero", row=2, col=1)
    mark_training_length(drawn, train_length, end, dark=dark, log=log_x)
    label_ends(drawn, ends, log_x=log_x, log_y=log_y, share=0.055)
    return drawn


def _layers(
    drawn: go.Figure, position: np.ndarray, values: np.ndarray, log_x: bool, dark: bool
) -> list[tuple[float, float, str, str]]:
    """Draw the mean over heads of each layer; returns the ends of the lines with their names."""
    layers = values.shape[1]
    banded = layers <= BANDS and values.shape[2] > 1
    ends = []
    last = np.nan_to_num(values[-1].mean(axis=1), nan=-np.inf)
    named = range(layers) if layers <= LABELS else (0, layers - 1, int(np.argmax(last)))
    for layer, colour in enumerate(line_colours(layers, dark)):
        if not np.isfinite(values[:, layer]).any():  # beside a delta rule, a layer that does not erase
            continue
        mean = np.nanmean(values[:, layer], axis=1)
        rows = kept_rows(position, mean, points=points_for(3 * layers if banded else layers), log=log_x)
        x, name = position[rows], t("figures.layer", layer=layer)
        if banded:
            low, high = np.nanquantile(values[rows, layer], [0.1, 0.9], axis=1).astype(np.float32)
            edge = {"x": x, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
            drawn.add_scatter(y=low, legendgroup=name, **edge, row=1, col=1)
            fill = {"fill": "tonexty", "fillcolor": translucent(colour, 0.16)}
            drawn.add_scatter(y=high, legendgroup=name, **fill, **edge, row=1, col=1)
        line = {"color": colour, "width": 2}
        curve = {"x": x, "y": mean[rows], "mode": "lines", "line": line, "legendgroup": name, "name": name}
        drawn.add_scatter(**curve, showlegend=layers <= LABELS, row=1, col=1)
        if layer in named:
            ends.append((float(x[-1]), float(mean[rows][-1]), name, colour))
    return ends


def render(recording: Recording) -> None:
    """Draw the page for ``recording``."""
    train_length, dark = recording.train_length, is_dark()
    position, norm = statistic(recording, "norm")
    growth = norm_growth(norm, position, train_length)
    half_life = half_lives(recording.array("log_decay"), recording.array("position"))
    st.markdown(_finding(mean_norm_growth(norm, position, train_length), growth, half_life, train_length))
    if len(recording.state_layers) < len(recording.meta.layers):
        st.caption(t("state_norms.cache"))
    if recording.has(OVERWRITTEN):
        st.markdown(_saturation(recording))
    controls, main, clicked = st.container(), st.container(), None
    with fold(t("state_norms.heads_fold"), key="norms_heads", icon=":material/grid_on:") as opened:
        if opened:
            grid = st.grid(2, min_column_width=360)
            with grid.cell():
                clicked = _growth_chart(growth, dark)
            with grid.cell():
                _half_life_chart(half_life, train_length, dark)
    if clicked is not None:  # before the boxes that show it are drawn
        st.session_state["norms_layer"], st.session_state["norms_head"] = str(clicked["y"]), str(clicked["x"])

    with controls, st.container(horizontal=True, vertical_alignment="bottom"):
        name = choice(
            t("state_norms.statistic"),
            [name for name in STATISTICS if recording.has(name) and len(statistic(recording, name)[0])],
            key="norms_statistic",
            words=lambda option, locale: message(f"state_norms.{option}", locale),
            help=t("state_norms.statistic_help") + _lacking(recording),
        )
        layer = layer_choice(range(len(growth)), key="norms_layer")
        head = _head_choice(growth, layer)
        log_x = st.toggle(t("ui.curves.log_x"), value=True, key="norms_log_x", bind="query-params")
        log_y = st.toggle(t("ui.curves.log_y"), key="norms_log_y", bind="query-params", disabled=name == "mean")
        moment_box(recording, "norms_at")
    with main:
        _main_chart(recording, name, layer, head, log_x, log_y and name != "mean", dark)
    with fold(t("state_norms.close_up.fold"), key="norms_close_up_open", icon=":material/zoom_in:") as opened:
        if opened:
            close_up.render(recording, layer if layer is not None else _largest(growth)[0], head)


def _lacking(recording: Recording) -> str:
    """Why statistics are missing that other memories have; "" where none is."""
    if not len(recording.array("snapshot_position")):
        return ""
    reasons = [name for name in ("decay", "effective_rank") if not np.isfinite(recording.array(name)).any()]
    return "".join(f"\n\n{t(f'state_norms.no_{name}')}" for name in reasons)


def _largest(growth: np.ndarray) -> tuple[int, int]:
    """The layer and head that grew most."""
    layer, head = np.unravel_index(np.nanargmax(np.nan_to_num(growth, nan=-1)), growth.shape)
    return int(layer), int(head)


def _finding(overall: float, growth: np.ndarray, half_life: np.ndarray, train_length: int) -> str:
    """What the page shows, in one or two sentences with numbers."""
    keeping = int((half_life > train_length).sum())
    known = int((~np.isnan(half_life)).sum())
    memory = t("state_norms.finding_memory", keeping=keeping, heads=known, train_length=train_length)
    if not known:
        memory = t("state_norms.finding_no_gate")
    if np.isnan(growth).all():
        return t("state_norms.finding_short", train_length=train_length) + " " + memory
    layer, head = _largest(growth)
    words = {"mean": overall, "most": growth[layer, head], "layer": layer, "head": head}
    return t("state_norms.finding", train_length=train_length, **words) + " " + memory


def _saturation(recording: Recording) -> str:
    """What a delta rule does to its state, at the training length and at the end: its norm cannot tell."""
    words: dict[str, float] = {}
    for name in ("effective_rank", *OVERWRITING):
        position, values = statistic(recording, name)
        if not len(position):
            return t("state_norms.saturation_short")
        overall = np.nanmean(values, axis=(1, 2))
        at = min(int(np.searchsorted(position, recording.train_length)), len(overall) - 1)
        words |= {f"{name}_at": float(overall[at]), f"{name}_last": float(overall[-1])}
    return t("state_norms.saturation", **words)


def _head_choice(growth: np.ndarray, layer: int | None) -> int:
    """The highlighted head; until one is chosen, the one that grew most."""

    def words(option: str, locale: str) -> str:
        key = "state_norms.grew_most" if option == "most" else "ui.curves.head"
        return message(key, locale, head=option)

    options = ["most", *map(str, range(growth.shape[1]))]
    chosen = choice(t("state_norms.which_head"), options, key="norms_head", words=words, width=170)
    rows = growth if layer is None else growth[layer : layer + 1]
    return _largest(rows)[1] if chosen == "most" else int(chosen)


def _growth_chart(growth: np.ndarray, dark: bool) -> dict[str, object] | None:
    """The map of growth; returns the cell that was clicked just now."""
    if np.isnan(growth).all():
        st.info(t("state_norms.no_growth"))
        return None
    layer, head = _largest(growth)
    layers, heads = growth.shape
    table = pd.DataFrame(growth, columns=[f"head {index}" for index in range(heads)])
    table.insert(0, "layer", range(layers))
    event = chart(
        growth_figure(growth, dark=dark),
        key="norms_growth",
        title=t("state_norms.growth_title"),
        explanation=t("state_norms.growth_explanation"),
        alt=t("state_norms.growth_alt", layer=layer, head=head, most=growth[layer, head], least=np.nanmin(growth)),
        data=table,
        selectable=True,
    )
    return newly_clicked(event, "norms_growth_seen")


def _half_life_chart(half_life: np.ndarray, train_length: int, dark: bool) -> None:
    """The dots of half-lives; a sentence where no head has one."""
    if np.isnan(half_life).all():
        st.info(t("state_norms.no_decay"), icon=":material/info:")
        return
    layer, head = np.indices(half_life.shape).reshape(2, -1)
    keeping = int((half_life > train_length).sum())
    words = {"keeping": keeping, "heads": int((~np.isnan(half_life)).sum()), "train_length": train_length}
    chart(
        half_life_figure(half_life, train_length=train_length, language=language(), dark=dark),
        key="norms_half_life",
        title=t("state_norms.half_life_title"),
        explanation=t("state_norms.half_life_explanation"),
        alt=t("state_norms.half_life_alt", longest=half_life[np.isfinite(half_life)].max(initial=0), **words),
        data=pd.DataFrame({"layer": layer, "head": head, "half_life_tokens": half_life.ravel()}),
    )


def slide(recording: Recording) -> None:
    """How the norm grew, in one sentence and one figure of all layers."""
    position, norm = statistic(recording, "norm")
    growth = mean_norm_growth(norm, position, recording.train_length)
    short = np.isnan(growth)
    said = (
        t("state_norms.slide_short", train_length=recording.train_length)
        if short
        else t("state_norms.slide", growth=growth)
    )
    st.title(said, anchor=False)
    st.caption(t("state_norms.slide_help"))
    _main_chart(recording, "norm", None, 0, True, False, is_dark(), height=540)


def _main_chart(
    recording: Recording,
    name: str,
    layer: int | None,
    head: int,
    log_x: bool,
    log_y: bool,
    dark: bool,
    height: int | None = None,
) -> None:
    """The trajectories over the loss; on a slide of a certain ``height``, large."""
    position, values = statistic(recording, name)
    loss = recording.array("loss")
    control_loss = recording.array("control_loss") if recording.has("control_loss") else None
    if layer is None:
        lines = {t("figures.layer", layer=index): values[:, index].mean(axis=1) for index in range(values.shape[1])}
        title = t("state_norms.layers_title", statistic=t(f"state_norms.{name}"))
        what = t("state_norms.layers_explanation")
    else:
        lines = {t("ui.curves.head", head=index): values[:, layer, index] for index in range(values.shape[2])}
        title = t("state_norms.heads_title", statistic=t(f"state_norms.{name}"), layer=layer)
        what = t("state_norms.heads_explanation")
    at, overall = int(np.searchsorted(position, recording.train_length)), np.nanmean(values, axis=(1, 2))
    drawn = name_places(
        figure(
            position,
            values,
            loss,
            control_loss,
            name=name,
            train_length=recording.train_length,
            layer=layer,
            head=head,
            log_x=log_x,
            log_y=log_y,
            dark=dark,
        ),
        recording,
    )
    if height is None:
        mark_moment(drawn, recording, dark=dark)
    chart(
        drawn,
        key="norms_main",
        title=title,
        explanation="\n\n".join([t(f"state_norms.{name}_explanation"), what, t("state_norms.loss_explanation")]),
        alt=t(
            "state_norms.main_alt",
            title=title,
            train_length=recording.train_length,
            at=overall[min(at, len(overall) - 1)],
            last=overall[-1],
            end=int(position[-1]),
        ),
        data=pd.DataFrame({"tokens_read": position, **lines}),
        slide=height,
    )
    if height is None:
        follow_clicks(recording, "norms_main")
