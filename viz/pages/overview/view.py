"""What happened to the memory while the document was read, what does it mean, and what is to be done?

Ten seconds of reading: one sentence, three figures with their references, one chart, one next step. All else is folded.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from model.checkpoints.catalogue import available
from model.diagnostics.collapse import ExcessCurve, excess_curve
from model.diagnostics.explored import novelty
from model.diagnostics.summary import summarise, verdict
from model.recording.reader import COMPLETE, Recording
from viz.app import session
from viz.app.choices import describe_reading
from viz.app.language import language, plain, t
from viz.app.navigation import PAGES
from viz.app.theme import is_dark
from viz.figures.losses import excess_figure, loss_figure
from viz.figures.norms import norm_figure
from viz.figures.states import novelty_figure
from viz.jobs import report
from viz.ui.chart import chart
from viz.ui.fold import fold
from viz.ui.places import name_places, place_of
from viz.ui.player import AT_ONCE
from viz.ui.terms import with_terms

UNKNOWN = "–"
MOST = 12
"""Readings of one report."""
LOOKS = {  # how the name of a verdict starts: colour and icon
    "holds": ("green", ":material/check_circle:"),
    "costs": ("orange", ":material/warning:"),
    "collapses": ("orange", ":material/warning:"),
    "broken": ("orange", ":material/error:"),
    "unclear": ("gray", ":material/help:"),
    "no_control": ("gray", ":material/info:"),
    "too_short": ("gray", ":material/info:"),
}
NEXT = ("diagnose", "compare")
"""Pages that a reader of the verdict opens next, the most useful one first."""
_STYLE = """
.st-key-verdict h2 { font-size: 1.6rem; line-height: 1.35; padding: 0; }
.st-key-next p { font-size: 1rem; }
@media (max-width: 700px) { .st-key-verdict h2 { font-size: 1.25rem; } }
"""


def render(recording: Recording) -> None:
    """Draw the page for ``recording``."""
    summary = summary_of(recording)
    st.html(f"<style>{_STYLE}</style>")
    with st.container(border=True, gap="small", key="verdict"):
        headline(summary)
        st.caption(_what_was_read(recording))
    with st.grid(3, min_column_width=200):
        key_figures(recording, summary)
    left, right = st.columns([5, 3])
    with left:
        loss_chart(recording)
    with right, st.container(border=True, height="stretch", key="next"):
        _meaning(summary)
    if recording.summary:
        report.render(_readings(recording))
    with fold(t("overview.more"), key="overview_more", icon=":material/query_stats:") as opened:
        if opened:
            _more(recording, summary)
    with st.expander(t("overview.what_title"), icon=":material/help:"):
        st.markdown(t("overview.what", train_length=f"{recording.train_length:,}"))


def _readings(recording: Recording) -> list[Path]:
    """``recording`` and the others that this session can see of the same document, read by the same weights."""
    read = recording.experiment
    similar = [
        entry.path
        for entry in session.visible_recordings(read.model).values()
        if (entry.experiment.document, entry.experiment.weights) == (read.document, read.weights)
        and entry.experiment.train_length == read.train_length
        and entry.key != recording.key
        and entry.row.status == COMPLETE
    ]
    return [recording.path, *similar[: MOST - 1]]


def summary_of(recording: Recording) -> dict[str, Any]:
    """The key figures, computed again if the program ended just before they were written."""
    if recording.summary:
        return recording.summary
    explored = session.explored(recording.experiment.model)
    return summarise(recording, explored, tokens_per_second=math.nan, peak_rss_mb=math.nan)


def headline(summary: dict[str, Any], *, slide: bool = False) -> None:
    """The verdict in large type; it is the title of a ``slide``."""
    key, values = verdict(summary)
    colour, icon = LOOKS[_case(summary)]
    draw = st.title if slide else st.header
    draw(f":{colour}[{icon}] {t(key, **values)}", anchor=False)


def _case(summary: dict[str, Any]) -> str:
    """The verdict of ``summary`` without its details, a key of LOOKS."""
    name = verdict(summary)[0].removeprefix("verdict.")
    return next(case for case in LOOKS if name.startswith(case))


def _what_was_read(recording: Recording) -> str:
    experiment = recording.experiment
    words = t(
        "overview.read",
        document=plain(recording.meta.document_name),
        model=plain(experiment.model),
        settings=describe_reading(experiment),
        tokens=recording.read_tokens,
    )
    if not recording.complete:
        read = f"{recording.read_tokens:,}"
        words += " " + t("overview.partly", read=read, total=f"{recording.tokens:,}")
    return words


def _meaning(summary: dict[str, Any]) -> None:
    """What the verdict means and what to do, in plain words, with the button to the next page."""
    case, values = _case(summary), verdict(summary)[1]
    st.subheader(t("overview.meaning_title"), anchor=False)
    with_terms(t(f"overview.means_{case}"), key="means")
    st.subheader(t("overview.do_title"), anchor=False)
    with_terms(t(f"overview.do_{case}", **values), key="do")
    pages = [name for name in NEXT if name in PAGES]
    for name in pages:
        if st.button(
            t(f"overview.next_{name}"),
            key=f"next_{name}",
            type="primary" if name == pages[0] else "secondary",
            icon=PAGES[name].icon,
            width="stretch",
        ):
            st.switch_page(f"viz/pages/{name}/page.py")
    collapses = summary.get("collapse_onset") is not None and "play" in PAGES
    if collapses and st.button(
        t("overview.story"), key="story", type="tertiary", icon=":material/play_circle:", width="stretch"
    ):
        st.session_state["play_mode"], st.session_state[AT_ONCE] = "story", True
        st.switch_page("viz/pages/play/page.py")


def key_figures(recording: Recording, summary: dict[str, Any]) -> None:
    """Three cards: each a number with its unit and what to hold it against."""
    _excess_card(summary)
    _onset_card(recording, summary)
    share, growth = summary.get("unexplored_fraction"), summary.get("norm_growth")
    if share is None and growth is not None:
        _growth_card(growth)
    else:
        _card("unexplored", *_given(share, "{:.0%}", "overview.unexplored_note"))


def _given(value: float | None, form: str, note: str) -> tuple[str, str]:
    return (UNKNOWN, t("overview.not_known")) if value is None else (form.format(value), t(note))


def _excess_card(summary: dict[str, Any]) -> None:
    excess, ratio = summary.get("excess_loss"), summary.get("excess_ratio")
    if excess is None or ratio is None:
        _card("excess", UNKNOWN, t("overview.not_known"))
        return
    note = t("overview.excess_note", excess=_signed(excess, ".2f"))
    low, high = summary.get("excess_low"), summary.get("excess_high")
    if low is not None and high is not None:
        note += t("overview.excess_range", low=_signed(low, ".2f"), high=_signed(high, ".2f"))
    _card("excess", _signed(ratio - 1, ".0%"), note)


def _onset_card(recording: Recording, summary: dict[str, Any]) -> None:
    onset, train_length = summary.get("collapse_onset"), summary.get("train_length") or 1
    if onset is not None:
        note = t("overview.onset_note", times=f"{onset / train_length:,.1f}", train_length=train_length)
        where = plain(place_of(recording, onset))
        _card("onset", t("overview.onset_value", token=onset + 1), " · ".join(filter(None, (note, where))))
    elif summary.get("excess_loss") is not None:
        _card("onset", t("overview.onset_none"), t("overview.onset_none_note", tokens=summary.get("tokens") or 0))
    else:
        _card("onset", UNKNOWN, t("overview.not_known"))


def _growth_card(growth: float | None) -> None:
    _card("growth", *_given(growth, "× {:.2f}", "overview.growth_note"))


def _signed(value: float, form: str) -> str:
    """``value`` with its sign; a value that rounds to zero gets ±."""
    words = format(value, "+" + form)
    return words if words.strip("+-0.%") else "±" + words[1:]


def _card(name: str, value: str, note: str) -> None:
    with st.container(border=True, gap="xxsmall", height="stretch"):
        st.metric(t(f"overview.{name}"), value, help=t(f"overview.{name}_help"))
        st.caption(note)


def loss_chart(recording: Recording, *, height: int | None = None) -> None:
    """The loss beside the control's: the chart that shows the verdict. A slide gives a ``height`` and large letters."""
    loss, control, curve = _losses(recording)
    table = pd.DataFrame({"tokens_read": curve.position, "loss": curve.loss, "control_loss": curve.control})
    chart(
        name_places(loss_figure(loss, control, **_common(recording)), recording),
        key="overview_loss",
        title=t("overview.loss_title"),
        explanation=t("overview.loss_explanation"),
        alt=t("overview.loss_alt", first=_first(curve.loss), last=_last(curve.loss)),
        data=table,
        slide=height,
    )


