"""The cost as text and as plain values: what the command and the page say, and how numbers are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model.messages import message
from model.studies.cost.fit import BETWEEN, BEYOND, MEASURED, Crossing, Value
from model.studies.cost.prices import Prices
from model.studies.cost.result import PLAIN, READERS, TRANSFORMER, CostResult, Sizes

UNITS = (("years", 365.25 * 86400), ("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))
"""Units of time, and from how many seconds on the unit is used, twice over."""
QUANTITIES = ("seconds", "step", "memory")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What ``reader`` needs at one length; None where too few lengths were measured to tell.

    ``seconds`` of reading, ``step`` of one token more, ``memory`` in bytes without weights, ``energy`` in watt hours,
    lowest and highest, ``money`` per million tokens.
    """

    reader: str
    seconds: Value | None
    step: Value | None
    memory: Value
    energy: tuple[float, float] | None
    money: float | None


def cost_at(result: CostResult, reader: str, length: int, prices: Prices) -> Cost:
    """What ``reader`` needs for ``length`` tokens, as measured or extrapolated."""
    assert result.sizes is not None
    seconds, step = (value_at(result, reader, quantity, length) for quantity in ("seconds", "step"))
    measured = any(point.length == length for point in result.of(reader))
    return Cost(
        reader=reader,
        seconds=seconds,
        step=step,
        memory=Value(value=result.sizes.memory(reader, length), kind=MEASURED if measured else BETWEEN),
        energy=None if seconds is None else prices.energy(seconds.value),
        money=None if seconds is None else prices.money(seconds.value, length),
    )


def value_at(result: CostResult, reader: str, quantity: str, length: int) -> Value | None:
    """The "seconds" or "step" of ``reader``: a measured one even where there are too few for a fit."""
    curve = result.curve(reader, quantity)
    if curve is not None:
        return curve.at(length)
    found = next((getattr(point, quantity) for point in result.of(reader) if point.length == length), None)
    return None if found is None else Value(value=found, kind=MEASURED)


def duration(seconds: float, language: str) -> str:
    """Seconds in words, two digits or three: 35 ms, 12 s, 34 min, 5.2 h, 12 days."""
    name, unit = next(((name, unit) for name, unit in UNITS if seconds >= 2 * unit), ("milliseconds", 0.001))
    if name == "milliseconds" and seconds >= 1:
        name, unit = "seconds", 1.0
    return message(f"cost.{name}", language, value=digits(seconds / unit))


