"""How long may a text be until a number hidden in it is no longer found?

The map shows it for every length of the text and place of the key, for the plain model and, beside it, for the chosen
initial state and mitigations (the passkey test: see :mod:`model.passkey`).
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model.errors import UserError
from model.messages import message
from model.passkey import PasskeyResult, PasskeyTask, Reader, even_depths
from model.passkey.task import FILLERS, MAX_DIGITS
from model.recall import PASSKEYS
from viz import passkeys, session
from viz.chart import chart
from viz.choices import Choices, describe
from viz.language import language, show_error, t
from viz.theme import is_dark
from viz.views import passkey_prompt
from viz.views.controls import choice, newly_clicked
from viz.views.passkey_figures import curve, figure, short, table

LIVE = 2.0
"""Seconds between two drawings of a map that is being filled."""
LONGEST = (2, 4, 8, 16, 32, 64, 128)
"""Lengths of the longest text that can be chosen, in training lengths."""


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
    shown = passkeys.running() if active else passkeys.task_to_show(task, wanted, known)
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
    label = (
        "run_done"
        if left == 0
        else "run_more"
        if any(result.cells and not result.complete for result in begun)
        else "run"
    )
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
