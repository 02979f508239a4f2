"""What happened to the memory while it read this document, and does it matter?

One sentence, a handful of figures with plain words, three small charts. Whoever wants to know more finds each figure
again, in full, on another page.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from model.checkpoint import available
from model.diagnostics.collapse import ExcessCurve, excess_curve
from model.recording import Recording
from viz import session
from viz.chart import chart
from viz.choices import describe
from viz.language import plain, t
from viz.theme import EXPLORED, GREY, UNEXPLORED, VERMILLION, is_dark, template
from viz.views.curves import ink, kept_rows, line_colours, mark_training_length, points_for, position_axis, translucent

HEIGHT = 300
MILD = 0.05
"""Extra cost, as a share of the loss, below which nobody needs to worry."""


def loss_figure(curve: ExcessCurve, *, train_length: int, end: int, dark: bool) -> go.Figure:
    """Binned loss and, where there is one, the control, in nats."""
    figure = _figure(dark)
    if np.isfinite(curve.control).any():
        line = {"color": GREY, "width": 2, "dash": "dash"}
        name = t("overview.control_name")
        figure.add_scatter(x=curve.position, y=_small(curve.control), mode="lines", name=name, line=line)
    line = {"color": ink(dark), "width": 2}
    figure.add_scatter(x=curve.position, y=_small(curve.loss), mode="lines", name=t("overview.loss_name"), line=line)
    return _finish(figure, t("curves.loss"), train_length, end, dark)


def norm_figure(position: np.ndarray, norm: np.ndarray, *, train_length: int, end: int, dark: bool) -> go.Figure:
    """Mean norm over the heads of each layer, from ``norm`` (boundary, layer, head)."""
    figure = _figure(dark)
    layers = norm.shape[1]
    for layer, colour in enumerate(line_colours(layers, dark)):
        mean = norm[:, layer].mean(axis=1)
        rows = kept_rows(position, mean, points=min(600, points_for(layers)))
        line = {"color": colour, "width": 2}
        name = t("curves.layer", layer=layer)
        figure.add_scatter(x=position[rows], y=_small(mean[rows]), mode="lines", name=name, line=line)
    figure.update_layout(showlegend=layers <= 6)
    return _finish(figure, t("overview.norm_axis"), train_length, end, dark)


def novelty_figure(position: np.ndarray, scores: np.ndarray, *, train_length: int, end: int, dark: bool) -> go.Figure:
    """Novelty of the snapshots; above 1 is unlike anything explored in training."""
    figure = _figure(dark)
    known = np.isfinite(scores)
    position, scores = position[known], scores[known]
    line = {"color": GREY, "width": 1}
    figure.add_scatter(x=position, y=_small(scores), mode="lines", line=line, showlegend=False, hoverinfo="skip")
    for inside, name, colour, symbol in (
        (scores <= 1, t("overview.explored_name"), EXPLORED, "circle"),
        (scores > 1, t("overview.unexplored_name"), UNEXPLORED, "diamond"),
    ):
        marker = {"color": colour, "size": 5, "symbol": symbol}
        figure.add_scatter(x=position[inside], y=_small(scores[inside]), mode="markers", name=name, marker=marker)
    figure.add_hline(y=1, line={"color": GREY, "width": 1.2, "dash": "dot"})
    return _finish(figure, t("overview.novelty_axis"), train_length, end, dark)


def excess_figure(curve: ExcessCurve, *, train_length: int, end: int, dark: bool) -> go.Figure:
    """Excess of the loss over the control with its 95% band, in nats."""
    figure = _figure(dark)
    known = np.isfinite(curve.low) & np.isfinite(curve.high)
    x = curve.position[known]
    edge: dict[str, Any] = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure.add_scatter(x=x, y=_small(curve.low[known]), **edge)
    fill = {"fill": "tonexty", "fillcolor": translucent(VERMILLION, 0.18)}
    figure.add_scatter(x=x, y=_small(curve.high[known]), **fill, **edge)
    line = {"color": VERMILLION, "width": 2}
    figure.add_scatter(x=curve.position, y=_small(curve.excess), mode="lines", name=t("overview.excess_name"), line=line)
    figure.add_hline(y=0, line={"color": GREY, "width": 1.2, "dash": "dot"})
    return _finish(figure, t("overview.excess_axis"), train_length, end, dark)


def _figure(dark: bool) -> go.Figure:
    return go.Figure(layout={"template": template(dark), "height": HEIGHT, "hovermode": "x unified"})


def _finish(figure: go.Figure, axis: str, train_length: int, end: int, dark: bool) -> go.Figure:
    figure.update_xaxes(**position_axis(False, range=[0, end]))
    figure.update_yaxes(title_text=axis, rangemode="tozero")
    mark_training_length(figure, train_length, end, dark=dark, log=False)
    return figure


def _small(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def render(recording: Recording) -> None:
    """Draw the page for ``recording``."""
    summary = recording.summary
    _verdict(recording)
    _key_figures(summary)
    _charts(recording)
    with st.expander(t("overview.what_title"), icon=":material/help:"):
        st.markdown(t("overview.what", train_length=f"{recording.train_length:,}"))


def _verdict(recording: Recording) -> None:
    from model.diagnostics.summary import verdict

    key, values = verdict(recording.summary)
    ratio = recording.summary.get("excess_ratio")
    if ratio is None:
        colour, icon = "gray", ":material/info:"
    elif ratio > 1 + MILD:
        colour, icon = "orange", ":material/warning:"
    else:
        colour, icon = "green", ":material/check_circle:"
    with st.container(border=True, key="verdict"):
        st.markdown(f"## :{colour}[{icon}] {t(key, **values)}")
        st.caption(_what_was_read(recording))


def _what_was_read(recording: Recording) -> str:
    experiment = recording.experiment
    words = t(
        "overview.read",
        document=plain(recording.meta.document_name),
        model=plain(experiment.model),
        settings=describe(experiment.initial_state, experiment.mitigations),
    )
    if not recording.complete:
        read = f"{recording.read_tokens:,}"
        words += " " + t("overview.partly", read=read, total=f"{recording.tokens:,}")
    return words


def _key_figures(summary: dict[str, Any]) -> None:
    train_length = summary.get("train_length") or 1
    tokens = summary.get("tokens") or 0
    with st.grid("auto", min_column_width=185):
        _figure_card("tokens", f"{tokens:,}", t("overview.tokens_note", times=f"{tokens / train_length:,.1f}"))
        _excess_card(summary)
        onset = summary.get("collapse_onset")
        if onset is not None:
            _figure_card("onset", f"{onset:,}", t("overview.onset_note", times=f"{onset / train_length:,.1f}"))
        else:
            known = summary.get("excess_loss") is not None
            _figure_card("onset", t("overview.onset_none") if known else "–", t("overview.onset_none_note"))
        share = summary.get("unexplored_fraction")
        _figure_card("unexplored", "–" if share is None else f"{share:.0%}", t("overview.unexplored_note"))
        growth = summary.get("norm_growth")
        _figure_card("growth", "–" if growth is None else f"× {growth:.2f}", t("overview.growth_note"))
        speed, peak = summary.get("tokens_per_second"), summary.get("peak_rss_mb")
        note = "" if peak is None else t("overview.speed_note", memory=f"{peak:,.0f}")
        _figure_card("speed", "–" if speed is None else t("overview.speed_value", speed=f"{speed:,.0f}"), note)


def _excess_card(summary: dict[str, Any]) -> None:
    excess, ratio = summary.get("excess_loss"), summary.get("excess_ratio")
    if excess is None or ratio is None:
        _figure_card("excess", "–", t("overview.excess_none"))
        return
    low, high = summary.get("excess_low"), summary.get("excess_high")
    note = t("overview.excess_note", excess=f"{excess:+.2f}")
    if low is not None and high is not None:
        note += f" ({low:+.2f} … {high:+.2f})"
    _figure_card("excess", f"{ratio - 1:+.0%}", note)


def _figure_card(name: str, value: str, note: str) -> None:
    st.metric(
        t(f"overview.{name}"),
        value,
        note or None,
        delta_color="off",
        delta_arrow="off",
        help=t(f"overview.{name}_help"),
        border=True,
        height="stretch",
    )


def _charts(recording: Recording) -> None:
    dark, train_length, end = is_dark(), recording.train_length, recording.read_tokens
    control = recording.array("control_loss") if recording.has("control_loss") else None
    curve = excess_curve(recording.array("loss"), control, train_length)
    common: dict[str, Any] = {"train_length": train_length, "end": end, "dark": dark}
    position, norm = recording.array("position"), recording.array("norm")
    grid = st.grid(3, min_column_width=330)
    with grid.cell():
        table = pd.DataFrame({"tokens_read": curve.position, "loss": curve.loss, "control_loss": curve.control})
        chart(
            loss_figure(curve, **common),
            key="overview_loss",
            title=t("overview.loss_title"),
            explanation=t("overview.loss_explanation", width=curve.width),
            alt=t("overview.loss_alt", first=_first(curve.loss), last=_last(curve.loss)),
            data=table,
        )
    with grid.cell():
        layers = {f"layer_{layer}": norm[:, layer].mean(axis=1) for layer in range(norm.shape[1])}
        overall = norm.mean(axis=(1, 2))
        chart(
            norm_figure(position, norm, **common),
            key="overview_norm",
            title=t("overview.norm_title"),
            explanation=t("overview.norm_explanation"),
            alt=t("overview.norm_alt", at=overall[np.searchsorted(position, min(train_length, end))], last=overall[-1]),
            data=pd.DataFrame({"tokens_read": position, **layers}),
        )
    with grid.cell():
        _third_chart(recording, curve, common)


def _third_chart(recording: Recording, curve: ExcessCurve, common: dict[str, Any]) -> None:
    """Novelty where the model has a reference of explored states, else the excess."""
    position = recording.array("snapshot_position")
    scores = novelty_of(recording)
    if scores is not None:
        chart(
            novelty_figure(position, scores, **common),
            key="overview_novelty",
            title=t("overview.novelty_title"),
            explanation=t("overview.novelty_explanation"),
            alt=t("overview.novelty_alt", share=f"{float((scores > 1).mean()):.0%}"),
            data=pd.DataFrame({"tokens_read": position, "novelty": scores}),
        )
    elif np.isfinite(curve.excess).any():
        data = {"tokens_read": curve.position, "excess": curve.excess, "low": curve.low, "high": curve.high}
        chart(
            excess_figure(curve, **common),
            key="overview_excess",
            title=t("overview.excess_title"),
            explanation=t("overview.excess_explanation"),
            alt=t("overview.excess_alt", last=_last(curve.excess)),
            data=pd.DataFrame(data),
        )
    else:
        st.info(t("overview.no_third"), icon=":material/info:")


def novelty_of(recording: Recording) -> np.ndarray | None:
    """Novelty of each snapshot, (snapshot,); None if the model that made them has no reference here."""
    card = available().get(recording.experiment.model)
    if card is None or card.explored is None or card.weights != recording.experiment.weights:
        return None
    return _novelty(str(recording.path), recording.read_tokens, card.weights, recording)


@st.cache_data(max_entries=32, show_spinner=False)
def _novelty(path: str, tokens: int, weights: str, _recording: Recording) -> np.ndarray | None:
    from model.diagnostics.explored import novelty

    reference = session.explored(_recording.experiment.model)
    return None if reference is None else novelty(reference, _recording.array("sketch"))


def _first(values: np.ndarray) -> float:
    return float(values[np.isfinite(values)][0]) if np.isfinite(values).any() else float("nan")


def _last(values: np.ndarray) -> float:
    return float(values[np.isfinite(values)][-1]) if np.isfinite(values).any() else float("nan")
