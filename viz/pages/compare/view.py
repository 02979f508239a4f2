"""What did a mitigation or another initial state change, and what did it cost?

Recordings of one document, read by one model, on the same axes. One of them, the plain model if there is one, is the
baseline of all differences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from model.diagnostics.collapse import excess_curve
from model.messages import message
from model.recording.catalogue import Entry
from model.recording.reader import Recording
from model.recording.schema import CHUNK
from viz.app import links
from viz.app.language import language, plain, t
from viz.app.session import opened, short_titles_of, titles_of
from viz.app.theme import is_dark
from viz.figures import compared
from viz.figures.compared import Line
from viz.pages.compare.numbers import Figures, alike, best_of, differences, figures, novelty, read, removed
from viz.ui.chart import chart
from viz.ui.controls import choice, layer_choice
from viz.ui.curves import binned
from viz.ui.fold import fold
from viz.ui.places import name_places

MOST = 6
"""Recordings in one comparison; more lines cannot be distinguished."""


def render(found: dict[str, Entry], current: Recording | None = None) -> None:
    """Draw the page from the recordings ``found``, by key; ``current`` is the one that the other pages show."""
    if len(found) < 2:
        st.info(t("compare.too_few"), icon=":material/compare_arrows:")
        return
    chosen = _choose(found, current)
    if len(chosen) < 2:
        st.info(t("compare.choose_more"), icon=":material/compare_arrows:")
        return
    lines = [Line(chr(ord("A") + order), title, order) for order, title in enumerate(short_titles_of(chosen))]
    tokens = min(recording.read_tokens for recording in chosen)
    found_figures = [figures(recording, tokens) for recording in chosen]
    st.markdown(_finding(lines, found_figures))
    if any(recording.read_tokens != tokens for recording in chosen):
        st.caption(t("compare.common", tokens=tokens))
    _charts(lines, chosen, tokens)
    _figures_table(lines, found_figures)
    with fold(t("compare.differences_title"), key="compare_settings", icon=":material/tune:") as opened:
        if opened:
            _differences_table(lines, chosen)
    with fold(t("compare.memory_fold"), key="compare_memory", icon=":material/memory:") as opened:
        if opened:
            _memory_charts(lines, chosen, tokens)


def _choose(found: dict[str, Entry], current: Recording | None) -> list[Recording]:
    """The baseline and what is compared with it, the baseline first."""
    titles = titles_of(found)
    default = _default_baseline(found, current)
    keys = [default, *(key for key in found if key != default)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        baseline = links.choice(
            "compare_baseline",
            {key: titles[key] for key in keys},
            t("compare.baseline"),
            help=t("compare.baseline_help"),
        )
        others = [key for key in found if key != baseline]
        similar = [key for key in others if alike(found[key], found[baseline])]
        picked = links.choices(
            "compare_others",
            {key: titles[key] for key in others},
            similar[:3],
            t("compare.others"),
            most=MOST - 1,
            placeholder=t("app.choose"),
        )
    unlike = [key for key in picked if key not in similar]
    if unlike:
        names = t("compare.comma").join(f"“{plain(titles[key])}”" for key in unlike)
        warning = st.container()
        shown = st.toggle(t("compare.anyway"), key="compare_anyway", bind="query-params")
        key = "compare.unlike_shown" if shown else "compare.unlike"
        warning.warning(t(key, names=names), icon=":material/difference:")
        if not shown:
            picked = [key for key in picked if key in similar]
    return [opened(found[key].path) for key in [baseline, *picked]]


def _default_baseline(found: dict[str, Entry], current: Recording | None) -> str:
    """A pinned or plain recording that something can be compared with, preferably of what is shown now."""
    count = Counter(map(read, found.values()))

    def rank(key: str) -> tuple[bool, int, bool, bool]:
        entry = found[key]
        partners = count[read(entry)]
        shown = current is not None and partners > 1 and alike(entry, current)
        return shown, min(partners, 2), entry.row.pinned == 1, entry.experiment.plain

    return max(found, key=rank)


def _finding(lines: Sequence[Line], found: Sequence[Figures]) -> str:
    """The result of the comparison, in one sentence with numbers."""
    best = best_of(found)
    if best is None:
        return t("compare.finding_none")
    if best.share <= 0:
        return t("compare.finding_nothing_helps")
    line = lines[best.order]
    words = {"letter": line.letter, "title": plain(line.title), "share": min(best.share, 1)}
    return t("compare.finding", **words) if best.paid is None else t("compare.finding_cost", paid=best.paid, **words)


def _names(lines: Sequence[Line]) -> list[str]:
    """The columns of a table: letters and titles, and which of them is the baseline."""
    names = [f"{line.letter} · {plain(line.title)}" for line in lines]
    return [f"{names[0]} ({t('compare.is_baseline')})", *names[1:]]


def _figures_table(lines: Sequence[Line], found: Sequence[Figures]) -> None:
    """Key figures with their differences from the baseline."""
    st.markdown(f"**{t('compare.figures_title')}**", help=t("compare.figures_help"))
    rows = {t(f"compare.{name}"): cells for name, cells in _rows(found).items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=_names(lines))
    st.table(table, border="horizontal", alt=t("compare.figures_title"))


def _differences_table(lines: Sequence[Line], chosen: Sequence[Recording]) -> None:
    """What was set differently."""
    different = differences(chosen)
    if not different:
        st.caption(t("compare.no_differences"))
        return
    rows = {_setting(name): cells for name, cells in different.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=_names(lines))
    st.table(table, border="horizontal", alt=t("compare.differences_title"))


def _setting(name: str) -> str:
    """What a row of the table of differences is called."""
    kind, _, mitigation = name.partition(".")
    return t(f"mitigations.{mitigation}_title") if kind == "mitigation" else t(f"compare.{name}")


def _rows(found: Sequence[Figures]) -> dict[str, list[str]]:
    """The cells of the table of key figures, row by row."""
    base = found[0]

    def cells(value: Callable[[Figures], float | None], form: str, change: Callable[[float, float], str]) -> list[str]:
        """``value`` of every recording, and its ``change`` from the baseline's where both are known."""
        written = []
        for order, one in enumerate(found):
            here, there = value(one), value(base)
            text = "–" if here is None else form.format(here)
            if order and here is not None and there is not None:
                text += f" ({change(here, there)})"
            written.append(text)
        return written

    def share(values: Sequence[float | None], form: str) -> list[str]:
        return ["–" if value is None or not order else form.format(value) for order, value in enumerate(values)]

    def relative(here: float, there: float) -> str:
        return f"{here / there - 1:+z.1%}" if there else "–"

    def absolute(here: float, there: float) -> str:
        return f"{here - there:+z.2f}"

    return {
        "within": cells(lambda one: one.within, "{:.3f}", relative),
        "beyond": cells(lambda one: one.beyond, "{:.3f}", relative),
        "excess": cells(lambda one: one.excess, "{:+z.3f}", absolute),
        "removed": share([removed(one, base) for one in found], "{:.0%}"),
        "onset": cells(_onset, "{:,.0f}", lambda here, there: f"{here - there:+,.0f}"),
        "growth": cells(lambda one: one.growth, "{:.2f}×", absolute),
        "unexplored": cells(lambda one: one.unexplored, "{:.0%}", _points),
    }


