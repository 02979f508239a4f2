"""How long may a text be until a number hidden in it is no longer found?

The map shows it for every length of the text and place of the key, for the plain model and, beside it, for the chosen
initial state and mitigations (the passkey test: see :mod:`model.passkey`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from model.errors import UserError
from model.messages import message
from model.passkey import PasskeyResult, PasskeyTask, Reader, even_depths
from model.passkey.result import RECALLED
from model.passkey.task import FILLERS, MAX_DIGITS
from model.recall import PASSKEYS
from viz import passkeys, session
from viz.chart import chart
from viz.choices import Choices, describe
from viz.language import language, show_error, t
from viz.theme import COLOURS, DASHES, GREY, SEQUENTIAL, VERMILLION, is_dark, template
from viz.views import passkey_prompt
from viz.views.controls import choice, newly_clicked

LIVE = 2.0
"""Seconds between two drawings of a map that is being filled."""
LONGEST = (2, 4, 8, 16, 32, 64, 128)
"""Lengths of the longest text that can be chosen, in training lengths."""
SHIFT = 0.03
"""How far the second curve stands to the right, as a share of the length: intervals must not cover each other."""
COLUMNS = ["reader", "length", "depth", "correct", "trials", "accuracy", "low_95", "high_95", "digit_probability"]


def figure(results: Sequence[PasskeyResult], titles: Sequence[str], *, train_length: int, dark: bool) -> go.Figure:
    """One heat map of accuracy per result of the same task, side by side; cells that were not run are hatched."""
    task = results[0].task
    lengths = sorted(task.lengths)
    drawn = make_subplots(
        rows=1, cols=len(results), shared_yaxes=True, horizontal_spacing=0.03, subplot_titles=list(titles)
    )
    drawn.update_annotations(yshift=14, font_size=14)
    for column, result in enumerate(results, start=1):
        drawn.add_trace(_cells(result), row=1, col=column)
        drawn.add_trace(_hatching(result), row=1, col=column)
        known = sum(length <= train_length for length in lengths)
        if 0 < known < len(lengths):
            line = {"color": VERMILLION, "width": 2.5, "dash": "dash"}
            drawn.add_vline(x=known - 0.5, line=line, row=1, col=column)
            label = {"text": t("curves.train_length"), "font": {"size": 11}, "showarrow": False}
            place = {"x": known - 0.5, "y": -0.5, "xanchor": "center", "yanchor": "bottom"}
            drawn.add_annotation(**label, **place, row=1, col=column)
    ticks = {"tickvals": list(range(len(lengths))), "ticktext": [short(length) for length in lengths]}
    drawn.update_xaxes(**ticks, range=[-0.5, len(lengths) - 0.5], showgrid=False, title_text=t("passkey.axis_length"))
    rows = len(task.depths)
    names = [depth_name(depth) for depth in task.depths]
    drawn.update_yaxes(tickvals=list(range(rows)), ticktext=names, range=[rows - 0.5, -0.5], showgrid=False)
    drawn.update_yaxes(title_text=t("passkey.axis_depth"), row=1, col=1)
    drawn.update_layout(
        template=template(dark),
        height=170 + 38 * max(rows, 3),
        barmode="overlay",
        showlegend=False,
        margin={"t": 60, "r": 8},
        coloraxis={
            "colorscale": SEQUENTIAL,
            "cmin": 0,
            "cmax": 1,
            "colorbar": {"thickness": 12, "tickvals": [0, 0.5, 1], "title": {"text": t("passkey.axis_accuracy")}},
        },
    )
    return drawn


def _cells(result: PasskeyResult) -> go.Heatmap:
    accuracy = result.accuracy()
    text = [["" if np.isnan(value) else f"{value:.2f}" for value in row] for row in accuracy]
    details: list[list[list[object]]] = []
    for depth in result.task.depths:
        details.append([])
        for length in result.lengths:
            cell = result.cells.get((length, depth))
            numbers = [0, 0, 0, 1, 0] if cell is None else [cell.correct, cell.trials, *cell.interval, cell.probability]
            details[-1].append([f"{length:,}", depth_name(depth), *numbers])
    return go.Heatmap(
        z=[[None if np.isnan(value) else round(value, 4) for value in row] for row in accuracy],
        text=text,
        texttemplate="%{text}",
        customdata=details,
        hovertemplate=t("passkey.hover"),
        hoverongaps=False,
        coloraxis="coloraxis",
        xgap=1.5,
        ygap=1.5,
    )


def _hatching(result: PasskeyResult) -> go.Bar:
    """Cells that were not run, as hatched bars: a heat map has no patterns."""
    rows, columns = np.nonzero(np.isnan(result.accuracy()))
    pattern = {"shape": "/", "fgcolor": GREY, "bgcolor": "rgba(0,0,0,0)", "size": 7, "solidity": 0.2}
    return go.Bar(
        x=columns.tolist(),
        base=(rows - 0.5).tolist(),
        y=[1] * len(rows),
        width=0.96,
        marker={"pattern": pattern, "line": {"width": 0}, "color": "rgba(0,0,0,0)"},
        hoverinfo="skip",
    )


def curve(results: Sequence[PasskeyResult], titles: Sequence[str], *, train_length: int, dark: bool) -> go.Figure:
    """Accuracy over all depths against length, one line per result, with 95 % intervals."""
    drawn = go.Figure()
    for index, (result, title) in enumerate(zip(results, titles, strict=True)):
        pooled = result.by_length()
        accuracy = np.array([cell.accuracy for cell in pooled.values()])
        low, high = np.array([cell.interval for cell in pooled.values()]).reshape(-1, 2).T
        drawn.add_scatter(
            x=[round(length * (1 + SHIFT * index), 1) for length in pooled],
            y=accuracy.round(4),
            name=title,
            mode="lines+markers",
            line={"color": COLOURS[index], "dash": DASHES[index], "width": 2.5},
            marker={"size": 9, "symbol": ("circle", "diamond")[index % 2]},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": (high - accuracy).round(4),
                "arrayminus": (accuracy - low).round(4),
                "thickness": 1.2,
                "width": 4,
            },
            text=[f"{length:,}" for length in pooled],
            hovertemplate="%{text}: %{y:.2f}<extra>%{fullData.name}</extra>",
        )
    lengths = results[0].lengths
    drawn.add_hline(y=RECALLED, line={"color": GREY, "width": 1, "dash": "dot"})
    drawn.add_vline(x=train_length, line={"color": VERMILLION, "width": 2, "dash": "dash"})
    drawn.add_annotation(
        x=np.log10(train_length),
        y=1,
        yref="paper",
        yanchor="bottom",
        xanchor="left",
        text=t("curves.train_length"),
        showarrow=False,
        font={"size": 11},
    )
    drawn.update_xaxes(
        type="log",
        tickvals=lengths,
        ticktext=[short(length) for length in lengths],
        range=np.log10([lengths[0] / 1.2, lengths[-1] * 1.2]).tolist(),
        title_text=t("passkey.axis_length"),
    )
    drawn.update_yaxes(range=[-0.04, 1.06], title_text=t("passkey.axis_accuracy"))
    drawn.update_layout(template=template(dark), height=330, showlegend=True, legend={"y": 1.12}, margin={"t": 60})
    return drawn


def short(length: int) -> str:
    """A number of tokens for an axis: 512, 4K (4,096), 1,000."""
    return f"{length // 1024}K" if length % 1024 == 0 else f"{length:,}"


def depth_name(depth: float) -> str:
    """A place of the key for an axis: start, 25 %, end."""
    return t("passkey.depth_start") if depth == 0 else t("passkey.depth_end") if depth == 1 else f"{depth:.0%}"


def table(results: Sequence[PasskeyResult], titles: Sequence[str]) -> pd.DataFrame:
    """Every cell that was run, one row each."""
    rows = []
    for result, title in zip(results, titles, strict=True):
        for (length, depth), cell in sorted(result.cells.items()):
            low, high = cell.interval
            rows.append((title, length, depth, cell.correct, cell.trials, cell.accuracy, low, high, cell.probability))
    return pd.DataFrame(rows, columns=COLUMNS)


def render(chosen: Choices) -> None:
    """Draw the page for what the sidebar has chosen."""
    st.markdown(t("passkey.intro"))
    running = passkeys.collect()
    active = running is not None and running.active
    wanted = passkeys.readers(chosen)
    document = session.document(chosen.document)
    task = _task(wanted[-1], document.sha256)
    known = passkeys.stored()
    begun = [passkeys.result_of(task, reader, known) for reader in wanted]
    _run(begun, known, document.text if task.filler == "text" else "", chosen, active)
    if active:
        from viz.progress import panel

        assert running is not None
        panel(running, t("passkey.running"))
    train_length = chosen.train_length or wanted[0].train_length
    shown = passkeys.task_to_show(task, wanted, known)
    live = st.fragment(_results, run_every=LIVE if active else None)
    live(task, shown, wanted, train_length, active)
    passkey_prompt.render(shown, wanted[0].model, document)


def _task(reader: Reader, document: str) -> PasskeyTask:
    """The test that the controls describe."""
    with st.container(border=True, key="passkey-settings"):
        st.markdown(f"**{t('passkey.settings')}**")
        first, second = st.container(horizontal=True), st.container(horizontal=True)
    with first:
        tongues = sorted(PASSKEYS, key=lambda tongue: tongue != language())
        tongue = choice(t("passkey.which_language"), tongues, key="pk_language", words=_language_name)
        filler = choice(
            t("passkey.which_filler"),
            FILLERS,
            key="pk_filler",
            words=lambda option, tongue: message(f"passkey.filler_{option}", tongue),
            help=t("passkey.which_filler_help"),
        )
        longest = st.select_slider(
            t("passkey.which_longest"),
            LONGEST,
            value=16,
            key="pk_longest",
            bind="query-params",
            help=t("passkey.which_longest_help", train_length=reader.train_length),
        )
    with second:
        depths = st.slider(
            t("passkey.which_depths"),
            2,
            11,
            5,
            key="pk_depths",
            bind="query-params",
            help=t("passkey.which_depths_help"),
        )
        trials = st.number_input(
            t("passkey.which_trials"),
            1,
            200,
            10,
            key="pk_trials",
            bind="query-params",
            help=t("passkey.which_trials_help"),
        )
        digits = st.number_input(t("passkey.which_digits"), 1, MAX_DIGITS, 5, key="pk_digits", bind="query-params")
    return PasskeyTask(
        language=tongue,
        lengths=passkeys.lengths(reader, longest, tongue, int(digits)),
        depths=even_depths(depths),
        trials=int(trials),
        digits=int(digits),
        filler=filler,
        document=document if filler == "text" else "",
    )


def _language_name(option: str, tongue: str) -> str:
    return message(f"passkey.language_{option}", tongue)


def _run(
    begun: Sequence[PasskeyResult], known: Sequence[PasskeyResult], text: str, chosen: Choices, active: bool
) -> None:
    """The button, and beside it what pressing it costs."""
    left = passkeys.tokens_left(begun)
    label = "run_done" if left == 0 else "run_more" if any(result.cells for result in begun) else "run"
    unready = chosen.initial_state == "carried" and not chosen.source
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t(f"passkey.{label}"),
            key="pk_run",
            type="primary",
            icon=":material/play_arrow:" if left else ":material/check:",
            disabled=active or left == 0 or unready,
        )
        st.caption(t("sidebar.no_source") if unready else passkeys.estimate(begun, known))
    if clicked:
        try:
            begun[0].task.check()
            source = session.visible_recordings().get(chosen.source)
            passkeys.start(begun, text, source.path if source is not None else None)
        except UserError as error:
            show_error(error)
        else:
            st.rerun()
    failed = passkeys.failure()
    if failed is not None:
        show_error(failed)


def _results(task: PasskeyTask, shown: PasskeyTask, wanted: Sequence[Reader], train_length: int, active: bool) -> None:
    """What is known of ``shown``; while a test runs, this is drawn anew every other second."""
    known = passkeys.stored()
    if active:
        shown = passkeys.task_to_show(task, wanted, known)
    results = [passkeys.result_of(shown, reader, known) for reader in wanted]
    titles = [_title(reader) for reader in wanted]
    if not active and not any(result.cells for result in results):
        st.info(t("passkey.shown_nothing"), icon=":material/key:")
    if shown != task:
        st.caption(t("passkey.shown_other"))
    st.caption(_describe(shown, results))
    with st.container(horizontal=True):
        for result, title in zip(results, titles, strict=True):
            _metric(result, title, train_length)
    averages = "; ".join(_numbers(result, title) for result, title in zip(results, titles, strict=True))
    dark = is_dark()
    event = chart(
        figure(results, titles, train_length=train_length, dark=dark),
        key="passkey_map",
        title=t("passkey.map_title"),
        explanation=t("passkey.map_explanation", trials=shown.trials),
        alt=t("passkey.map_alt", trials=shown.trials, averages=averages),
        data=table(results, titles),
        selectable=True,
    )
    if len(wanted) == 1:
        st.caption(t("passkey.mitigate_hint"))
    clicked = newly_clicked(event, "_explorer_passkey_click")
    if clicked is not None:
        passkey_prompt.choose(shown, column=round(clicked["x"]), row=round(clicked["y"]))
        st.rerun()
    chart(
        curve(results, titles, train_length=train_length, dark=dark),
        key="passkey_curve",
        title=t("passkey.curve_title"),
        explanation=t("passkey.curve_explanation"),
        alt=t("passkey.curve_alt", averages=averages),
        data=table(results, titles),
    )


def _title(reader: Reader) -> str:
    return t("passkey.plain") if reader.plain else describe(reader.initial_state, reader.mitigations)


def _describe(task: PasskeyTask, results: Sequence[PasskeyResult]) -> str:
    words = t(
        "passkey.shown",
        tongue=t(f"passkey.language_{task.language}"),
        filler=t(f"passkey.filler_{task.filler}"),
        digits=task.digits,
        trials=task.trials,
    )
    from_elsewhere = all((passkeys.SHIPPED / f"{result.key}.json").exists() for result in results if result.cells)
    known = any(result.cells for result in results)
    return f"{t('passkey.shown_stored')} · {words}" if known and from_elsewhere else words


def _numbers(result: PasskeyResult, title: str) -> str:
    numbers = ", ".join(f"{short(length)}: {cell.accuracy:.2f}" for length, cell in result.by_length().items())
    return t("passkey.map_alt_one", who=title, numbers=numbers or t("passkey.map_alt_none"))


def _metric(result: PasskeyResult, title: str, train_length: int) -> None:
    pooled, recalled = result.by_length(), result.t_recall
    if not pooled:
        value = t("passkey.recall_unknown")
    elif recalled is None:
        value = t("passkey.recall_none")
    else:
        longest = recalled == result.lengths[-1]
        value = t("passkey.recall_at_least" if longest else "passkey.recall_value", length=recalled)
    with st.container(border=True):
        st.metric(t("passkey.recall_label", who=title), value, help=t("passkey.recall_help"))
        facts = [] if recalled is None else [t("passkey.recall_times", times=recalled / train_length)]
        if pooled:
            farthest, cell = max(pooled.items())
            facts.append(t("passkey.recall_farthest", share=cell.accuracy, length=farthest))
        st.caption(" · ".join(facts) or " ")
