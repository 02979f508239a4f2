"""One document: the verdict, the recommendation and its price, all strategies, what to do next, how sure that is."""

from __future__ import annotations

from typing import Any

import streamlit as st

from model.studies.diagnose import Diagnosis, StrategyResult
from model.studies.diagnose.strategies import question_key
from viz.app import session
from viz.app.language import language, plain, t
from viz.app.theme import is_dark
from viz.jobs import report
from viz.pages.diagnose.figures import figure, has_shares
from viz.pages.diagnose.job import Question, file_in_libraries
from viz.pages.diagnose.tables import UNKNOWN, columns, downloads, name_of, names_of, share, spoken, strategies
from viz.ui.chart import chart
from viz.ui.fold import fold

LOOKS = {  # how a verdict starts: colour and icon
    "holds": ("green", ":material/check_circle:"),
    "costs": ("orange", ":material/warning:"),
    "collapses": ("orange", ":material/warning:"),
    "broken": ("orange", ":material/error:"),
    "": ("gray", ":material/info:"),
}
STEPS = {  # how the key of a step ends, and its icon
    "use": ":material/check_circle:",
    "mitigate": ":material/healing:",
    "weights": ":material/model_training:",
    "do_not": ":material/block:",
    "recall": ":material/key:",
    "split": ":material/content_cut:",
    "post_train": ":material/model_training:",
    "longer": ":material/straighten:",
}


def render(found: Diagnosis, title: str, question: Question, active: bool) -> None:
    """Draw the diagnosis of the document called ``title``; ``active`` while strategies still come in."""
    _heading(found, title)
    if not active:
        _what_is_missing(found, question)
    _key_figures(found)
    _next(found)
    file = None if active else file_in_libraries(found)
    if file is not None:
        report.render([file], [library.folder for library in session.libraries()])
    _chart(found)
    _table(found, active)


def _heading(found: Diagnosis, title: str) -> None:
    colour, icon = next(looks for start, looks in LOOKS.items() if found.case.startswith(start))
    with st.container(border=True, key="diagnosis"):
        st.header(f":{colour}[{icon}] {found.verdict.words(language())}", anchor=False)
        decision = t("diagnose.decision" if found.complete else "diagnose.decision_so_far")
        st.markdown(f"**{decision}** {words(found, 0)}")
        st.caption(
            t(
                "diagnose.read",
                document=plain(title),
                model=plain(found.model),
                tokens=found.tokens,
                times=found.tokens / found.train_length,
                done=len(found.strategies),
                planned=found.planned,
            )
        )


def words(found: Diagnosis, step: int) -> str:
    """A step of what to do, in the session's language (Markdown)."""
    if step >= len(found.steps):
        return t("diagnose.undecided")
    best, other, said = found.best, found.of(found.alternative), found.steps[step]
    names = {"strategy": "" if best is None else name_of(best), "other": "" if other is None else name_of(other)}
    text = said.words(language(), **names)
    command = str(said.values.get("command", ""))
    return plain(text) if not command else plain(text.replace(command, "").rstrip()) + f" `{command}`"


def _what_is_missing(found: Diagnosis, question: Question) -> None:
    if not found.complete:
        st.caption(t("diagnose.partly", done=len(found.strategies), planned=found.planned))
    elif question_key(found.document, question.wanted, question.options) != found.key:
        st.caption(t("diagnose.other_question"))
    if any(session.find(result.recording) is None for result in found.strategies):
        st.caption(t("diagnose.stored"))


def _card(name: str, value: str, note: str, *, long: bool = False) -> None:
    """A figure with its reference points; one that is ``long`` is smaller, and has several lines."""
    with st.container(border=True, gap="xxsmall", height="stretch"):
        if long:
            st.markdown(f":small[{t(f'diagnose.{name}')}]", help=t(f"diagnose.{name}_help"))
            st.subheader(plain(value), anchor=False)
        else:
            st.metric(t(f"diagnose.{name}"), value, help=t(f"diagnose.{name}_help"))
        st.caption(note)


def _key_figures(found: Diagnosis) -> None:
    best, plain_one = found.best, found.plain
    with st.grid(4, min_column_width=160):
        if best is None:
            _card("recommended", t("diagnose.none"), t("diagnose.none_note", count=len(found.strategies)), long=True)
        else:
            note = t("diagnose.ties_note", count=len(found.ties), of=len(found.strategies))
            _card("recommended", name_of(best), note, long=True)
        _card("removed", *_removed(found, best))
        _card("cost", *_cost(best, plain_one))
        _card("recall", *_recall(found, best, plain_one))


def _removed(found: Diagnosis, best: StrategyResult | None) -> tuple[str, str]:
    if best is not None and best.removed is not None and not best.plain:
        low, high = best.removed.low, best.removed.high
        return spoken(best.removed.mean, low, high), t("diagnose.removed_note", interval=share(low, high))
    excess = None if found.plain is None else found.plain.excess
    if excess is None:
        return UNKNOWN, t("diagnose.not_known")
    return UNKNOWN, t("diagnose.removed_none_note", excess=f"{excess.mean:+.2f}")