def size(count: float) -> str:
    """Bytes as people read them."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = next((power for power in range(len(units) - 1) if count < 1000 ** (power + 1)), len(units) - 1)
    return f"{digits(count / 1000**power)} {units[power]}"


def digits(value: float) -> str:
    """Three significant digits: 0.00123, 1.23, 1,230."""
    rounded = float(f"{value:.3g}")
    if rounded >= 100:
        return f"{rounded:,.0f}"
    return f"{rounded:.8f}".rstrip("0").rstrip(".") if rounded >= 1e-6 or rounded == 0 else f"{rounded:.2e}"


def said(words: str, kind: str, language: str) -> str:
    """``words``, marked where they are extrapolated."""
    return message("cost.extrapolated", language, value=words) if kind == BEYOND else words


def finding(result: CostResult, length: int, prices: Prices, language: str) -> str:
    """What the model and a Transformer need at ``length``, in one sentence."""
    ours, theirs = (cost_at(result, reader, length, prices) for reader in (PLAIN, TRANSFORMER))
    if ours.seconds is None or theirs.seconds is None:
        return message(
            "cost.finding_memory",
            language,
            length=length,
            ours=size(ours.memory.value),
            theirs=size(theirs.memory.value),
        )
    return message(
        "cost.finding",
        language,
        length=length,
        ours=said(duration(ours.seconds.value, language), ours.seconds.kind, language),
        theirs=said(duration(theirs.seconds.value, language), theirs.seconds.kind, language),
        our_memory=size(ours.memory.value),
        their_memory=size(theirs.memory.value),
    )


def crossing_words(quantity: str, found: Crossing | None, language: str) -> str:
    """From where on the model costs less, in a sentence."""
    what = message(f"cost.what_{quantity}", language)
    if found is None:
        return message("cost.crossing_unknown", language, what=what)
    if found.length is None:
        return message("cost.crossing_never", language, what=what)
    if found.length == 0:
        return message("cost.crossing_always", language, what=what)
    length = said(f"{float(f'{found.length:.2g}'):,.0f}", found.kind, language)
    return message("cost.crossing_at", language, what=what, length=length)


def fit_words(result: CostResult, reader: str, language: str) -> str:
    """How well the fit of the reading time holds, in a sentence; "" without one."""
    curve = result.curve(reader, "seconds")
    if curve is None:
        return ""
    who = message(f"cost.reader_{reader}", language)
    words = message(
        "cost.fit", language, who=who, points=len(curve.lengths), longest=curve.lengths[-1], off=curve.deviation
    )
    return words if curve.ahead is None else f"{words} {message('cost.fit_ahead', language, ahead=curve.ahead)}"


def sizes_words(sizes: Sizes, language: str) -> str:
    """What both models are, in sentences."""
    found = asdict(sizes)
    memory = message("cost.every" if sizes.window is None else "cost.state", language, **found)
    words = message("cost.sizes", language, memory=memory, **found)
    return f"{words} {message('cost.window', language, **found)}" if sizes.window else words


def table(result: CostResult, lengths: Sequence[int], prices: Prices) -> list[dict[str, Any]]:
    """One row per reader and length, bare numbers with where they are from."""
    rows = []
    for length in lengths:
        for reader in READERS:
            cost = cost_at(result, reader, length, prices)
            rows.append(
                {
                    "length": length,
                    "reader": reader,
                    "seconds": cost.seconds.value if cost.seconds else None,
                    "seconds_are": cost.seconds.kind if cost.seconds else None,
                    "seconds_per_generated_token": cost.step.value if cost.step else None,
                    "generated_are": cost.step.kind if cost.step else None,
                    "memory_bytes": cost.memory.value,
                    "watt_hours_low": cost.energy[0] if cost.energy else None,
                    "watt_hours_high": cost.energy[1] if cost.energy else None,
                    "money_per_million_tokens": cost.money,
                }
            )
    return rows


def values(result: CostResult, length: int, prices: Prices) -> dict[str, Any]:
    """All of it for JSON: the task, the sizes, the points, the crossings, and what is needed at ``length``."""
    crossings = {quantity: result.crossing(quantity) for quantity in QUANTITIES}
    return {
        "task": asdict(result.task),
        "sizes": asdict(result.sizes) if result.sizes else None,
        "prices": asdict(prices),
        "points": [asdict(point) for point in result.points],
        "crossings": {quantity: asdict(found) if found else None for quantity, found in crossings.items()},
        "at_length": table(result, [length], prices),
    }


def printed(result: CostResult, length: int, prices: Prices, language: str = "en") -> str:
    """The result for a terminal."""
    assert result.sizes is not None
    lines = [finding(result, length, prices, language), ""]
    lines += [crossing_words(quantity, result.crossing(quantity), language) for quantity in QUANTITIES]
    lines.append("")
    for reader in READERS:
        lines.append(message(f"cost.reader_{reader}", language))
        for point in result.of(reader):
            step = "" if point.step is None else message("cost.row_step", language, step=duration(point.step, language))
            words = duration(point.seconds, language)
            lines.append(
                "  " + message("cost.row", language, length=point.length, time=words, held=size(point.held)) + step
            )
        lines += ["  " + fit_words(result, reader, language), ""]
    lines.append(sizes_words(result.sizes, language))
    lines.append(message("cost.overhead", language))
    lines.append(message("cost.assumptions", language, hour=prices.hour, low=prices.low, high=prices.high))
    return "\n".join(lines)
