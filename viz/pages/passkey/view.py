"""How long may a text be until a key hidden in it is no longer retrieved?

The map shows the accuracy for every length of the text and depth of the needle, for the plain model and, beside it, for
the chosen initial state and mitigations (the passkey test: see :mod:`model.studies.passkey`).
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model.errors import UserError
from model.studies.passkey import PasskeyResult, PasskeyTask, Reader
from model.studies.passkey.compare import recall_interval
from viz.app import session
from viz.app.choices import Choices
from viz.app.language import plain, show_error, t
from viz.app.theme import is_dark
from viz.jobs.measurements import readers, tokens_left
from viz.jobs.passkeys import TEST
from viz.pages.passkey import controls as passkey_controls
from viz.pages.passkey import difference as passkey_difference
from viz.pages.passkey import job as passkeys
from viz.pages.passkey import prompt as passkey_prompt
from viz.pages.passkey import results as passkey_results
from viz.pages.passkey.figures import curve, figure, short, table
from viz.ui.chart import chart
from viz.ui.controls import newly_clicked, page_link
from viz.ui.fold import fold

LIVE = 2.0
"""Seconds between two drawings of a map that is being filled."""


def render(chosen: Choices) -> None:
    """Draw the page for what the sidebar has chosen."""
    TEST.job.collect()
    active = TEST.job.active
    wanted = readers(chosen)
    try:
        task, text = passkey_controls.task_of(wanted[-1])
    except UserError as error:
        show_error(error)
        return
    known = TEST.stored()
    begun = [TEST.result_of(task, reader, known) for reader in wanted]
    _run(begun, known, text, chosen, active)
    TEST.job.show_progress(t("passkey.running"))
    keys = passkey_results.choose(known)
    shown = TEST.job.asked if active else passkeys.task_to_show(task, wanted, known)
    results, titles = _shown_results(keys, shown, wanted)
    train_length = results[0].reader.train_length if keys else chosen.options.train_length or wanted[0].train_length
    live = st.fragment(_results, run_every=LIVE if active else None)
    live(task, keys, shown, wanted, train_length, active)
    with fold(t("passkey.prompt_title"), key="pk_prompt", icon=":material/article:") as opened:
        if opened:
            passkey_prompt.render(results, titles, passkeys.text_of(results[0].task))
    page_link("capacity", t("passkey.to_capacity"))


def _shown_results(
    keys: Sequence[str], shown: PasskeyTask, wanted: Sequence[Reader]
) -> tuple[list[PasskeyResult], list[str]]:
    """The results that are drawn, one or two, and their titles: the stored ones with ``keys``, if there are any."""
    known = TEST.stored()
    if keys:
        return passkey_results.picked(keys, known)
    results = [TEST.result_of(shown, reader, known) for reader in wanted]
    return results, [passkey_results.reader_words(reader) for reader in wanted]


def _run(
    begun: Sequence[PasskeyResult], known: Sequence[PasskeyResult], text: str, chosen: Choices, active: bool
) -> None:
    """The button, and beside it what pressing it costs."""
    left = tokens_left(begun)
    label = (
        "run_done"
        if left == 0
        else "run_more"
        if any(result.cells and not result.complete for result in begun)
        else "run"
    )
    unready = chosen.strategy.initial_state == "carried" and not chosen.strategy.source
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t(f"passkey.{label}"),
            key="pk_run",
            type="primary",
            icon=":material/play_arrow:" if left else ":material/check:",
            disabled=active or left == 0 or unready,
        )
        st.caption(t("app.sidebar.no_source") if unready else passkeys.estimate(begun, known))
    if clicked:
        try:
            begun[0].task.check()
            passkey_results.show_settings()
            source = session.find(chosen.strategy.source)
            passkeys.start(begun, text, source.path if source is not None else None)
        except UserError as error:
            show_error(error)
        else:
            st.rerun()
    TEST.job.show_failure()


def _results(
    task: PasskeyTask,
    keys: Sequence[str],
    shown: PasskeyTask,
    wanted: Sequence[Reader],
    train_length: int,
    active: bool,
) -> None:
    """What is known of the shown results; while a test runs, this is drawn anew every other second."""
    results, titles = _shown_results(keys, shown, wanted)
    if not active and not any(result.cells for result in results):
        st.info(t("passkey.shown_nothing"), icon=":material/key:")
    if not keys and shown != task:
        st.caption(t("passkey.shown_other"))
    files = keys or [result.key for result in results]
    st.caption(_describe(results, files))
    with st.container(horizontal=True):
        for result, title in zip(results, titles, strict=True):
            _metric(result, title, train_length)
    averages = "; ".join(_numbers(result, title) for result, title in zip(results, titles, strict=True))
    dark, trials = is_dark(), results[0].task.trials
    event = chart(
        figure(results, titles, train_length=train_length, dark=dark),
        key="passkey_map",
        title=t("passkey.map_title"),
        explanation=t("passkey.map_explanation", trials=trials),
        alt=t("passkey.map_alt", trials=trials, averages=averages),
        data=table(results, titles),
        selectable=True,
    )
    if not active:
        passkey_results.downloads(results, titles, files)
    if len(results) == 2:
        _difference(results, titles, train_length, dark)
    elif not keys:
        st.caption(t("passkey.mitigate_hint"))
    clicked = newly_clicked(event, "_explorer_passkey_click")
    if clicked is not None:
        passkey_prompt.choose(results[0].task, column=round(clicked["x"]), row=round(clicked["y"]))
        st.session_state["pk_prompt"] = True
        st.rerun()
    chart(
        curve(results, titles, train_length=train_length, dark=dark),
        key="passkey_curve",
        title=t("passkey.curve_title"),
        explanation=t("passkey.curve_explanation"),
        alt=t("passkey.curve_alt", averages=averages),
        data=table(results, titles),
    )


def _difference(results: Sequence[PasskeyResult], titles: Sequence[str], train_length: int, dark: bool) -> None:
    """The second result minus the first, once both have a cell in common."""
    first, second = results
    better, worse, compared = passkey_difference.counts(first, second)
    if compared == 0:
        return
    counted = t("passkey.results.difference_counts", better=better, worse=worse, compared=compared)
    chart(
        passkey_difference.figure(first, second, train_length=train_length, dark=dark),
        key="passkey_difference",
        title=t("passkey.results.difference_title", second=plain(titles[1]), first=plain(titles[0])),
        explanation=t("passkey.results.difference_explanation"),
        alt=t("passkey.results.difference_alt", second=titles[1], first=titles[0], counts=counted),
        data=passkey_difference.table(first, second),
    )
    st.caption(counted)


def _describe(results: Sequence[PasskeyResult], keys: Sequence[str]) -> str:
    task = results[0].task
    words = t("passkey.shown", what=plain(passkey_results.task_words(task)), trials=task.trials)
    known = [file for file in map(TEST.file_of, keys) if file is not None]
    from_elsewhere = bool(known) and all(file.parent == TEST.shipped for file in known)
    return f"{t('passkey.shown_stored')} · {words}" if from_elsewhere else words


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
        interval = recall_interval(result)
        if interval is not None:
            low, high = (t("passkey.recall_short" if end else "passkey.recall_no", length=end) for end in interval)
            facts.append(t("passkey.recall_interval", low=low, high=high))
        if pooled:
            farthest, cell = max(pooled.items())
            facts.append(t("passkey.recall_farthest", share=cell.accuracy, length=farthest))
        st.caption(" · ".join(facts) or " ")
