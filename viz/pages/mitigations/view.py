"""Which mitigations are there, what does each do, and what was measured with it?

The tables of mitigations and initial states as a catalogue, with what stored recordings show of each, and the models
that were trained against the collapse with their effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from model.checkpoints.card import ModelCard
from model.checkpoints.catalogue import available
from model.interventions.mitigations import MITIGATIONS
from model.studies.evidence import Estimate, EvidenceResult
from viz.app.choices import number
from viz.app.language import plain, t
from viz.jobs import evidence as evidences
from viz.pages.mitigations import measured
from viz.pages.mitigations.rows import RECURRENCE, Row, initial_rows, mitigation_rows
from viz.ui.controls import open_page, page_link

MOST = 4
"""Recordings that a card lists, and models that it names, before it counts the rest."""


def render() -> None:
    """Draw the page."""
    known = measured.entries()
    cards = available()
    st.markdown(t("mitigations.intro"))
    st.markdown(_equation(RECURRENCE))
    evidence = next(iter(evidences.known_results()), None)
    tabs = st.tabs([t("mitigations.tab_untrained"), t("mitigations.tab_initial"), t("mitigations.tab_trained")])
    for tab, rows in zip(tabs, (mitigation_rows(), initial_rows()), strict=False):
        with tab:
            grid = st.grid(2, min_column_width=340)
            for row in rows:
                with grid.container(border=True, height="stretch"):
                    _card(row, cards, _measured(row, measured.of_row(row, known), measured.of_evidence(row, evidence)))
    with tabs[2]:
        _trained(evidence)


def _card(row: Row, cards: Mapping[str, ModelCard], showed: Sequence[str]) -> None:
    """What a row does, with its equation, what it fits, costs and ``showed``, and the button that tries it."""
    equation = row.equation
    with st.container(horizontal=True):
        st.markdown(f"**{t(row.title)}**", width="stretch")
        if equation and equation[1]:
            st.markdown(f"[arXiv {equation[1]}](https://arxiv.org/abs/{equation[1]})", width="content")
    st.markdown(t(row.help))
    if equation:
        st.markdown(_equation(equation[0]))
    lines = [_fits(row, cards), _computing(row), *(_strength(name) for name in row.settings if len(row.settings) == 1)]
    st.markdown("\n".join(f"- {line}" for line in [*lines, *showed] if line))
    usable = {name: card for name, card in cards.items() if row.obstacle(card) is None}
    if st.button(
        t("mitigations.try"),
        key=f"mt_try_{row.name}",
        icon=":material/play_circle:",
        help=t("mitigations.try_help"),
        disabled=st.session_state.get("model") not in usable,
        on_click=choose,
        args=(row,),
    ):
        open_page("overview")


def _equation(latex: str) -> str:
    """Markdown of an equation in a line of its own: a displayed one scrolls, and cuts its last pixel."""
    return rf"$\displaystyle {latex}$"


def choose(row: Row) -> None:
    """Set the sidebar to ``row`` and nothing else; a callback, for it runs before the sidebar is drawn."""
    st.session_state["init"] = row.initial_state
    for name, entry in MITIGATIONS.items():
        st.session_state[name] = name in row.settings
        if name in row.settings:
            value = row.settings[name]
            st.session_state[f"{name}_value"] = int(value) if entry.integer else float(value)
    st.toast(t("mitigations.tried", what=t(row.title)), icon=":material/tune:")


def _fits(row: Row, cards: Mapping[str, ModelCard]) -> str:
    """How many of the models here can be read with it, and why others cannot."""
    obstacles = {name: row.obstacle(card) for name, card in cards.items()}
    fitting = sum(why is None for why in obstacles.values())
    words = t("mitigations.fits", count=fitting, of=len(obstacles))
    for why in dict.fromkeys(why for why in obstacles.values() if why is not None):
        names = [name for name, found in obstacles.items() if found == why]
        words += " " + t(f"mitigations.not_{why}", names=plain(_listed(names)))
    return words


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST])
    return shown if len(names) <= MOST else t("mitigations.and_more", names=shown, count=len(names) - MOST)


def _computing(row: Row) -> str:
    """What it costs to compute; nothing is said of a row of a package."""
    kinds = {
        "window": "window",
        "state_norm": "state_norm",
        "reset": "reset",
        "carried": "carried",
        "zeros": "",
        "pair": "nothing",
    }
    if row.equation is None:
        return ""
    kind = kinds.get(row.name, "statistics" if row.initial_state != "zeros" else "nothing")
    return t(f"mitigations.computing_{kind}") if kind else ""


def _strength(name: str) -> str:
    row = MITIGATIONS[name]
    low, high, suggested = (number(name, value) for value in (row.low, row.high, row.suggested))
    return t("mitigations.strength", low=low, high=high, suggested=suggested)


def _measured(row: Row, found: Sequence[measured.Measured], evidence: tuple[Estimate, Estimate] | None) -> list[str]:
    """What the evidence and stored recordings show, one line each."""
    if row.initial_state == "zeros" and not row.settings:
        return [t("mitigations.is_plain")]
    if not found and evidence is None:
        return [t("mitigations.not_measured")]
    lines = []
    if evidence is not None:
        gone, more = _share(evidence[0]), _share(evidence[1], signed=True)
        lines.append(t("mitigations.evidence", removed=gone, cost=more))
    for one in found[:MOST]:
        gone = (
            t("mitigations.no_excess") if one.removed is None else t("mitigations.removed", share=_rounded(one.removed))
        )
        more = t("mitigations.cost_unknown") if one.cost is None else t("mitigations.cost", share=_rounded(one.cost))
        strength = ", ".join(number(name, value) for name, value in one.settings)
        where = " · ".join(part for part in (plain(one.title), plain(one.model), strength) if part)
        lines.append(t("mitigations.measured", where=where, removed=gone, cost=more))
    if len(found) > MOST:
        lines.append(t("mitigations.more_recordings", count=len(found) - MOST))
    return lines


def _rounded(share: float) -> float:
    """A share to a tenth of a percent, without a minus zero."""
    return round(share, 3) + 0.0


def _trained(evidence: EvidenceResult | None) -> None:
    """The models that were trained against the collapse, each with its effect and the command."""
    st.markdown(t("mitigations.trained_intro"))
    found = measured.trained(evidence)
    if not found:
        st.info(t("mitigations.no_trained"), icon=":material/deployed_code:")
    grid = st.grid(2, min_column_width=340)
    for one in found:
        with grid.container(border=True, height="stretch"):
            st.markdown(f"**{t(f'interventions.{one.role}_title')}** · {plain(one.name)}")
            st.markdown(t(f"interventions.{one.role}_help"))
            lines = [
                t("mitigations.left", base=plain(one.base), value=_share(one.left)) if one.left else "",
                t("mitigations.trained_cost", value=_share(one.cost, signed=True)) if one.cost else "",
            ]
            st.markdown(
                "\n".join(f"- {line}" for line in lines if line) or f"- {t('mitigations.trained_not_measured')}"
            )
            if one.command:
                st.code(one.command, language=None, wrap_lines=True)
            if st.button(
                t("mitigations.use_model"),
                key=f"mt_model_{one.name}",
                icon=":material/play_circle:",
                help=t("mitigations.use_model_help"),
                on_click=_use,
                args=(one.name,),
            ):
                open_page("overview")
    page_link("lab", t("mitigations.to_lab"))


def _use(model: str) -> None:
    """Choose ``model`` in the sidebar, without mitigation; a callback."""
    st.session_state["model"] = model
    st.session_state["init"] = "zeros"
    for name in MITIGATIONS:
        st.session_state[name] = False
    st.toast(t("mitigations.tried", what=plain(model)), icon=":material/tune:")


def _share(estimate: Estimate, *, signed: bool = False) -> str:
    """A share with its 95% interval and the documents that it rests on."""
    form = "{:+.1%}" if signed else "{:.1%}"
    mean, low, high = (form.format(_rounded(value)) for value in (estimate.mean, estimate.low, estimate.high))
    return t("evidence.over_documents", mean=mean, low=low, high=high, count=estimate.count)
