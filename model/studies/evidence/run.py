"""All readings of the evidence, one after the other: each is kept as soon as it is done, so nothing is read twice.

The order is by model, for only two are held in memory. A passkey test continues to longer texts until an accuracy above
95% has become improbable, so how much there is to read is known only at the end; the total is what is expected.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from model.checkpoints.catalogue import DEFAULT, load_tokenizer_of, model_card, tokens_of
from model.diagnostics.collapse import BEYOND, tokens_needed
from model.errors import UserError
from model.experiment import Strategy
from model.interventions.initial_states import INITIAL_STATES
from model.interventions.mitigations import MITIGATIONS
from model.studies.evidence.family import MITIGATED, POST_TRAINED, TOKENS, EvidenceTask, Member, members
from model.studies.evidence.result import EvidenceResult, surely_failed
from model.studies.extension import lengths_in
from model.studies.passkey import Reader, doubling_lengths, reader_of
from model.studies.passkey.prompts import least_length
from model.studies.passkey.task import PasskeyTask
from model.studies.recall import PASSKEYS
from sample_data import SAMPLES, sample_text

Found = TypeVar("Found")

LONGEST = 16
"""Training lengths of the longest passkey text."""
EXPECTED = 4
"""Training lengths that a passkey test is expected to reach, for the estimate of what is left to read."""
TESTED = ("base", "series", "fitted", "zeros")
"""Roles whose passkeys are tested."""
STARTED = ("base", "carried")
"""Roles that are also read from a carried state."""
EXTENDED = ("base", "carried", "tbtt", "zeros", "delta")
"""Roles whose loss is also read by evaluation length."""
CELLS = ("scrn", "rnn")
"""Roles whose gradient is followed back, and whose effective context is measured."""
READ, EXTENSION, REACH, CONTEXT = "read", "extension", "reach", "context"

Report = Callable[[EvidenceResult, int, int], None]
"""``report(what there is so far, tokens read now, tokens to read now)``"""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One reading, of the document ``document`` (its hash) or of passkeys of ``length`` tokens.

    ``kind`` is what is read of a document: its losses and states, its loss by evaluation length, the gradient,
    or the effective context.
    """

    reader: Reader
    document: str = ""
    source: str = ""
    length: int = 0
    kind: str = READ

    def tokens(self, task: EvidenceTask) -> int:
        """About how many tokens it reads."""
        from model.reading.windows import WINDOWS
        from model.studies.evidence.measure import DEPTHS, REACH_TOKENS, TRIALS, context_task

        if self.length:
            return self.length * len(DEPTHS) * TRIALS * len(PASSKEYS)
        if self.kind == EXTENSION:
            lengths = lengths_in(task.tokens, self.reader.train_length)
            return len(lengths) * (lengths[-1] if lengths else 0) * self.reader.train_length
        if self.kind == REACH:
            return REACH_TOKENS * self.reader.train_length
        if self.kind == CONTEXT:
            return context_task(self.reader, self.document).tokens
        control = 2 * max(0, task.tokens - BEYOND * self.reader.train_length) if self.reader.plain else 0
        return task.tokens * (2 if self.source else 1) + WINDOWS * (self.reader.train_length + 1) + control


def begin(
    documents: Sequence[tuple[str, str]], *, tokens: int = TOKENS, base: str = DEFAULT
) -> tuple[EvidenceResult, dict[str, str]]:
    """An empty result for ``documents`` (name, text), each counted once, and the texts by hash.

    UserError if there are too few documents or tokens, or if one document is too short to reach beyond 8 training
    lengths of the base: before any reading.
    """
    task = EvidenceTask.of(documents, tokens=tokens, base=base)
    texts = {hashlib.sha256(text.encode()).hexdigest(): text for _, text in documents}
    least = tokens_needed(model_card(base).train_length)
    task.check(model_card(base).train_length)
    for name, sha in task.documents:
        found = len(first_tokens(base, texts[sha], tokens))
        if found < least:
            raise UserError("evidence.short_document", name=name, tokens=found, least=least)
    return EvidenceResult(task=task, members=members(base)), texts


