"""Does training from other initial states reduce the collapse on this document, more than plain fine-tuning does?

The controls describe a run of fine-tuning; while it runs, the loss by position on the chosen document is updated.
"""

from __future__ import annotations

import streamlit as st

from model.diagnostics.collapse import BEYOND, MATERIAL, tokens_needed
from model.errors import UserError
from model.studies.gradients import EXPLODED, GROWN, VANISHED
from model.studies.gradients.report import verdict_in_words
from model.training.trial import Trial, TrialResult
from viz.app import session
from viz.app.choices import Choices
from viz.app.language import language, plain, show_error, t
from viz.app.theme import is_dark
from viz.app.workspace import STATE_PREFIX
from viz.pages.lab import job as labs
from viz.pages.lab import spans as lab_spans
from viz.pages.lab.controls import controls
from viz.pages.lab.figures import comparison, figure, table, training_figure, training_table
from viz.pages.lab.job import TRAINING
from viz.pages.lab.reach import reach_figure, reach_table
from viz.pages.lab.texts import TrainingText
from viz.ui.chart import chart

LIVE = 2.0
"""Seconds between two drawings of the curves of a running training."""
HARDLY = 0.1
"""Share of the collapse below which hardly any counts as gone."""
_NAME_ERROR = STATE_PREFIX + "lab_name_error"


def render(chosen: Choices) -> None:
    """Draw the page for the model and the document that the sidebar has chosen."""
    st.markdown(t("lab.intro"))
    TRAINING.collect()
    active = TRAINING.active
    document = session.document(chosen.document)
    picks = lab_spans.note(chosen)
    name, share, text, numbers = controls(chosen, bool(picks))
    trial = labs.trial_of(chosen, name, share, text, numbers, picks) if text is not None else None
    _run(trial, text, chosen, active)
    TRAINING.show_progress(t("lab.running"))
    shown = TRAINING.asked if active else labs.trial_to_show(trial, chosen)
    if shown is None:
        st.info(t("lab.nothing_yet"), icon=":material/science:")
        return
    if not active and shown != trial:
        st.caption(t("lab.shown_other", run=described(shown)))
    live = st.fragment(_results, run_every=LIVE if active else None)
    live(shown, plain(session.document_title(chosen.document)) if shown.document == document.sha256 else "", active)
    if not active:
        lab_spans.render(labs.result_of(shown), labs.plain_one(shown))
        _keep(labs.result_of(shown))
        _compared(shown)


def described(trial: Trial) -> str:
    """A run in a few words: “State passing 90% · 400 steps”."""
    name, share = trial.config.interventions[0]
    return t("lab.described", how=t(f"interventions.{name}_title"), share=share, steps=trial.config.steps)


def _run(trial: Trial | None, text: TrainingText | None, chosen: Choices, active: bool) -> None:
    """The buttons, and beside them what pressing them costs."""
    result = labs.result_of(trial) if trial is not None else None
    complete = result is not None and result.complete
    begun = result is not None and bool(result.losses) and not complete
    label = "start_done" if complete else "start_more" if begun else "start"
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t(f"lab.{label}"),
            key="lab_run",
            type="primary",
            icon=":material/check:" if complete else ":material/play_arrow:",
            disabled=active or complete or trial is None,
        )
        timed = st.button(
            t("lab.time"),
            key="lab_time",
            icon=":material/timer:",
            help=t("lab.time_help"),
            disabled=active or complete or trial is None,
        )
        if trial is not None:
            st.caption(labs.estimate(trial))
    if (clicked or timed) and trial is not None and text is not None:
        try:
            trial.config.check()
            labs.start(trial, text, session.document(chosen.document), only_time=timed)
        except UserError as error:
            show_error(error)
        else:
            st.rerun()
    TRAINING.show_failure()


def _results(shown: Trial, title: str, active: bool) -> None:
    """What is known of ``shown``; while it runs, this is drawn anew every other second."""
    result = labs.result_of(shown)
    if result.before is None:
        return
    if result.complete:
        with st.container(border=True, key="lab-finding"):
            st.header(finding(result), anchor=False)
            st.markdown(within(result))
    else:
        if not active and result.losses:
            st.caption(t("lab.unfinished", done=result.done, steps=shown.config.steps))
        if len(result.readings) > 1:
            st.markdown(_live(result))
    training = len(result.losses) > 1
    grid = st.grid(2 if training else 1, min_column_width=340)
    with grid.cell():
        chart(
            figure(result, dark=is_dark()),
            key="lab_curve",
            title=t("lab.curve_title", document=title) if title else t("lab.curve_title_plain"),
            explanation=t("lab.curve_explanation", tokens=result.tokens, train_length=shown.train_length),
            alt=_alt(result),
            data=table(result),
        )
    if training:
        with grid.cell():
            chart(
                training_figure(result, dark=is_dark()),
                key="lab_training",
                title=t("lab.training_title"),
                explanation=t("lab.training_explanation"),
                alt=t("lab.training_alt", first=result.losses[0][1], last=result.losses[-1][1]),
                data=training_table(result),
            )
    _reach(result)


