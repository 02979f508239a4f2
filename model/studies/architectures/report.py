"""The matrix of architectures: one row a checkpoint, the conclusion, and the table of ``docs/architectures.md``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from model.messages import message
from model.studies.architectures.result import Architecture
from model.studies.cost.fit import crossing
from model.studies.cost.report import said as as_known
from model.studies.cost.report import size

BEGIN, END = (
    "<!-- matrix: memory-explorer architectures --markdown docs/architectures.md -->\n",
    "<!-- end of matrix -->",
)
TIMES = ("speed", "step")
COLUMNS = ("trained", "within", "excess", "onset", "recall", "context", "state", "grows", "norm", "gradient", *TIMES)


def row(result: Architecture) -> dict[str, Any]:
    """The numbers of ``result`` by column, None for what is not known or does not apply."""
    points = result.speed.points if result.speed else ()
    return {
        "trained": result.trained,
        "within": result.mean("within"),
        "excess": result.excess,
        "onset": result.onset,
        "recall": result.recall,
        "context": result.context.reach if result.context else None,
        "state": result.state[0][1] if result.state else None,
        "grows": result.state[-1][1] / result.state[0][1] if result.state else None,
        "norm": result.growth,
        "gradient": result.gradients.verdict if result.gradients else None,
        "speed": points[-1].seconds / points[-1].length * 1e6 if points else None,
        "step": result.speed.step * 1e3 if result.speed else None,
    }


def written(result: Architecture, name: str, language: str) -> str:
    """A cell in words: three digits, tokens with separators, "≥" for a lower bound, "—" for None."""
    value = row(result)[name]
    if value is None:
        return "—"
    if name == "gradient":
        return message(f"architectures.verdict_{value}", language)
    if name == "trained":
        return millions(value, language)
    if name == "context" and result.context is not None and result.context.open_ended:
        return f"≥ {value:,.0f}"
    if name in ("onset", "recall", "context"):
        return f"{value:,.0f}"
    if name == "state":
        return size(value)
    return f"{round(value, 2) + 0.0:+.2f}" if name == "excess" else f"{value:.2f}"  # + 0.0: no "-0.00"


def millions(tokens: int, language: str) -> str:
    """A number of tokens in millions, in Japanese in units of ten thousand."""
    if language == "ja":
        return f"{tokens / 1e4:,.0f} 万"
    return f"{tokens / 1e6:,.1f} M"


def conclusion(results: Sequence[Architecture], language: str) -> str:
    """How many collapse, and which has the lowest loss far beyond its training length, in one sentence."""
    read = [(beyond, one) for one in results if (beyond := one.mean("beyond")) is not None]
    if not read:
        return message("architectures.nothing", language)
    loss, best = min(read, key=lambda pair: pair[0])
    count = sum(one.collapses for _, one in read)
    return message("architectures.conclusion", language, of=len(read), count=count, best=best.name, loss=loss)


def unequal(results: Sequence[Architecture], language: str) -> str | None:
    """That the models were trained on different numbers of tokens, if they were."""
    known = {one.trained for one in results if one.trained}
    if len(known) < 2:
        return None
    return message(
        "architectures.unequal", language, least=millions(min(known), language), most=millions(max(known), language)
    )


AHEAD = 4
"""Crossings so many times beyond the longest length that was timed are not worth a word."""


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """From ``length`` tokens on, where both need ``seconds``, ``first`` reads faster than ``second``.

    ``kind`` says whether both were timed around that length: see :mod:`model.studies.cost.fit`.
    """

    first: str
    second: str
    length: float
    seconds: float
    kind: str


def crossings(results: Sequence[Architecture]) -> list[Crossed]:
    """Where the fits of two cross, up to :data:`AHEAD` times what was timed, shortest length first.

    Not of two that differ in their weights alone, which take the same time, nor below what was timed.
    """
    curves = {one.name: curve for one in results if one.speed and (curve := one.speed.curve())}
    shapes = {one.name: (one.layers, one.parameters) for one in results}
    found = []
    for first, second in permutations(curves, 2):
        if shapes[first] == shapes[second]:
            continue
        at = crossing(curves[first], curves[second])
        shortest = max(curves[name].lengths[0] for name in (first, second))
        longest = min(curves[name].lengths[-1] for name in (first, second))
        if at.length and shortest <= at.length <= AHEAD * longest:
            seconds = curves[first].fitted(at.length)
            found.append(Crossed(first=first, second=second, length=at.length, seconds=seconds, kind=at.kind))
    return sorted(found, key=lambda one: one.length)


def crossing_words(crossed: Crossed, language: str) -> str:
    """A crossing in words, to two digits."""
    length = f"{float(f'{crossed.length:.2g}'):,.0f}"
    words = message("architectures.crossed", language, first=crossed.first, second=crossed.second, length=length)
    return as_known(words, crossed.kind, language)


def markdown(results: Sequence[Architecture], language: str = "en") -> str:
    """The matrix as a Markdown table, without times, which belong to a machine."""
    names = [name for name in COLUMNS if name not in TIMES]
    heads = [message("architectures.column_name", language), *(head(name, language) for name in names)]
    lines = [heads, ["---"] * len(heads)]
    lines += [[one.name, *(written(one, name, language) for name in names)] for one in results]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def head(name: str, language: str) -> str:
    """The title of a column."""
    return message(f"architectures.column_{name}", language)


def with_matrix(page: str, results: Sequence[Architecture]) -> str:
    """``page`` with the conclusion and the table between its marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}{said(results)}\n\n{markdown(results)}{END}{rest.split(END)[1]}"


def said(results: Sequence[Architecture], language: str = "en") -> str:
    """The conclusion, and whether training differs."""
    return " ".join(filter(None, (conclusion(results, language), unequal(results, language))))