def samples() -> list[tuple[str, str]]:
    """Name and text of the shipped samples that have words: what is measured by default."""
    return [(sample.file, sample_text(key)) for key, sample in SAMPLES.items() if sample.language is not None]


def first_tokens(model: str, text: str, tokens: int) -> np.ndarray:
    """The first ``tokens`` tokens of ``text`` as ``model`` reads it, (tokens,) int32."""
    return tokens_of(model, text[: 16 * tokens])[0][:tokens]


def taken_over(begun: EvidenceResult, before: EvidenceResult) -> EvidenceResult:
    """``begun`` with the readings of ``before`` that are its own: same weights, documents and number of tokens."""
    if replace(before.task, documents=()) != replace(begun.task, documents=()):
        return begun
    weights = {(member.name, member.weights) for member in begun.members}
    hashes = {sha for _, sha in begun.task.documents}
    readings = {
        (reader, sha): reading
        for (reader, sha), reading in before.readings.items()
        if (reader.model, reader.weights) in weights
        and sha in hashes
        and (not reader.strategy.source or reader.strategy.source in hashes)
    }
    recalls = {key: value for key, value in before.recalls.items() if (key[0].model, key[0].weights) in weights}

    def own(found: Mapping[tuple[Reader, str], Found]) -> dict[tuple[Reader, str], Found]:
        return {
            (reader, sha): value
            for (reader, sha), value in found.items()
            if (reader.model, reader.weights) in weights and sha in hashes
        }

    return replace(
        begun,
        readings=readings,
        recalls=recalls,
        extensions=own(before.extensions),
        reaches=own(before.reaches),
        contexts=own(before.contexts),
        seconds=before.seconds,
    )


def run_evidence(
    begun: EvidenceResult,
    texts: Mapping[str, str],
    *,
    report: Report = lambda result, done, total: None,
    keep: Callable[[EvidenceResult], None] = lambda result: None,
    stop: Callable[[], bool] = lambda: False,
) -> EvidenceResult:
    """Read what ``begun`` lacks of ``texts`` (by hash); ``keep`` is given the result after every reading.

    When ``stop()`` turns true, what is finished is returned, at most one segment later. Run with what was kept, it
    resumes, and comes to the same numbers.
    """
    from model.studies.evidence.measure import context_at, extension_at, reach_at, read_document, recall_at

    result, done, started = begun, 0, time.monotonic()
    total = sum(step.tokens(begun.task) for step in _steps(begun))
    report(result, 0, total)
    for member in begun.members:
        streams: dict[str, np.ndarray] = {}
        for step in _steps_of(begun, member):
            if not streams and step.document:
                streams = {sha: first_tokens(member.name, text, begun.task.tokens) for sha, text in texts.items()}
            reached, expected = 0, step.tokens(begun.task)

            def passed(
                tokens: int,
                so_far: EvidenceResult = result,
                first: int = done,
                end: int = done + expected,
                of: int = total,
            ) -> bool:
                nonlocal reached
                reached += tokens
                report(so_far, min(first + reached, end), max(of, end))
                return stop()

            if _needless(result, member, step):
                done += expected if step.length <= EXPECTED * member.train_length else 0
                continue
            seconds = begun.seconds + time.monotonic() - started
            if step.length:
                counts = recall_at(step.reader, step.length, passed)
                if counts is None:
                    return replace(result, seconds=seconds)
                result = replace(result, recalls={**result.recalls, (step.reader, step.length): counts})
            elif step.kind == EXTENSION:
                losses = extension_at(step.reader, streams[step.document], passed)
                if losses is None:
                    return replace(result, seconds=seconds)
                result = replace(result, extensions={**result.extensions, (step.reader, step.document): losses})
            elif step.kind == REACH:
                found = reach_at(step.reader, streams[step.document], passed)
                if found is None:
                    return replace(result, seconds=seconds)
                result = replace(result, reaches={**result.reaches, (step.reader, step.document): found})
            elif step.kind == CONTEXT:
                context = context_at(step.reader, step.document, streams[step.document], passed)
                if context is None:
                    return replace(result, seconds=seconds)
                result = replace(result, contexts={**result.contexts, (step.reader, step.document): context})
            else:
                source = streams[step.source] if step.source else None
                reading = read_document(step.reader, streams[step.document], source, passed)
                if reading is None:
                    return replace(result, seconds=seconds)
                result = replace(result, readings={**result.readings, (step.reader, step.document): reading})
            done += expected
            total = max(total, done)
            result = replace(result, seconds=begun.seconds + time.monotonic() - started)
            keep(result)
            report(result, done, total)
    result = replace(result, complete=True)
    keep(result)
    report(result, total, total)
    return result


