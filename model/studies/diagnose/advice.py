"""What to do after a diagnosis, where to split a document instead, and how sure all of it is.

    use            the memory holds, or nothing shows that it harms
    mitigate       a strategy on the diagnosed weights leaves no excess that matters; partly: it leaves some
    recall         another strategy that helps and recalls clearly more from far back than the recommended one
    weights        the same with other installed weights of the same base
    do not use     nothing that was measured helps: not for whole documents of this length
    split          parts that end before the plain memory costs: at its collapse onset, else at the training length
    post-train     not measured on this document; offered where no post-trained weights were here to measure

How sure: three things are looked at, and each may weaken the answer by one or two steps, from high over medium to low:
how far the document goes beyond the training length, how wide the interval of the excess removed is, and whether
passkeys that are recalled from far beyond the training length speak against the recommendation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from model.diagnostics.collapse import BEYOND, MATERIAL, tokens_needed
from model.documents.document import Document
from model.studies.diagnose.passkeys import PROMPTS
from model.studies.diagnose.recommend import compared, holds, recommended
from model.studies.diagnose.result import HIGH, LEVELS, LOW, Confidence, Diagnosis, Sentence, StrategyResult
from model.studies.passkey.compare import difference

FAR, BARELY = 32, 16
"""Training lengths of a document from which on it says much, and below which it says little."""
NARROW, WIDE = 0.1, 0.25
"""Half-widths of the interval of the share removed that are good, and too wide to rely on."""

FEW, MANY = 4, 12
"""Strategies whose passkeys are tested."""

Reason = tuple[Sentence, int]
"""Why one is more or less sure, and by how many steps less."""


def advised(diagnosis: Diagnosis, *, trainable: bool) -> Diagnosis:
    """``diagnosis``, whose strategies are compared and one of them recommended, with what follows from it.

    ``trainable``: whether the model can be post-trained here.
    """
    plain = diagnosis.plain
    split = None
    if plain is not None and not diagnosis.case.startswith(("holds", "too_short", "unclear")):
        split = plain.onset or diagnosis.train_length
    other = _recalling_more(diagnosis)
    diagnosis = replace(
        diagnosis,
        split=split,
        split_pages=_in_pages(diagnosis, split),
        alternative=None if other is None else other.recording,
    )
    return replace(diagnosis, steps=tuple(_steps(diagnosis, trainable)), confidence=_confidence(diagnosis))


def concluded(diagnosis: Diagnosis, results: Sequence[StrategyResult], *, trainable: bool) -> Diagnosis:
    """``diagnosis`` with ``results``, compared, one of them recommended, and what follows."""
    strategies = compared(results)
    best = recommended(strategies, diagnosis.case)
    found = replace(diagnosis, strategies=strategies, recommended=None if best is None else best.recording)
    return advised(found, trainable=trainable)


def pages_of(document: Document) -> int | None:
    """How many pages of ``document`` have text; None where it has no pages."""
    found = {place.steps for place in document.places if any(kind == "page" for kind, _ in place.steps)}
    return len(found) or None


def _in_pages(diagnosis: Diagnosis, split: int | None) -> int | None:
    """``split`` tokens in whole pages, one at least; None without pages."""
    if split is None or not diagnosis.pages:
        return None
    return max(1, int(split * diagnosis.pages / diagnosis.tokens))


def _steps(diagnosis: Diagnosis, trainable: bool) -> list[Sentence]:
    if diagnosis.case == "too_short":
        if diagnosis.tokens <= diagnosis.train_length:
            return [_step("use_short", train_length=diagnosis.train_length)]
        return [_step("longer", needed=tokens_needed(diagnosis.train_length))]
    best = diagnosis.best
    if best is not None and best.plain:
        return [_step("use" if diagnosis.case.startswith("holds") else "use_unclear")]
    steps = []
    if best is None:
        steps.append(_step("do_not_use"))
    else:
        kind = "weights" if best.post_trained else "mitigate"
        enough = holds(best)
        steps.append(_step(kind if enough else f"{kind}_partly", model=best.model))
        other = diagnosis.of(diagnosis.alternative)
        if other is not None and other.recall is not None and other.removed is not None and other.cost is not None:
            numbers = {"removed": other.removed.mean, "cost": other.cost.mean, "recall": other.recall.accuracy}
            steps.append(_step("recall", **{name: 100 * value for name, value in numbers.items()}))
        if enough:
            return steps
    steps += [_split(diagnosis)] if diagnosis.split is not None else []
    if trainable and not any(result.post_trained for result in diagnosis.strategies):
        command = (
            f"memory-explorer post-train {diagnosis.model} --intervention carried --empty-rows 0.5 "
            f"--decay-rates 100 --text text=FILE --out {diagnosis.model}-state-passing"
        )
        steps.append(_step("post_train", command=command))
    return steps


def _split(diagnosis: Diagnosis) -> Sentence:
    if diagnosis.split_pages is None:
        return _step("split", tokens=diagnosis.split)
    return _step("split_pages", tokens=diagnosis.split, pages=diagnosis.split_pages)


def _step(name: str, **values: object) -> Sentence:
    return Sentence(f"diagnose.step_{name}", values)


def _confidence(diagnosis: Diagnosis) -> Confidence:
    if diagnosis.case == "too_short" or diagnosis.plain is None:
        return Confidence(level=LOW, reasons=(_length(diagnosis)[0],))
    reasons = [_length(diagnosis), _width(diagnosis), *_agreement(diagnosis)]
    lost = min(sum(steps for _, steps in reasons), len(LEVELS) - 1)
    return Confidence(level=LEVELS[LEVELS.index(HIGH) + lost], reasons=tuple(reason for reason, _ in reasons))


def _length(diagnosis: Diagnosis) -> Reason:
    times = diagnosis.tokens / diagnosis.train_length
    name, steps = ("far", 0) if times >= FAR else ("middling", 1) if times >= BARELY else ("short", 2)
    return _reason(f"length_{name}", times=times), steps


def _width(diagnosis: Diagnosis) -> Reason:
    """How well the excess removed is known, or where there is none to remove, that the memory holds."""
    best, plain = diagnosis.best, diagnosis.plain
    if diagnosis.case == "unclear" or plain is None or plain.excess is None or plain.loss_beyond is None:
        return _reason("width_unclear"), 2
    if best is not None and best.removed is not None:
        half = (best.removed.high - best.removed.low) / 2
        name, steps = ("narrow", 0) if half <= NARROW else ("middling", 1) if half <= WIDE else ("wide", 2)
        return _reason(f"width_{name}", points=100 * half), steps
    half = (plain.excess.high - plain.excess.low) / 2
    share = half / max(plain.loss_beyond - plain.excess.mean, 1e-9)
    name, steps = ("narrow", 0) if share <= MATERIAL else ("middling", 1) if share <= NARROW else ("wide", 2)
    return _reason(f"excess_{name}", percent=100 * share), steps


def _agreement(diagnosis: Diagnosis) -> list[Reason]:
    """Whether what is recalled from far away speaks for the recommendation; nothing where the memory is not changed."""
    best, plain = diagnosis.best, diagnosis.plain
    if best is None or plain is None or best.plain:
        return []
    if best.recall is None or plain.recall is None:
        return [(_reason("recall_unable"), 0) if diagnosis.recallable is False else (_reason("recall_untested"), 1)]
    change = difference(plain.recall.cell, best.recall.cell)
    values = {"before": 100 * plain.recall.accuracy, "after": 100 * best.recall.accuracy, "length": best.recall.length}
    if change.high < 0:
        return [(_reason("recall_worse", **values), 1)]
    return [(_reason("recall_better" if change.low > 0 else "recall_same", **values), 0)]


def _reason(name: str, **values: object) -> Sentence:
    return Sentence(f"diagnose.reason_{name}", values)


def _recalling_more(diagnosis: Diagnosis) -> StrategyResult | None:
    """The strategy that helps and recalls clearly more than the recommended one; of equally good ones the best gain."""
    best = diagnosis.best
    if best is None or best.plain or best.recall is None:
        return None
    tested = [(one, one.recall.cell) for one in diagnosis.strategies if one.helps and one.recall is not None]
    most = max((cell for _, cell in tested), key=lambda cell: cell.accuracy, default=None)
    if most is None:
        return None
    here = best.recall.cell
    fine = (one for one, cell in tested if difference(here, cell).low > 0 and difference(most, cell).high >= 0)
    return next(fine, None)


def few_to_test(diagnosis: Diagnosis) -> list[StrategyResult]:
    """The strategies whose passkeys are worth a test: plain, the recommended one, then the best that help.

    At least FEW, and more where all tests together read less than half of what the readings do.
    """
    results, best = diagnosis.strategies, diagnosis.best
    read = diagnosis.tokens * len(results)
    most = max(FEW, min(MANY, read // (2 * BEYOND * diagnosis.train_length * PROMPTS)))
    first = [result for result in results if result.plain or result is best]
    return [*first, *(result for result in results if result.helps and result not in first)][:most]