def _onset(one: Figures) -> float | None:
    return None if one.onset is None else one.onset + 1  # users count from 1


def _points(here: float, there: float) -> str:
    """A difference of two shares."""
    return t("compare.points", points=100 * (here - there))


def _charts(lines: Sequence[Line], chosen: Sequence[Recording], tokens: int) -> None:
    """Loss or excess by position."""
    measures = ["excess", "loss"] if all(recording.has("control_loss") for recording in chosen) else ["loss"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        measure = choice(
            t("compare.measure"),
            measures,
            key="compare_measure",
            words=lambda option, locale: message(f"compare.measure_{option}", locale),
        )
        log_x = st.toggle(t("ui.curves.log_x"), value=True, key="compare_log_x", bind="query-params")
    if measure == "excess":
        draw_excess(lines, chosen, tokens, log_x)
    else:
        _loss_chart(lines, chosen, tokens, log_x)


def _memory_charts(lines: Sequence[Line], chosen: Sequence[Recording], tokens: int) -> None:
    """Norms and unexplored share by position."""
    layer = layer_choice(range(min(len(recording.meta.layers) for recording in chosen)), key="compare_layer")
    log_x = bool(st.session_state.get("compare_log_x", True))
    grid = st.grid(2, min_column_width=360)
    with grid.cell():
        _norm_chart(lines, chosen, tokens, layer, log_x)
    with grid.cell():
        _unexplored_chart(lines, chosen, tokens, log_x)


def _with_places(figure: go.Figure, chosen: Sequence[Recording]) -> go.Figure:
    """``figure`` with places in the document, if all of ``chosen`` read the same one."""
    same = len({recording.experiment.document for recording in chosen}) == 1
    return name_places(figure, chosen[0]) if same else figure


def draw_excess(
    lines: Sequence[Line], chosen: Sequence[Recording], tokens: int, log_x: bool, height: int | None = None
) -> None:
    """The excess loss of every recording; on a slide of a certain ``height``, large."""
    curves, table = [], []
    for line, recording in zip(lines, chosen, strict=True):
        loss, control = recording.array("loss")[:tokens], recording.array("control_loss")[:tokens]
        curve = excess_curve(loss, control, recording.train_length)
        curves.append((line, curve))
        columns = {"tokens_read": curve.position, "excess": curve.excess, "low": curve.low, "high": curve.high}
        table.append(pd.DataFrame({"recording": line.name, **columns}))
    train_length = chosen[0].train_length
    chart(
        _with_places(
            compared.excess_figure(
                curves, train_length=train_length, end=tokens, log_x=log_x, language=language(), dark=is_dark()
            ),
            chosen,
        ),
        key="compare_excess",
        title=t("compare.excess_title"),
        explanation=t("compare.excess_explanation"),
        alt=t("compare.excess_title") + ": " + _ends([(line, curve.excess) for line, curve in curves], "{:+z.2f}"),
        data=pd.concat(table),
        slide=height,
    )


def _loss_chart(lines: Sequence[Line], chosen: Sequence[Recording], tokens: int, log_x: bool) -> None:
    losses = [(line, recording.array("loss")[:tokens]) for line, recording in zip(lines, chosen, strict=True)]
    control = chosen[0].array("control_loss")[:tokens] if chosen[0].has("control_loss") else None
    train_length = chosen[0].train_length
    far = slice(tokens - tokens // 10, None)
    chart(
        _with_places(
            compared.loss_figure(
                losses, control, train_length=train_length, log_x=log_x, language=language(), dark=is_dark()
            ),
            chosen,
        ),
        key="compare_loss",
        title=t("compare.loss_title"),
        explanation=t("compare.loss_explanation"),
        alt=t("compare.loss_title")
        + ": "
        + _ends([(line, [np.nanmean(loss[far])]) for line, loss in losses], "{:.2f}"),
        data=_by_chunk(losses),
    )


def _by_chunk(losses: Sequence[tuple[Line, np.ndarray]]) -> pd.DataFrame:
    """Mean losses over 64 tokens: a table of every token of a long document is too large for a spreadsheet."""
    parts = max(1, len(losses[0][1]) // CHUNK)
    means = [(line, *binned(loss, parts=parts)) for line, loss in losses]
    return pd.concat([pd.DataFrame({"recording": line.name, "token": x, "loss": y}) for line, x, y in means])


def _norm_chart(
    lines: Sequence[Line], chosen: Sequence[Recording], tokens: int, layer: int | None, log_x: bool
) -> None:
    norms, table = [], []
    for line, recording in zip(lines, chosen, strict=True):
        position, norm = recording.array("position"), recording.array("norm")
        rows = position <= tokens
        mean = (norm if layer is None else norm[:, layer : layer + 1])[rows].mean(axis=(1, 2))
        norms.append((line, position[rows], mean))
        table.append(pd.DataFrame({"recording": line.name, "tokens_read": position[rows], "norm": mean}))
    where = t("ui.curves.all_layers") if layer is None else t("figures.layer", layer=layer)
    chart(
        _with_places(
            compared.norm_figure(
                norms, train_length=chosen[0].train_length, log_x=log_x, language=language(), dark=is_dark()
            ),
            chosen,
        ),
        key="compare_norms",
        title=t("compare.norm_title", where=where),
        explanation=t("compare.norm_explanation"),
        alt=t("compare.norm_title", where=where) + ": " + _ends([(line, mean) for line, _, mean in norms], "{:.2f}"),
        data=pd.concat(table),
    )


def _unexplored_chart(lines: Sequence[Line], chosen: Sequence[Recording], tokens: int, log_x: bool) -> None:
    drawn, table = [], []
    for line, recording in zip(lines, chosen, strict=True):
        found = novelty(recording, tokens)
        if found is not None and not np.isnan(found[1]).any():
            drawn.append((line, *compared.shares(*found, log=log_x)))
            table.append(pd.DataFrame({"recording": line.name, "tokens_read": found[0], "novelty": found[1]}))
    if not drawn:
        st.info(t("compare.no_reference"), icon=":material/explore_off:")
        return
    train_length = chosen[0].train_length
    chart(
        _with_places(
            compared.unexplored_figure(
                drawn, train_length=train_length, end=tokens, log_x=log_x, language=language(), dark=is_dark()
            ),
            chosen,
        ),
        key="compare_unexplored",
        title=t("compare.unexplored_title"),
        explanation=t("compare.unexplored_explanation"),
        alt=t("compare.unexplored_title") + ": " + _ends([(line, share) for line, _, share in drawn], "{:.0%}"),
        data=pd.concat(table),
    )


def _ends(curves: Sequence[tuple[Line, Sequence[float] | np.ndarray]], form: str) -> str:
    """The last value of every curve, for the alt text."""
    parts = []
    for line, values in curves:
        known = np.asarray(values, float)
        known = known[np.isfinite(known)]
        parts.append(f"{line.name} {form.format(known[-1]) if len(known) else '–'}")
    return t("compare.at_the_end", values=t("compare.comma").join(parts))
