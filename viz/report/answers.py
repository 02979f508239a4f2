"""The three questions of a report, answered from what was measured, and the one sentence that they come to."""

from __future__ import annotations

from dataclasses import dataclass

from model.diagnostics.collapse import tokens_needed
from model.messages import message
from viz.figures.names import reading_name, strategy_name
from viz.report.facts import Facts, Reading

UNCLEAR = ("unclear", "no_control", "too_short", "broken")
"""Verdicts that leave open whether the memory collapses, by how they begin."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One question: what it is, the answer in a word, the number that decides, and what was measured."""

    question: str
    word: str
    number: str
    sentences: tuple[str, ...]


def answers(facts: Facts, language: str) -> tuple[Answer, Answer, Answer]:
    """Whether the task gains, whether the state collapses, whether there is a remedy."""
    return gain(facts, language), collapse(facts, language), remedy(facts, language)


def name_of(reading: Reading, language: str) -> str:
    """What a reading is called: its strategy, after the name of weights that were trained further."""
    known = reading.recording
    name = strategy_name(reading.strategy, language) if known is None else reading_name(known.experiment, language)
    if not reading.post_trained:
        return name
    return reading.model if reading.strategy.plain else f"{reading.model} · {name}"


def percent_of(share: float) -> str:
    """A share of what there was to remove, in percent; where a long memory then even helps, all of it is gone."""
    return "100" if share >= 1 else f"{100 * share:.1f}"


def conclusion(facts: Facts, language: str) -> str:
    """What an executive should know after one sentence."""
    plain = facts.plain
    if facts.healthy:
        return message("report.conclusion_healthy", language, tokens=facts.tokens)
    if plain is None or facts.case.startswith(UNCLEAR):
        return message("report.conclusion_open", language)
    place = facts.far if plain.onset is None else plain.onset + 1
    if facts.best is not None and facts.best.removed is not None:
        name, removed = name_of(facts.best, language), percent_of(facts.best.removed.mean)
        return message("report.conclusion_remedied", language, place=place, strategy=name, removed=removed)
    key = "report.conclusion_unremedied" if facts.others else "report.conclusion_unmeasured"
    return message(key, language, place=place)


def gain(facts: Facts, language: str) -> Answer:
    """Whether the loss far beyond the training length is lower with the long memory than with a fresh state."""
    known = [reading for reading in facts.readings if reading.excess is not None and reading.excess.low is not None]
    recalled = max(
        (reading for reading in facts.readings if reading.recall is not None),
        key=lambda reading: reading.recall.accuracy if reading.recall else 0,
        default=None,
    )
    more, share = message("report.gain_no_recall", language), None
    if recalled is not None and recalled.recall is not None:
        found, near = recalled.recall, facts.train_length / recalled.recall.length
        words = {"correct": found.correct, "trials": found.trials, "length": found.length, "share": near}
        share = found.accuracy if found.interval[0] > near else None  # a fresh state could recall those near the end
        key = "report.gain_recall" if share is None else "report.gain_recall_far"
        more = message(key, language, strategy=name_of(recalled, language), **words)
    question = message("report.question_gain", language)
    if not known:
        needed = message("report.gain_unknown", language, needed=tokens_needed(facts.train_length))
        word = message("report.not_measured" if share is None else "report.for_facts", language)
        number = "–" if share is None else message("report.recalled", language, share=share)
        return Answer(question=question, word=word, number=number, sentences=(needed, more))
    best = min(known, key=lambda reading: reading.excess.mean if reading.excess else 0)
    span = best.excess
    assert span is not None
    if span.below:
        case, word = "gain_yes", "yes"
    elif not span.above:
        case, word = "gain_not_shown", "not_shown"
    elif best.plain and not facts.others:
        case, word = "gain_hidden", "not_measured"
    else:
        case, word = "gain_no", "no"
    percent = -100 * (best.share or 0)
    number = message("report.lower_loss", language, percent=percent) if span.below else "–"
    if share is not None and not span.below:
        word, number = "for_facts", message("report.recalled", language, share=share)
    sentence = message(
        f"report.{case}",
        language,
        strategy=name_of(best, language),
        far=facts.far,
        percent=percent,
        mean=span.mean,
        low=span.low,
        high=span.high,
    )
    return Answer(
        question=question, word=message(f"report.{word}", language), number=number, sentences=(sentence, more)
    )


