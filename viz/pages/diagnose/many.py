"""Many documents: what holds for most of them, those that need attention first, and each one a click away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from model.studies.diagnose import Diagnosis, StrategyResult
from model.studies.diagnose.recommend import holds
from viz.app.language import plain, t
from viz.app.theme import is_dark
from viz.pages.diagnose import one
from viz.pages.diagnose.figures import multiples
from viz.pages.diagnose.job import Question
from viz.pages.diagnose.tables import UNKNOWN, downloads, name_of, share, whole
from viz.ui.chart import chart

PANELS, BARS = 12, 8
"""Documents and strategies in the small charts."""


def render(found: Mapping[str, Diagnosis], titles: Mapping[str, str], question: Question, active: bool) -> None:
    """Draw the diagnoses ``found``, by the keys of their documents."""
    usual = usual_strategy(list(found.values()))
    ordered = sorted(found, key=lambda key: attention(found[key], usual), reverse=True)
    _heading(list(found.values()), usual)
    chosen = _table({key: found[key] for key in ordered}, titles, usual, active)
    _small(
        [found[key] for key in ordered if found[key].complete][:PANELS],
        [titles[key] for key in ordered if found[key].complete][:PANELS],
    )
    _matrix([found[key] for key in ordered], [titles[key] for key in ordered])
    downloads([found[key] for key in ordered], "diagnoses")
    if chosen is not None:
        st.divider()
        one.render(found[chosen], titles[chosen], question, active)


def usual_strategy(found: Sequence[Diagnosis]) -> str | None:
    """The strategy that suits most documents whose memory is changed, of several the one that gains most."""
    suits: Counter[str] = Counter()
    for diagnosis in found:
        best = diagnosis.best
        if best is not None and not best.plain:
            suits.update(result.text for result in diagnosis.strategies if suitable(result, diagnosis))
    if not suits:
        return None
    most = max(suits.values())
    gains = {text: _mean_gain(found, text) for text, count in suits.items() if count == most}
    return max(gains, key=gains.__getitem__)


def suitable(result: StrategyResult, found: Diagnosis) -> bool:
    """Whether a strategy is recommended, or helps and is as good as the best, or leaves no excess that matters."""
    good = result.tie or result.behind is None or holds(result)
    return result.recording == found.recommended or (result.helps and good)


def _mean_gain(found: Sequence[Diagnosis], text: str) -> float:
    gains = [result.gain.mean for one in found for result in one.strategies if result.text == text and result.gain]
    return float(np.mean(gains)) if gains else 0.0


def attention(found: Diagnosis, usual: str | None) -> tuple[int, float]:
    """How much a document needs a look: nothing helps, some remains, it needs another strategy; then its excess."""
    excess = 0.0 if found.plain is None or found.plain.excess is None else found.plain.excess.mean
    return ("", "partly", "nothing").index(remark(found)) * 2 + int(unusual(found, usual)), excess


def remark(found: Diagnosis) -> str:
    """What is wrong with a document: "nothing" helps, the recommendation helps "partly", or ""."""
    if found.case == "too_short" or found.plain is None:
        return ""
    if found.best is None:
        return "nothing"
    return "" if found.best.plain or holds(found.best) else "partly"


def unusual(found: Diagnosis, usual: str | None) -> bool:
    """Whether what suits most documents does not suit this one, whose memory is changed."""
    best = found.best
    if usual is None or best is None or best.plain:
        return False
    return not any(result.text == usual and suitable(result, found) for result in found.strategies)


def _heading(found: Sequence[Diagnosis], usual: str | None) -> None:
    bad = [diagnosis for diagnosis in found if diagnosis.case.startswith(("collapses", "costs", "broken"))]
    with st.container(border=True, key="diagnoses"):
        st.header(t("diagnose.many_heading", count=len(found), bad=len(bad)), anchor=False)
        if usual is None:
            st.markdown(t("diagnose.many_no_usual"))
            return
        rows = [result for diagnosis in found for result in diagnosis.strategies if result.text == usual]
        values = [result.removed.mean for result in rows if result.removed is not None]
        changed = [diagnosis for diagnosis in found if diagnosis.best is not None and not diagnosis.best.plain]
        suits = sum(not unusual(diagnosis, usual) for diagnosis in changed)
        numbers = {"strategy": plain(name_of(rows[0])), "suits": suits, "of": len(changed)}
        if values:
            st.markdown(t("diagnose.many_usual", least=min(values), mean=float(np.mean(values)), **numbers))


def _table(found: Mapping[str, Diagnosis], titles: Mapping[str, str], usual: str | None, active: bool) -> str | None:
    """A row for every document; returns the key of the one that was chosen."""
    rows = [_row(diagnosis, titles[key], usual) for key, diagnosis in found.items()]
    labels = {name: t(f"diagnose.document_{name}") for name in rows[0]}
    formats = {"excess": "%+.2f", "removed": "percent", "cost": "percent", "onset": "%,d", "tokens": "%,d"}
    event = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        placeholder="–",
        column_config={
            name: st.column_config.NumberColumn(label, format=formats[name]) if name in formats else label
            for name, label in labels.items()
        },
        key="diagnose-documents",
        on_select="rerun",
        selection_mode="single-row",
        alt=t("diagnose.documents_alt", count=len(rows)),
    )
    st.caption(t("diagnose.documents_note"))
    rows_chosen = event.selection.rows
    keys = list(found)
    return keys[rows_chosen[0]] if rows_chosen and rows_chosen[0] < len(keys) else None


def _row(found: Diagnosis, title: str, usual: str | None) -> dict[str, object]:
    best, plain_one = found.best, found.plain
    notes = [t(f"diagnose.remark_{remark(found)}")] if remark(found) else []
    notes += [t("diagnose.remark_unusual")] if unusual(found, usual) else []
    notes += [] if found.complete else [t("diagnose.remark_partly_read")]
    removed = None if best is None else best.removed
    return {
        "attention": " · ".join(notes),
        "document": title,
        "verdict": t(f"diagnose.case_{case_of(found)}"),
        "recommended": t("diagnose.none") if best is None else name_of(best),
        "removed": None if removed is None or best is None or best.plain else removed.mean,
        "interval": UNKNOWN if removed is None or best is None or best.plain else share(removed.low, removed.high),
        "cost": None if best is None or best.cost is None else best.cost.mean,
        "excess": None if plain_one is None or plain_one.excess is None else plain_one.excess.mean,
        "onset": None if plain_one is None or plain_one.onset is None else plain_one.onset + 1,
        "tokens": found.tokens,
        "sure": t(f"diagnose.level_{found.confidence.level}"),
    }


CASES = ("holds", "costs", "collapses", "unclear", "too_short", "broken")


def case_of(found: Diagnosis) -> str:
    """The verdict without its details; "not_yet" before there is one."""
    return next((case for case in CASES if found.case.startswith(case)), "not_yet")


def _small(found: Sequence[Diagnosis], titles: Sequence[str]) -> None:
    """Small charts, one a document, of the strategies that gain most over all of them."""
    found_titles = [
        (one, title)
        for one, title in zip(found, titles, strict=True)
        if any(result.removed is not None and not result.plain for result in one.strategies)
    ]
    if len(found_titles) < 2:
        return
    shown = [diagnosis for diagnosis, _ in found_titles]
    texts: dict[str, str] = {}
    for diagnosis in shown:
        texts |= {result.text: name_of(result) for result in diagnosis.strategies if not result.plain}
    most = sorted(texts, key=lambda text: _mean_gain(shown, text), reverse=True)[:BARS]
    names = {text: texts[text] for text in most}
    chart(
        multiples(shown, [title for _, title in found_titles], names, dark=is_dark()),
        key="diagnose_multiples",
        title=t("diagnose.multiples_title"),
        explanation=t("diagnose.multiples_explanation"),
        alt=t("diagnose.multiples_alt", count=len(shown), strategies=", ".join(names.values())),
        data=whole(shown),
    )


def _matrix(found: Sequence[Diagnosis], titles: Sequence[str]) -> None:
    """Documents by strategies: the share of the excess that each removes."""
    table = pd.DataFrame(
        {
            title: {
                name_of(result): result.removed.mean
                for result in diagnosis.strategies
                if result.removed is not None and not result.plain
            }
            for title, diagnosis in zip(titles, found, strict=True)
        }
    ).T
    if table.empty:
        return
    with st.expander(t("diagnose.matrix_title"), icon=":material/grid_on:"):
        st.dataframe(
            table,
            column_config={name: st.column_config.NumberColumn(name, format="percent") for name in table.columns},
            alt=t("diagnose.matrix_title"),
        )
