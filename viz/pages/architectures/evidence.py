"""What was measured of one checkpoint, by question: what a cell of the matrix opens, or all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from model.checkpoints.catalogue import available
from model.studies.architectures import Architecture
from model.studies.architectures.report import crossing_words, crossings, head, row, written
from model.studies.evidence.result import SPOTS
from viz.app.language import language, plain, t
from viz.pages.architectures import figures
from viz.ui.chart import chart
from viz.ui.controls import open_page

QUESTIONS = {
    "trained": "training",
    "within": "reading",
    "excess": "reading",
    "onset": "reading",
    "recall": "passkey",
    "context": "context",
    "state": "memory",
    "grows": "memory",
    "norm": "norm",
    "gradient": "gradient",
    "speed": "cost",
    "step": "cost",
}
"""The evidence that a column of the matrix opens."""
ALL = "all"


def evidence(one: Architecture, question: str, results: Sequence[Architecture], *, dark: bool) -> None:
    """Draw what answers ``question`` of ``one``, or why nothing does; for :data:`ALL`, everything that was measured."""
    parts: dict[str, Callable[[], bool]] = {
        "reading": lambda: _reading(one, dark),
        "passkey": lambda: _passkey(one, dark),
        "context": lambda: _context(one, dark),
        "memory": lambda: _memory(one, dark),
        "norm": lambda: _norm(one, dark),
        "gradient": lambda: _gradient(one, dark),
        "cost": lambda: cost(results, [], one.name, key="architectures_own_cost", dark=dark),
        "training": lambda: _training(one),
    }
    if question != ALL:
        _answer(one, question)
        if not parts[question]():
            _nothing(one, question)
        return
    grid = st.grid(2, min_column_width=340)
    for name, known in _known(one).items():
        if known:
            with grid.cell():
                parts[name]()
    _training(one)


def _known(one: Architecture) -> dict[str, object]:
    """What there is of ``one``, by question: true where something can be drawn."""
    return {
        "reading": one.readings,
        "passkey": one.passkeys,
        "context": one.context,
        "memory": one.state,
        "norm": _norms(one),
        "gradient": one.gradients,
    }


def _answer(one: Architecture, question: str) -> None:
    """The values of the matrix that are questions of this kind, in words."""
    values = [name for name, part in QUESTIONS.items() if part == question and row(one)[name] is not None]
    said = [f"{head(name, language())}: **{plain(written(one, name, language()))}**" for name in values]
    st.markdown(" · ".join([f"**{plain(one.name)}**", *said]))


def _nothing(one: Architecture, question: str) -> None:
    """Why nothing is drawn: the question does not apply, or was not measured yet."""
    if question == "norm" and one.readings and not any(reading.norms for reading in one.readings.values()):
        st.info(t("architectures.no_norm"), icon=":material/info:")
    elif question == "cost":
        st.info(t("architectures.no_speed"), icon=":material/timer:")
    else:
        st.info(t("architectures.unmeasured", name=plain(one.name)), icon=":material/info:")


def _reading(one: Architecture, dark: bool) -> bool:
    if not one.readings:
        return False
    names = {sha: name for name, sha in one.documents}
    chart(
        figures.reading_figure(one, dark=dark),
        key="architectures_reading",
        title=t("architectures.reading_title"),
        explanation=t("architectures.reading_explanation"),
        alt=_said(one, "excess"),
        data=pd.concat(
            pd.DataFrame({"document": names[sha], "token": it.positions, "loss": it.loss, "fresh_state": it.fresh})
            for sha, it in one.readings.items()
        ),
    )
    return True


def _passkey(one: Architecture, dark: bool) -> bool:
    if not one.passkeys:
        return False
    shares = {at: right / of for at, (right, of) in one.passkeys.items()}
    alt = ", ".join(f"{at}: {right}/{of}" for at, (right, of) in one.passkeys.items())
    _line(one, "passkey", shares, "share", alt, dark)
    rows = [(t("architectures.passkey_x"), t("architectures.passkey_right")), ("---:", "---:")]
    rows += [(f"{at:,}", f"{right}/{of}") for at, (right, of) in one.passkeys.items()]
    st.markdown("\n".join(f"| {' | '.join(cells)} |" for cells in rows))
    return True


def _context(one: Architecture, dark: bool) -> bool:
    if not one.context:
        return False
    moved = dict(zip(one.context.kept, one.context.moved, strict=True))
    _line(one, "context", moved, "share", _said(one, "context"), dark)
    return True


def _memory(one: Architecture, dark: bool) -> bool:
    if not one.state:
        return False
    _line(one, "memory", {tokens: size / 1000 for tokens, size in one.state}, "log", _said(one, "state"), dark)
    return True


def _norms(one: Architecture) -> dict[float, float]:
    """The mean state norm of all documents by tokens read, where it is known."""
    readings = list((one.readings or {}).values())
    found: dict[float, float] = {}
    for place, spot in enumerate(SPOTS):
        known = [norm for reading in readings if reading.norms and (norm := reading.norms[place]) is not None]
        if known:
            found[spot * one.train_length] = sum(known) / len(known)
    return found


def _norm(one: Architecture, dark: bool) -> bool:
    norms = _norms(one)
    if norms:
        _line(one, "norm", norms, "log", _said(one, "norm"), dark)
    return bool(norms)


def _gradient(one: Architecture, dark: bool) -> bool:
    if not one.gradients:
        return False
    norms = dict(zip(one.gradients.lags, one.gradients.norms, strict=True))
    _line(one, "gradient", norms, "log", written(one, "gradient", language()), dark)
    return True


def cost(results: Sequence[Architecture], chosen: Sequence[str], picked: str, *, key: str, dark: bool) -> bool:
    """Cost against length of ``results`` that were timed on one machine, with the crossings of ``picked``."""
    timed = [one for one in results if one.speed]
    own = next((one.speed.machine for one in timed if one.speed and one.name == picked), None)
    machines = [one.speed.machine for one in timed if one.speed]
    machine = own or max(machines, key=machines.count, default=None)
    if machine is None or (not chosen and own is None):
        return False
    timed = [one for one in timed if one.speed and one.speed.machine == machine]
    crossed = [one for one in crossings(timed) if picked in (one.first, one.second)]
    explanation = t("architectures.cost_explanation", machine=machine)
    words = [crossing_words(one, language()) for one in crossed]
    chart(
        figures.cost_figure(timed, chosen, picked, crossed, dark=dark),
        key=key,
        title=t("architectures.cost_title"),
        explanation=explanation,
        alt="; ".join(words) or explanation,
        data=pd.DataFrame(
            [
                {"model": one.name, "tokens": point.length, "seconds": point.seconds}
                for one in timed
                if one.speed
                for point in one.speed.points
            ]
        ),
    )
    if words:
        st.markdown("\n".join(f"- {plain(said)}" for said in words))
    return True


def _training(one: Architecture) -> bool:
    """How it was trained and what it is made of, with the way to its card."""
    st.caption(
        t(
            "architectures.made",
            trained=written(one, "trained", language()),
            train_length=one.train_length,
            parameters=one.parameters,
            layers=len(one.layers),
            family=one.family,
        )
    )
    if one.name in available():
        words = t("architectures.card", name=one.name)
        if st.button(words, key="ar_card", icon=":material/arrow_forward:", type="tertiary"):
            st.session_state["shown"] = one.name
            open_page("models")
    return True


def _said(one: Architecture, name: str) -> str:
    """A value of the matrix with its title."""
    return f"{head(name, language())}: {written(one, name, language())}"


def _line(one: Architecture, part: str, values: Mapping[Any, float], scale: str, alt: str, dark: bool) -> None:
    """``values`` by tokens, under the title of ``part``."""
    titles = t(f"architectures.{part}_x"), t(f"architectures.{part}_y")
    chart(
        figures.line_figure(list(values), list(values.values()), titles, scale=scale, mark=one.train_length, dark=dark),
        key=f"architectures_{part}",
        title=t(f"architectures.{part}_title"),
        explanation=t(f"architectures.{part}_explanation"),
        alt=alt,
        data=pd.DataFrame({"tokens": list(values), part: list(values.values())}),
    )
