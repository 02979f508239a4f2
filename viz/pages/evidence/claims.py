"""The claims as a table to filter and sort, and all that is known of the one that is selected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from model.studies.evidence import EvidenceResult, Finding
from model.studies.evidence.claim import GROUPS, PAPERS
from model.studies.evidence.findings import MARKS
from model.studies.evidence.report import judged, ours, says, source, table, words
from viz.app import links
from viz.app.language import language, t

CLAIM = "ev_claim"
HEIGHT = 388
"""Pixels of the table: ten rows, so that the details are on the same screen."""


def render(result: EvidenceResult, found: Sequence[Finding]) -> None:
    """Draw the filters, the table, the details of the selected claim, and the rule of the verdicts."""
    kept = _filtered(found)
    if kept:
        _table(kept)
        _details(kept)
    else:
        st.info(t("evidence.none_left"), icon=":material/filter_alt_off:")
    with st.container(horizontal=True, vertical_alignment="center", wrap=False):
        st.caption(f"{t('evidence.rule')} {t('evidence.one_run')}", width="stretch")
        locale = language()
        st.download_button(
            "",
            data=lambda: pd.DataFrame(table(result, locale)).to_csv(index=False).encode("utf-8-sig"),
            file_name="evidence.csv",
            mime="text/csv",
            icon=":material/download:",
            help=t("evidence.download"),
            type="tertiary",
            key="evidence-csv",
            on_click="ignore",
        )


def _filtered(found: Sequence[Finding]) -> list[Finding]:
    """The findings of the chosen sources, topics and verdicts; without a choice, all."""
    papers = {paper: name for paper, name in PAPERS.items() if any(one.claim.paper == paper for one in found)}
    verdicts = {name: t(f"evidence.verdict_{name}") for name in MARKS if any(one.verdict == name for one in found)}
    groups = {name: t(f"evidence.group_{name}") for name in GROUPS}
    with st.container(horizontal=True, key="evidence-filters"):
        sources = _choices("ev_source", papers, t("evidence.filter_source"))
        topics = _choices("ev_topic", groups, t("evidence.filter_group"))
        judgements = _choices("ev_verdict", verdicts, t("evidence.filter_verdict"))
    return [
        one
        for one in found
        if one.claim.paper in (sources or papers)
        and one.claim.group in (topics or groups)
        and one.verdict in (judgements or verdicts)
    ]


def _choices(name: str, labels: dict[str, str], label: str) -> list[str]:
    return links.choices(name, labels, [], label, most=len(labels), placeholder=t("evidence.filter_all"))


def _table(kept: Sequence[Finding]) -> None:
    locale = language()
    rows = [
        {
            t("evidence.column_verdict"): f"{MARKS[one.verdict]} {judged(one, locale)}",
            t("evidence.column_claim"): words(one.claim, locale),
            t("evidence.column_ours"): ours(one, locale),
            t("evidence.column_source"): PAPERS[one.claim.paper],
        }
        for one in kept
    ]
    keys = [one.claim.key for one in kept]
    widths: dict[str, Any] = {
        t("evidence.column_verdict"): st.column_config.TextColumn(width="medium"),
        t("evidence.column_claim"): st.column_config.TextColumn(width="large"),
    }
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        placeholder="–",
        height=HEIGHT if len(rows) > 10 else "auto",
        column_config=widths,
        key="evidence_table",
        on_select=lambda: _select(keys),
        selection_mode="single-row",
        alt=t("evidence.table_alt", count=len(rows)),
    )


def _select(keys: Sequence[str]) -> None:
    rows = st.session_state["evidence_table"].selection.rows
    if rows and rows[0] < len(keys):
        st.session_state[CLAIM] = keys[rows[0]]


def _details(kept: Sequence[Finding]) -> None:
    """What the paper says, where, what is measured here, and the verdict."""
    locale = language()
    labels = {one.claim.key: f"{MARKS[one.verdict]} {words(one.claim, locale)}" for one in kept}
    with st.container(border=True, key="evidence-details"):
        key = links.choice(CLAIM, labels, t("evidence.which_claim"), help=t("evidence.which_claim_help"))
        one = next(one for one in kept if one.claim.key == key)
        where = source(one.claim, locale)
        published = says(one.claim, locale) + (f" *{where}*" if where else "")
        st.markdown(f"**{t('evidence.column_published')}**: {published}")
        st.markdown(f"**{t('evidence.column_ours')}**: {ours(one, locale)}")
        st.markdown(f"**{t('evidence.column_verdict')}**: {MARKS[one.verdict]} {judged(one, locale)}")