def _needless(result: EvidenceResult, member: Member, step: Step) -> bool:
    """Whether a passkey test of that length, or of a shorter one, is enough to know."""
    answers = result.answers(member)
    return bool(step.length) and any(
        length < step.length and surely_failed(*counts) for length, counts in answers.items()
    )


def _steps(begun: EvidenceResult) -> Iterator[Step]:
    """What is expected to be read."""
    for member in begun.members:
        for step in _steps_of(begun, member):
            if step.length <= EXPECTED * member.train_length:
                yield step


def _steps_of(begun: EvidenceResult, member: Member) -> list[Step]:
    """What ``begun`` lacks of ``member``, long passkeys included."""
    hashes = [sha for _, sha in begun.task.documents]
    plain = reader_of(member.name)
    base = begun.member("base")
    if (
        member.role in POST_TRAINED and base is not None
    ):  # at the same places as the base, however long its own sequences were
        plain = replace(plain, train_length=base.train_length)
    wanted = [Step(reader=plain, document=sha) for sha in hashes] if member.role != "delta" else []
    if member.role in EXTENDED:
        wanted += [Step(reader=plain, document=sha, kind=EXTENSION) for sha in hashes]
    if member.role in CELLS:
        wanted += [Step(reader=plain, document=sha, kind=kind) for kind in (REACH, CONTEXT) for sha in hashes]
    card = model_card(member.name)
    if member.role in STARTED and INITIAL_STATES["carried"].fits(card.config):
        for place, sha in enumerate(hashes):
            other = hashes[(place + 1) % len(hashes)]  # the next document, the first after the last
            started = reader_of(member.name, Strategy.of("carried", source=other))
            wanted.append(Step(reader=started, document=sha, source=other))
    if member.role == "base":
        for settings in MITIGATED.values():
            rows = [MITIGATIONS[name] for name in settings]
            if all(row.fits(card.config) and (card.explored or not row.needs_reference) for row in rows):
                treated = reader_of(member.name, Strategy.of(mitigations=settings))
                wanted += [Step(reader=treated, document=sha) for sha in hashes]
    if member.role in TESTED:
        wanted += [Step(reader=plain, length=length) for length in _lengths(member)]
    known: dict[str, Mapping[tuple[Reader, str], object]] = {
        READ: begun.readings,
        EXTENSION: begun.extensions,
        REACH: begun.reaches,
        CONTEXT: begun.contexts,
    }
    return [
        step
        for step in wanted
        if (step.reader, step.document) not in known[step.kind] and (step.reader, step.length) not in begun.recalls
    ]


def _lengths(member: Member) -> tuple[int, ...]:
    """The lengths of its passkey test: halves and doublings of the training length that hold a prompt."""
    least = map(partial(least_length, load_tokenizer_of(member.name), digits=PasskeyTask.digits), PASSKEYS)
    return doubling_lengths(member.train_length, LONGEST, max(least))
