"""Do the models of this program show what papers report about long memories, in direction and in size?

A table puts each published effect beside our number with its interval and a verdict by one rule; four charts show the
numbers (see :mod:`model.studies.evidence`).
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from model.checkpoints.catalogue import DEFAULT, model_card
from model.errors import UserError
from model.studies.evidence import EvidenceResult, EvidenceTask, Finding, findings, members
from model.studies.evidence.family import TOKENS
from model.studies.evidence.findings import AGREES, DISAGREES, MARKS, MISSING, UNCLEAR
from model.studies.evidence.report import words
from viz.app import links
from viz.app.language import language, plain, show_error, t
from viz.app.theme import is_dark
from viz.jobs import evidence as evidences
from viz.jobs.evidence import MEASUREMENT
from viz.pages.evidence import claims, extension, figures
from viz.ui.chart import chart

LIVE = 3.0
"""Seconds between two drawings of a table that is being filled."""
LENGTHS = (4096, 8192, 16_384, 32_768)
"""Tokens of a document that can be chosen."""
CHARTS = ("remaining", "extension", "mitigations", "states", "capacity")
MANY = 5
"""Documents that a reliable interval needs."""


def render() -> None:
    """Draw the page."""
    MEASUREMENT.collect()
    active = MEASUREMENT.active
    known = evidences.known_results()
    task = None
    if evidences.installed():
        with st.expander(t("evidence.settings"), icon=":material/tune:", expanded=not known):
            documents, tokens = _controls()
            task = evidences.task_of(documents, tokens)
            _run(task, documents, evidences.result_of(task, known), active)
    else:
        st.info(t("evidence.no_base", name=DEFAULT), icon=":material/deployed_code_alert:")
    MEASUREMENT.show_progress(t("evidence.running"))
    shown = MEASUREMENT.asked if active else _to_show(task, known)
    live = st.fragment(_results, run_every=LIVE if active else None)
    live(shown, task, active)


def _to_show(task: EvidenceTask | None, known: Sequence[EvidenceResult]) -> EvidenceTask | None:
    """``task`` if anything of it was measured, else what was measured last."""
    if task is not None and evidences.result_of(task, known) is not None:
        return task
    return known[0].task if known else None


def _controls() -> tuple[list[tuple[str, str]], int]:
    """The documents, as names and texts, and the tokens that are read of each."""
    with st.container(horizontal=True, key="evidence-settings"):
        own = evidences.own_documents()
        labels = {"samples": t("evidence.documents_samples")} | ({"own": t("evidence.documents_own")} if own else {})
        which = links.choice(
            "ev_documents", labels, t("evidence.which_documents"), help=t("evidence.which_documents_help")
        )
        tokens = st.select_slider(
            t("evidence.which_tokens"),
            LENGTHS,
            value=TOKENS,
            key="ev_tokens",
            bind="query-params",
            help=t("evidence.which_tokens_help"),
        )
    return (own if which == "own" else evidences.sample_documents()), tokens


def _run(task: EvidenceTask, documents: Sequence[tuple[str, str]], before: EvidenceResult | None, active: bool) -> None:
    """The button, and beside it what pressing it costs."""
    done = before is not None and before.complete and evidences.is_whole(before)
    begun = before is not None and not before.complete
    with st.container(horizontal=True, vertical_alignment="center"):
        clicked = st.button(
            t(f"evidence.{'run_done' if done else 'run_more' if begun else 'run'}"),
            key="ev_run",
            type="primary",
            icon=":material/check:" if done else ":material/play_arrow:",
            disabled=active or done,
        )
        st.caption(t("evidence.estimate", models=len(members(DEFAULT)), documents=len(task.documents)))
    if len(task.documents) < MANY:
        st.caption(t("evidence.only_few"))
    if clicked:
        try:
            task.check(model_card(DEFAULT).train_length)
            evidences.start(documents, task, before)
        except UserError as error:
            show_error(error)
        else:
            st.rerun()
    MEASUREMENT.show_failure()


def _results(shown: EvidenceTask | None, task: EvidenceTask | None, active: bool) -> None:
    """What is known of ``shown``; while it is measured, this is drawn anew every other second."""
    result = evidences.result_of(shown, evidences.known_results()) if shown is not None else None
    if result is None:
        if not active:
            st.info(t("evidence.nothing_yet"), icon=":material/balance:")
        return
    if task is not None and shown != task and not active:
        st.caption(t("evidence.shown_other"))
    found = findings(result)
    with st.container(border=True, key="evidence-finding"):
        st.header(summary(found), anchor=False)
        disagreeing = [words(finding.claim, language()) for finding in found if finding.verdict == DISAGREES]
        if disagreeing:
            st.markdown(f"{MARKS[DISAGREES]} {t('evidence.summary_disagrees', claims='; '.join(disagreeing))}")
        missing = sum(finding.verdict == MISSING for finding in found)
        if missing:
            st.markdown(t("evidence.summary_missing", count=missing))
    how = t("evidence.shown_here" if evidences.is_own(result) else "evidence.shown_stored")
    st.caption(
        t(
            "evidence.shown",
            how=how,
            documents=len(result.task.documents),
            tokens=result.task.tokens,
            models=plain(", ".join(member.name for member in result.members)),
        )
    )
    if not active and not result.complete:
        st.caption(t("evidence.shown_partly"))
    elif not active and not evidences.is_current(result):
        st.warning(t("evidence.shown_other_weights"), icon=":material/sync_problem:")
    claims.render(result, found)
    _charts(result, found)


def summary(found: Sequence[Finding]) -> str:
    """How many claims agree, in one sentence."""
    counts = {verdict: sum(finding.verdict == verdict for finding in found) for verdict in MARKS}
    return t(
        "evidence.summary",
        count=counts[AGREES] + counts[DISAGREES] + counts[UNCLEAR],
        agrees=counts[AGREES],
        disagrees=counts[DISAGREES],
        unclear=counts[UNCLEAR],
    )


def _charts(result: EvidenceResult, found: Sequence[Finding]) -> None:
    """The five figures, one behind the other, each if it has data."""
    dark = is_dark()
    tabs = dict(zip(CHARTS, st.tabs([t(f"evidence.tab_{name}") for name in CHARTS]), strict=True))
    trained, mitigations = figures.trained_rows(found), figures.mitigation_rows(found)
    curves = figures.state_curves(result)
    if trained:
        named = [(title, finding.estimate) for title, finding in trained if finding.estimate is not None]
        with tabs["remaining"]:
            chart(
                figures.remaining_figure(found, dark=dark),
                key="evidence_remaining",
                title=t("evidence.remaining_title"),
                explanation=t("evidence.remaining_explanation"),
                alt=t(
                    "evidence.remaining_alt", numbers=", ".join(f"{title} {value.mean:.0%}" for title, value in named)
                ),
                data=figures.estimates_table([(title, "excess_left", value) for title, value in named]),
            )
    if mitigations:
        numbers = ", ".join(f"{title} {gone.mean:.0%} / {cost.mean:+.1%}" for title, gone, cost in mitigations)
        rows = [(title, "excess_removed", gone) for title, gone, _ in mitigations]
        with tabs["mitigations"]:
            chart(
                figures.mitigations_figure(found, dark=dark),
                key="evidence_mitigations",
                title=t("evidence.mitigations_title"),
                explanation=t("evidence.mitigations_explanation"),
                alt=t("evidence.mitigations_alt", numbers=numbers),
                data=figures.estimates_table(
                    [*rows, *((title, "cost_within", cost) for title, _, cost in mitigations)]
                ),
            )
    if curves:
        ends = ", ".join(f"{name} {curve[-1][1].mean:.2f}" for name, curve in curves)
        points = [(name, f"norm_at_{spot:g}T", value) for name, curve in curves for spot, value in curve]
        with tabs["states"]:
            chart(
                figures.states_figure(result, dark=dark),
                key="evidence_states",
                title=t("evidence.states_title"),
                explanation=t("evidence.states_explanation"),
                alt=t("evidence.states_alt", numbers=ends),
                data=figures.estimates_table(points),
            )
    with tabs["extension"]:
        extension.render(result)
    with tabs["capacity"]:
        _capacity(result, dark)


def _capacity(result: EvidenceResult, dark: bool) -> None:
    """The capacity series: the figure and the table if there are two models."""
    models = figures.capacity_members(result)
    if len(models) < 2:
        st.info(t("evidence.capacity_few", count=len(models)), icon=":material/straighten:")
        return
    rows = figures.capacity_table(result)
    numbers = []
    for place, member in enumerate(models):
        ratio, recall = (
            rows[t("evidence.capacity_column_ratio")][place],
            rows[t("evidence.capacity_column_recall")][place],
        )
        numbers.append(
            t(
                "evidence.capacity_one",
                name=member.name,
                state=member.state_size,
                length=member.train_length,
                ratio=ratio,
                recall=recall,
            )
        )
    chart(
        figures.capacity_figure(result, dark=dark),
        key="evidence_capacity",
        title=t("evidence.capacity_title"),
        explanation=t("evidence.capacity_explanation"),
        alt=t("evidence.capacity_alt", numbers="; ".join(numbers)),
        data=rows,
    )
    st.markdown(f"**{t('evidence.capacity_table')}**")
    st.dataframe(rows, hide_index=True)
