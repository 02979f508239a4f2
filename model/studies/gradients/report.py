"""The gradient's reach as text: a table for a terminal, and the sentence of the verdict."""

from __future__ import annotations

from model.messages import message
from model.studies.gradients.result import EXPLODED, VANISHED, GradientReach


def verdict_in_words(found: GradientReach, language: str) -> str:
    """What the norms say, in one sentence."""
    key = "open" if found.verdict == "healthy" and found.open_ended else found.verdict
    return message(
        f"gradients.verdict_{key}",
        language,
        reach=f"{found.reach:,.0f}",
        lag=f"{found.lags[-1]:,}",
        last=f"{found.relative[-1]:.3g}",
        rate=f"{found.rate:.3f}",
        vanished=f"{VANISHED:g}",
        exploded=f"{EXPLODED:,.0f}",
    )


def printed(found: GradientReach, model: str, document: str, language: str = "en") -> str:
    """The norms for a terminal, and the verdict."""
    lines = [message("gradients.title", language, model=model, document=document), ""]
    head = ("k", "norm", "norm / first", *(f"layer {place}" for place in range(len(found.layers))))
    lines.append("".join(f"{word:>14}" for word in head))
    for place, lag in enumerate(found.lags):
        numbers = (found.norms[place], found.relative[place], *(layer[place] for layer in found.layers))
        lines.append(f"{lag:>14,}" + "".join(f"{number:>14.3e}" for number in numbers))
    return "\n".join([*lines, "", verdict_in_words(found, language)])