def _reach(result: TrialResult) -> None:
    """How far the gradient reaches back, before the run and after it, if the document is long enough."""
    before, after = result.reach_before, result.reach_after
    if before is None:
        return
    named = [(t("lab.line_base"), before)]
    if after is not None:
        named.append((t("lab.reach_after", step=result.done), after))
    locale = language()
    chart(
        reach_figure(named, key=result.trial.key, dark=is_dark()),
        key="lab_reach",
        title=t("lab.reach_title"),
        explanation=t("lab.reach_explanation", vanished=VANISHED, exploded=EXPLODED, grown=GROWN),
        alt=t("lab.reach_alt", numbers="; ".join(f"{name}: {verdict_in_words(one, locale)}" for name, one in named)),
        data=reach_table(named),
    )
    for name, one in named:
        st.caption(f"**{name}**: {verdict_in_words(one, locale)}")
    clipped, steps = result.clipped
    if steps and result.trial.config.clipping == "norm":
        largest = max(norm for _, norm in result.gradients)
        st.caption(t("lab.clipped", clipped=clipped, steps=steps, limit=result.trial.config.clip, largest=largest))


def finding(result: TrialResult) -> str:
    """What was gained far beyond the training length, in one sentence."""
    before, after = result.before, result.now
    assert before is not None and after is not None
    if before.excess is None or after.excess is None:
        return t("lab.finding_short", needed=tokens_needed(result.trial.train_length), tokens=result.tokens)
    had, has = before.excess.mean, after.excess.mean
    values = {"before": had, "after": has, "beyond": BEYOND * result.trial.train_length}
    if had <= MATERIAL * before.within:
        return t("lab.finding_healthy", **values)
    gone = (had - has) / had
    if gone <= 0:
        return t("lab.finding_worse", **values)
    return t("lab.finding_hardly" if gone < HARDLY else "lab.finding_gained", gone=min(1.0, gone), **values)


def within(result: TrialResult) -> str:
    """What changed within the training length, in one sentence."""
    assert result.before is not None and result.now is not None
    before, after = result.before.within, result.now.within
    return t("lab.within", before=before, after=after, change=after - before)


def _live(result: TrialResult) -> str:
    """The newest reading in one line."""
    before, now = result.before, result.now
    assert before is not None and now is not None
    if before.excess is None or now.excess is None:
        return within(result)
    return t("lab.so_far", before=before.excess.mean, now=now.excess.mean, step=result.readings[-1][0])


def _alt(result: TrialResult) -> str:
    before, now = result.before, result.now
    assert before is not None and now is not None
    step = result.readings[-1][0]
    return t("lab.curve_alt", base=before.loss[-1], step=step, now=now.loss[-1], floor=now.control[-1])


def _keep(result: TrialResult) -> None:
    """The box in which a finished run gets a name and becomes a model for every page."""
    if not labs.can_be_kept(result):
        return
    kept = labs.kept_as(result)
    if kept is not None:
        st.success(t("lab.kept", name=plain(kept)), icon=":material/check_circle:")
        return
    with st.container(border=True, key="lab-keep"):
        key = f"lab_name_{result.trial.key}"
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(
                t("lab.name"),
                labs.suggested_name(result),
                key=key,
                max_chars=80,
                help=t("lab.name_help"),
                persist_state="session",
            )
            st.button(
                t("lab.keep"),
                key="lab_keep",
                icon=":material/save:",
                type="primary",
                on_click=_kept,
                args=(result, key),
            )
        st.caption(t("lab.keep_hint"))
        error = st.session_state.pop(_NAME_ERROR, None)
        if error is not None:
            show_error(error)


def _kept(result: TrialResult, key: str) -> None:
    """Keep it before the page is drawn anew, so that the sidebar's list has the name at once."""
    try:
        labs.keep(result, st.session_state[key].strip())
    except UserError as error:
        st.session_state[_NAME_ERROR] = error


def _compared(trial: Trial) -> None:
    """Every finished run on this document side by side, and a hint if the control is missing."""
    found = labs.alike(trial)
    if not found:
        return
    rows = comparison(found, [labs.kept_as(result) or "" for result in found])
    with st.container(border=True):
        st.markdown(f"**{t('lab.compared_title')}**", help=t("lab.compared_explanation"))
        number = st.column_config.NumberColumn
        st.dataframe(
            rows,
            hide_index=True,
            column_config={
                t("lab.column_share"): number(format="percent"),
                t("lab.column_rate"): number(format="%g"),
                **{t(f"lab.column_{name}"): number(format="%+.3f") for name in ("before", "after", "low", "high")},
                t("lab.column_within"): number(format="%+.3f"),
            },
        )
        if not any(result.trial.config.interventions[0][0] == "zeros" for result in found):
            st.caption(t("lab.control_hint"))
