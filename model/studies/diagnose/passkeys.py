"""How much of a few passkeys is recalled far beyond the training length: a small test beside a strategy.

A text has 8 training lengths, and the key is at one of three depths. A model that does not give back most keys from
texts of its training length cannot do the test at all: then nothing is said of any length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from model.checkpoints.catalogue import load_tokenizer_of
from model.diagnostics.collapse import BEYOND
from model.errors import UserError
from model.studies.diagnose.result import Diagnosis, Recall, StrategyResult
from model.studies.passkey import PasskeyResult, PasskeyTask, even_depths, measure, reader_of
from model.studies.passkey.prompts import least_length

DEPTHS, TRIALS = even_depths(3), 10
PROMPTS = len(DEPTHS) * TRIALS
"""Prompts of one test."""
ABLE = 0.5
"""Share of the keys that a model has to recall from texts of its training length."""

Passed = Callable[[int], bool]
"""``passed(tokens)`` takes the tokens that were read, and returns whether to stop."""


def language_of(text: str) -> str:
    """The language of the needles that are inserted into ``text``: "ja" if it has kana, else "en"."""
    start = text[:20_000]
    kana = sum("ぁ" <= character <= "ヿ" for character in start)
    return "ja" if kana > len(start) / 20 else "en"


def tasks_of(diagnosis: Diagnosis, language: str) -> tuple[PasskeyTask, PasskeyTask]:
    """The test about the training length, and that far beyond it; UserError where the tokenizer allows none."""
    least = least_length(load_tokenizer_of(diagnosis.model), language, PasskeyTask.digits)
    lengths = (max(diagnosis.train_length, least), max(BEYOND * diagnosis.train_length, least))
    near, far = (PasskeyTask(language=language, lengths=(n,), depths=DEPTHS, trials=TRIALS) for n in lengths)
    return near, far


def with_recall(
    diagnosis: Diagnosis,
    tested: list[StrategyResult],
    language: str,
    folder: Path,
    window: int | None,
    passed: Passed = lambda tokens: False,
) -> Diagnosis:
    """``diagnosis`` with the recall of the strategies ``tested``, whose tests are stored in ``folder``.

    ``window`` is how many tokens attention sees at most. What was tested when ``passed`` says to stop is kept.
    """

    def counted(task: PasskeyTask, result: StrategyResult) -> tuple[str, int] | None:
        test = PasskeyResult(task=task, reader=reader_of(result.model, result.strategy, window))
        file = folder / f"{test.key}.json"
        known = PasskeyResult.known(file)
        if known is None or not known.complete:
            before, ended = 0, False

            def report(_: PasskeyResult, done: int) -> None:
                nonlocal before, ended
                ended = passed(done - before)
                before = done

            known = measure(test, report=report, stop=lambda: ended)
            if not known.complete:
                return None
            known.save(file)
        return known.key, known.by_length()[task.lengths[0]].correct

    plain = diagnosis.plain
    if plain is None:
        return diagnosis
    try:
        near, far = tasks_of(diagnosis, language)
        if (found := counted(near, plain)) is None:
            return diagnosis
    except UserError:
        return replace(diagnosis, recallable=False)
    diagnosis = replace(diagnosis, recallable=found[1] >= ABLE * PROMPTS)
    if not diagnosis.recallable:
        return diagnosis
    recalls = {}
    for result in tested:
        if (found := counted(far, result)) is None:
            break
        recalls[result.recording] = Recall(result=found[0], length=far.lengths[0], correct=found[1], trials=PROMPTS)
    strategies = [replace(one, recall=recalls.get(one.recording, one.recall)) for one in diagnosis.strategies]
    return replace(diagnosis, strategies=tuple(strategies))