def collapse(facts: Facts, language: str) -> Answer:
    """Whether the plain memory collapses, and where."""
    question, plain = message("report.question_collapse", language), facts.plain
    if plain is None or facts.verdict is None:
        unknown = (message("report.collapse_unknown", language),)
        word = message("report.not_measured", language)
        return Answer(question=question, word=word, number="–", sentences=unknown)
    sentences, number = [facts.verdict.words(language)], "–"
    if plain.onset is not None:
        number = message("report.collapse_at", language, onset=plain.onset + 1)
        share = plain.onset / facts.tokens
        values = {"times": plain.onset / facts.train_length, "share": share}
        if facts.pages:
            page = 1 + int(share * (facts.pages - 1))
            sentences.append(message("report.collapse_page", language, page=page, pages=facts.pages, **values))
        else:
            sentences.append(message("report.collapse_where", language, **values))
    word = "no" if facts.healthy else "unclear" if facts.case.startswith(UNCLEAR) else "yes"
    return Answer(
        question=question, word=message(f"report.{word}", language), number=number, sentences=tuple(sentences)
    )


def remedy(facts: Facts, language: str) -> Answer:
    """What the recommended strategy removes, and what it costs."""
    question, best, plain = message("report.question_remedy", language), facts.best, facts.plain
    tried = [reading for reading in facts.others if reading.failure is None]

    def answer(word: str, *sentences: str, number: str = "–") -> Answer:
        return Answer(
            question=question, word=message(f"report.{word}", language), number=number, sentences=tuple(sentences)
        )

    if best is None:
        if facts.healthy:
            return answer("not_needed", message("report.remedy_not_needed", language))
        if plain is None:
            return answer("not_measured", message("report.remedy_no_plain", language))
        if not tried:
            return answer("not_measured", message("report.remedy_unknown", language))
        return answer("not_shown", message("report.remedy_none", language, count=len(tried)))
    sentences = [_removes(best, language)]
    if best.cost is not None:
        sentences.append(message("report.remedy_cost", language, cost=100 * best.cost.mean))
    if best.tokens_per_second and plain is not None and plain.tokens_per_second:
        speeds = {"speed": best.tokens_per_second, "plain": plain.tokens_per_second}
        sentences.append(message("report.remedy_speed", language, **speeds))
    if best.recall is not None and plain is not None and plain.recall is not None:
        found, before = best.recall, plain.recall
        counts = {"correct": found.correct, "trials": found.trials, "length": found.length}
        before_counts = {"plain": before.correct, "plain_trials": before.trials}
        sentences.append(message("report.remedy_recall", language, **counts, **before_counts))
    sentences.append(message("report.remedy_trained" if best.post_trained else "report.remedy_same_weights", language))
    number = "–"
    if best.removed is not None:
        number = message("report.removed_share", language, removed=percent_of(best.removed.mean))
    return answer("yes", *sentences, number=number)


def _removes(best: Reading, language: str) -> str:
    """How much of the excess the strategy removes."""
    name, removed = name_of(best, language), best.removed
    if removed is None:
        return message("report.remedy_helps", language, strategy=name)
    if removed.mean >= 1:
        return message("report.remedy_removes_all", language, strategy=name)
    values = {"strategy": name, "removed": percent_of(removed.mean)}
    if removed.low is None or removed.high is None:
        return message("report.remedy_removes", language, **values)
    between = {"low": 100 * removed.low, "high": 100 * removed.high}
    return message("report.remedy_removes_between", language, **values, **between)