def _cost(best: StrategyResult | None, plain_one: StrategyResult | None) -> tuple[str, str]:
    if best is None or plain_one is None or best.cost is None or best.loss_within is None:
        return UNKNOWN, t("diagnose.not_known")
    if best.plain or plain_one.loss_within is None:
        return "0%", t("diagnose.cost_none_note")
    note = t("diagnose.cost_note", before=f"{plain_one.loss_within:.2f}", after=f"{best.loss_within:.2f}")
    return _signed(best.cost.mean), note


def _signed(value: float) -> str:
    words = f"{value:+.1%}"
    return words if words.strip("+-0.%") else "±0%"


def _recall(found: Diagnosis, best: StrategyResult | None, plain_one: StrategyResult | None) -> tuple[str, str]:
    shown = best or plain_one
    if found.recallable is False:
        return UNKNOWN, t("diagnose.recall_unable")
    if shown is None or shown.recall is None:
        return UNKNOWN, t("diagnose.recall_untested")
    interval = share(*shown.recall.interval)
    if plain_one is None or plain_one.recall is None or shown is plain_one:
        return f"{shown.recall.accuracy:.0%}", t(
            "diagnose.recall_plain_note", interval=interval, length=shown.recall.length
        )
    note = t(
        "diagnose.recall_note",
        interval=interval,
        length=shown.recall.length,
        before=f"{plain_one.recall.accuracy:.0%}",
    )
    return f"{shown.recall.accuracy:.0%}", note


def _next(found: Diagnosis) -> None:
    """What to do, and how sure that is, side by side."""
    if not found.steps:
        return
    with st.grid(2, min_column_width=320):
        with st.container(border=True, height="stretch"):
            st.markdown(f"**{t('diagnose.next_title')}**")
            for place, step in enumerate(found.steps):
                name = step.key.rpartition("step_")[2]
                icon = next(icon for start, icon in STEPS.items() if name.startswith(start))
                st.markdown(f"{icon} {words(found, place)}")
            best = found.best
            if best is not None and not best.plain:
                st.code(command_of(best), language=None, wrap_lines=True)
        with st.container(border=True, height="stretch"):
            level = t(f"diagnose.level_{found.confidence.level}")
            st.markdown(f"**{t('diagnose.sure_title', level=level)}**", help=t("diagnose.sure_help"))
            for reason in found.confidence.reasons:
                st.markdown(f":material/chevron_right: {plain(reason.words(language()))}")


def command_of(result: StrategyResult) -> str:
    """The command that reads a document with the strategy of ``result``."""
    from_start = "" if result.strategy.initial_state == "zeros" else f" --initial-state {result.strategy.initial_state}"
    settings = "".join(f" --mitigate {name}={value:g}" for name, value in result.strategy.mitigations)
    return f"memory-explorer read FILE --model {result.model}{from_start}{settings}"


def _chart(found: Diagnosis) -> None:
    measured = [result for result in found.strategies if result.excess is not None]
    if len(measured) < 2:
        return
    names = names_of(found)
    shares = has_shares(found)
    best = found.best
    alt = t("diagnose.chart_alt", count=len(measured), best=t("diagnose.none") if best is None else name_of(best))
    chart(
        figure(found, names, dark=is_dark()),
        key="diagnose_strategies",
        title=t("diagnose.chart_removed" if shares else "diagnose.chart_excess"),
        explanation=t("diagnose.chart_explanation"),
        alt=alt,
    )


def _table(found: Diagnosis, active: bool) -> None:
    with fold(t("diagnose.table_title"), key="dg_table", icon=":material/table:") as opened:
        if opened:
            _rows(found, active)


def _rows(found: Diagnosis, active: bool) -> None:
    st.caption(t("diagnose.table_help"))
    options: dict[str, Any] = {} if active else {"on_select": "rerun", "selection_mode": "single-row"}
    event = st.dataframe(
        strategies(found).dropna(axis="columns", how="all"),
        hide_index=True,
        placeholder=UNKNOWN,
        column_config=columns(),
        key=f"diagnose-table-{found.key}",
        alt=t("diagnose.table_alt", count=len(found.strategies)),
        **options,
    )
    rows = [] if active else event.selection.rows
    if rows and rows[0] < len(found.strategies):
        _open(found, found.strategies[rows[0]])
    downloads([found], f"diagnosis-{found.key}")


def _open(found: Diagnosis, result: StrategyResult) -> None:
    """Buttons that show the reading of a row on other pages."""
    here = session.find(result.recording) is not None
    plain_one = found.plain
    with st.container(horizontal=True):
        if st.button(
            t("diagnose.show", name=name_of(result)), icon=":material/visibility:", key="dg_open", disabled=not here
        ):
            session.select(result.recording)
            st.switch_page("viz/pages/overview/page.py")
        comparable = here and plain_one is not None and not result.plain and not result.post_trained
        if st.button(
            t("diagnose.compare"), icon=":material/compare_arrows:", key="dg_compare", disabled=not comparable
        ):
            assert plain_one is not None
            st.session_state["compare_baseline"] = plain_one.recording
            st.session_state["compare_others"] = [result.recording]
            st.switch_page("viz/pages/compare/page.py")