def _losses(recording: Recording) -> tuple[np.ndarray, np.ndarray | None, ExcessCurve]:
    """The loss of every token, the control's if there is one, and their difference."""
    loss = recording.array("loss")
    control = recording.array("control_loss") if recording.has("control_loss") else None
    return loss, control, excess_curve(loss, control, recording.train_length)


def _common(recording: Recording) -> dict[str, Any]:
    return {
        "train_length": recording.train_length,
        "end": recording.read_tokens,
        "language": language(),
        "dark": is_dark(),
    }


def _more(recording: Recording, summary: dict[str, Any]) -> None:
    """The other figures and charts, and how fast it went."""
    tokens, train_length = summary.get("tokens") or 0, summary.get("train_length") or 1
    with st.grid(2, min_column_width=200):
        _card("tokens", f"{tokens:,}", t("overview.tokens_note", times=f"{tokens / train_length:,.0f}"))
        _growth_card(summary.get("norm_growth"))
    position, norm = recording.array("position"), recording.array("norm")
    end = min(recording.train_length, recording.read_tokens)
    layers = {f"layer_{layer}": norm[:, layer].mean(axis=1) for layer in range(norm.shape[1])}
    overall = norm.mean(axis=(1, 2))
    with st.grid(2, min_column_width=275):
        chart(
            name_places(norm_figure(position, norm, **_common(recording)), recording),
            key="overview_norm",
            title=t("overview.norm_title"),
            explanation=t("overview.norm_explanation"),
            alt=t("overview.norm_alt", at=overall[np.searchsorted(position, end)], last=overall[-1]),
            data=pd.DataFrame({"tokens_read": position, **layers}),
        )
        _third_chart(recording)
    speed, peak = summary.get("tokens_per_second"), summary.get("peak_rss_mb")
    if speed:
        memory = UNKNOWN if peak is None else f"{peak:,.0f}"
        st.caption(t("overview.speed", speed=f"{speed:,.0f}", memory=memory))


def _third_chart(recording: Recording) -> None:
    """Novelty where the model has a reference of explored states, else the excess."""
    curve, common = _losses(recording)[2], _common(recording)
    position = recording.array("snapshot_position")
    scores = novelty_of(recording)
    if scores is not None:
        chart(
            name_places(novelty_figure(position, scores, **common), recording),
            key="overview_novelty",
            title=t("overview.novelty_title"),
            explanation=t("overview.novelty_explanation"),
            alt=t("overview.novelty_alt", share=f"{float((scores > 1).mean()):.0%}"),
            data=pd.DataFrame({"tokens_read": position, "novelty": scores}),
        )
    elif np.isfinite(curve.excess).any():
        data = {"tokens_read": curve.position, "excess": curve.excess, "low": curve.low, "high": curve.high}
        chart(
            name_places(excess_figure(curve, **common), recording),
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
    reference = session.explored(_recording.experiment.model)
    return None if reference is None else novelty(reference, _recording.array("sketch"))


def _first(values: np.ndarray) -> float:
    return float(values[np.isfinite(values)][0]) if np.isfinite(values).any() else float("nan")


def _last(values: np.ndarray) -> float:
    return float(values[np.isfinite(values)][-1]) if np.isfinite(values).any() else float("nan")
