"""How far back does the next prediction depend on the text?

Everything older than n tokens is forgotten, and the chart shows how much of the next prediction that changes (the
effective remembrance of Ruiz & Gu, arXiv 2507.02782), for the plain model and, beside it, for the chosen initial state
and mitigations or a second model.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model.errors import UserError
from model.studies.effective_context import EffectiveContextResult, EffectiveContextTask, sharing_tokenizer
from model.studies.effective_context.result import NOTICEABLE
from model.studies.passkey import Reader, reader_of
from viz.app import links, session
from viz.app.choices import Choices, describe_reading
from viz.app.language import plain, show_error, t
from viz.app.theme import is_dark
from viz.jobs.measurements import readers, tokens_left
from viz.pages.effective_context.figures import figure, table
from viz.pages.effective_context.job import CONTEXT, estimate, start, task_of, task_to_show
from viz.ui.chart import chart

LIVE = 2.0
"""Seconds between two drawings of a chart that is being filled."""
LENGTHS = (2, 4, 8, 16, 32, 64)
"""Lengths of a whole span that can be chosen, in training lengths."""
ENDS = (4, 8, 16, 32)
NO_OTHER = "none"


def render(chosen: Choices) -> None:
    """Draw the page for what the sidebar has chosen."""
    st.markdown(t("effective_context.intro"))
    CONTEXT.job.collect()
    active = CONTEXT.job.active
    document = session.document(chosen.document)
    train_length = chosen.options.train_length or readers(chosen)[0].train_length
    multiple, ends, other = _controls(chosen.model, train_length)
    wanted = readers(chosen) if other is None else (*readers(chosen), reader_of(other))
    task = task_of(document.sha256, train_length, multiple, ends)
    known = CONTEXT.stored()
    _run([CONTEXT.result_of(task, reader, known) for reader in wanted], known, document.text, chosen, active)
    CONTEXT.job.show_progress(t("effective_context.running"))
    shown = CONTEXT.job.asked if active else task_to_show(task, wanted, known)
    live = st.fragment(_results, run_every=LIVE if active else None)
    live(task, shown, wanted, train_length, active)


def _controls(model: str, train_length: int) -> tuple[int, int, str | None]:
    """Length of a span in training lengths, number of end points, and the second model if one was chosen."""
    with st.container(border=True, key="effective-context-settings"), st.container(horizontal=True):
        multiple = st.select_slider(
            t("effective_context.which_length"),
            LENGTHS,
            value=32,
            key="rm_length",
            bind="query-params",
            help=t("effective_context.which_length_help", train_length=train_length),
        )
        ends = st.select_slider(
            t("effective_context.which_ends"),
            ENDS,
            value=16,
            key="rm_ends",
            bind="query-params",
            help=t("effective_context.which_ends_help"),
        )
        others = sharing_tokenizer(model)
        if not others:
            return multiple, ends, None
        labels = {NO_OTHER: t("effective_context.no_other")} | {name: name for name in others}
        other = links.choice(
            "rm_other", labels, t("effective_context.which_other"), help=t("effective_context.which_other_help")
        )
        return multiple, ends, None if other == NO_OTHER else other


def _run(
    begun: Sequence[EffectiveContextResult],
    known: Sequence[EffectiveContextResult],
    text: str,
    chosen: Choices,
    active: bool,
) -> None:
    """The button, and beside it what pressing it costs."""
    left = tokens_left(begun)
    partly = any(result.distances and not result.complete for result in begun)
    label = "run_done" if left == 0 else "run_more" if partly else "run"
    unready = chosen.strategy.initial_state == "carried" and not chosen.strategy.source
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t(f"effective_context.{label}"),
            key="rm_run",
            type="primary",
            icon=":material/play_arrow:" if left else ":material/check:",
            disabled=active or left == 0 or unready,
        )
        st.caption(t("app.sidebar.no_source") if unready else estimate(begun, known))
    if clicked:
        try:
            begun[0].task.check()
            source = session.find(chosen.strategy.source)
            start(begun, text, source.path if source is not None else None)
        except UserError as error:
            show_error(error)
        else:
            st.rerun()
    CONTEXT.job.show_failure()


def _results(
    task: EffectiveContextTask, shown: EffectiveContextTask, wanted: Sequence[Reader], train_length: int, active: bool
) -> None:
    """What is known of ``shown``; while a measurement runs, this is drawn anew every other second."""
    known = CONTEXT.stored()
    results = [CONTEXT.result_of(shown, reader, known) for reader in wanted]
    names = [_name(reader, wanted[0].model) for reader in wanted]
    measured = [(result, name) for result, name in zip(results, names, strict=True) if result.distances]
    if not measured:
        if not active:
            st.info(t("effective_context.shown_nothing"), icon=":material/history:")
        return
    if shown != task:
        st.caption(t("effective_context.shown_other"))
    with st.container(border=True, key="effective-context-finding"):
        for place, (result, name) in enumerate(measured):
            words = finding(result, name, train_length)
            st.header(words, anchor=False) if place == 0 else st.markdown(words)
    counts = {len(result.distances) for result, _ in measured}
    st.caption(t("effective_context.shown", length=shown.length, ends=min(counts), of=shown.ends))
    grid = st.grid(len(measured), min_column_width=240)
    for result, name in measured:
        with grid.cell():
            _metric(result, name, train_length)
    numbers = "; ".join(_numbers(result, name) for result, name in measured)
    chart(
        figure(results, names, train_length=train_length, dark=is_dark()),
        key="effective_context_curve",
        title=t("effective_context.curve_title"),
        explanation=t("effective_context.curve_explanation", limit=NOTICEABLE, length=shown.length),
        alt=t("effective_context.curve_alt", numbers=numbers),
        data=table(results, names),
    )
    if any(result.open_ended() for result, _ in measured):
        st.caption(t("effective_context.longer_hint"))
    if len(wanted) == 1:
        st.caption(t("effective_context.mitigate_hint"))


def finding(result: EffectiveContextResult, name: str, train_length: int) -> str:
    """What the numbers say, in one sentence (Markdown)."""
    who, reach = plain(name), result.reach()
    if reach == 0:
        return t("effective_context.finding_nothing", who=who, limit=NOTICEABLE)
    if reach < train_length:
        return t("effective_context.finding_near", who=who, reach=_about(reach), limit=NOTICEABLE)
    # A stored result may be of another training length than the one that is set now.
    kept = train_length if train_length in result.task.lengths else result.task.lengths[0]
    values = {"who": who, "reach": _about(reach), "kept": kept, "share": _percent(result.moved(kept) or 0.0)}
    return t("effective_context.finding_open" if result.open_ended() else "effective_context.finding_far", **values)


def _about(tokens: float) -> str:
    """Two significant digits, all that a mean over a few positions supports: 87, 3,100."""
    return f"{float(f'{tokens:.2g}'):,.0f}"


def _percent(share: float) -> str:
    """41%, 1.2%."""
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"


def _name(reader: Reader, model: str) -> str:
    if not reader.plain:
        return describe_reading(reader)
    return t("effective_context.plain") if reader.model == model else reader.model


def _numbers(result: EffectiveContextResult, name: str) -> str:
    curve = result.curve()
    points = ", ".join(f"{n:,}: {mean:.0%}" for n, mean in zip(result.task.lengths, curve.mean, strict=True))
    return t("effective_context.curve_alt_one", who=name, numbers=points)


def _metric(result: EffectiveContextResult, name: str, train_length: int) -> None:
    reach, beyond = result.reach(), result.moved(train_length)
    with st.container(border=True):
        st.metric(
            t("effective_context.reach_label", who=name),
            t(
                "effective_context.reach_at_least" if result.open_ended() else "effective_context.reach_value",
                tokens=_about(reach),
            ),
            help=t("effective_context.reach_help", limit=NOTICEABLE),
        )
        facts = [t("effective_context.reach_times", times=reach / train_length)]
        if beyond is not None:
            place, curve = result.task.lengths.index(train_length), result.curve()
            low, high = _percent(curve.low[place]), _percent(curve.high[place])
            facts.append(
                t("effective_context.beyond", share=_percent(beyond), low=low, high=high, train_length=train_length)
            )
        st.caption(" · ".join(facts))
