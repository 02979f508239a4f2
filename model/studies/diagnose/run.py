"""Read a document with every strategy, several side by side, and say what to do.

Each reading is an ordinary recording, which is not read again where it is there already. A diagnosis is on disk after
every strategy, so one that was cancelled or killed resumes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from model.diagnostics.collapse import tokens_needed
from model.diagnostics.summary import verdict
from model.documents.document import Document
from model.errors import UserError
from model.reading.prepare import DEFAULTS, Options, prepare
from model.studies.diagnose.advice import advised, concluded, few_to_test, pages_of
from model.studies.diagnose.passkeys import language_of, with_recall
from model.studies.diagnose.places import Places
from model.studies.diagnose.result import Diagnosis, Sentence, StrategyResult, file_of, load
from model.studies.diagnose.strategies import candidates, question_key

Report = Callable[[Diagnosis, int, int], None]
"""``report(what there is so far, tokens read, tokens to read)``, called by several threads, one at a time."""


def diagnose(
    document: Document,
    model: str,
    out: Path,
    *,
    options: Options = DEFAULTS,
    recall: bool = True,
    tests: Path | None = None,
    elsewhere: Sequence[Path] = (),
    workers: int | None = None,
    keep_text: bool = False,
    report: Report = lambda diagnosis, done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Diagnosis:
    """Read ``document`` with every strategy for ``model`` and leave recordings and the diagnosis in ``out``.

    ``options`` say how, as for a single reading; the control is always read. ``recall`` also tests passkeys, whose
    results are stored in ``tests`` (by default ``out`` / "passkey"). Finished recordings in the folders ``elsewhere``
    are not read again. ``workers`` strategies are read side by side: on a CPU as many as torch would use threads, each
    on one; on a GPU one. When ``stop()`` turns true, what is finished is returned, at most one segment later.

    UserError for whatever does not fit the document or the plain model. A strategy that fails says so in its row.
    """
    from model.studies.diagnose.readings import Readings, in_turn, side_by_side, threads

    started = time.monotonic()
    options = replace(options, control=True, token_norms=False, off=())
    prepared = prepare(document, model, options=options)
    tokens, train_length = len(prepared.tokens), prepared.experiment.train_length
    wanted = candidates(model)
    key = question_key(document.sha256, wanted, options, recall=recall)
    if tokens < tokens_needed(train_length):
        wanted = wanted[:1]  # nothing far beyond the training length could be compared
    so_far = Diagnosis(
        key=key,
        document=document.sha256,
        document_name=document.name,
        characters=len(document.text),
        tokens=tokens,
        pages=pages_of(document),
        model=model,
        weights=prepared.card.weights,
        train_length=train_length,
        planned=len(wanted),
        verdict=Sentence("diagnose.not_yet", {}),
    )
    file, known, before = file_of(out, so_far.key), {}, 0.0
    with suppress(UserError):
        stored = load(file)
        known, before = {result.recording: result for result in stored.strategies if result.blocks}, stored.seconds
    places = Places(out=out, elsewhere=tuple(elsewhere), keep_text=keep_text)
    failed = threading.Event()
    lock = threading.Lock()
    read: dict[str, int] = {}
    most = tokens * len(wanted)

    def ticked(recording: str, done: int) -> None:
        with lock:
            read[recording] = max(done, read.get(recording, 0))
            report(so_far, sum(read.values()), most)

    readings = Readings(
        prepared=prepared,
        options=options,
        places=places,
        known=known,
        ticked=ticked,
        stop=lambda: failed.is_set() or stop(),
    )
    results: list[StrategyResult] = []
    count = side_by_side(workers, options.device)
    with threads(count) as pool:
        waiting = [pool.submit(readings.result_of, one) for one in in_turn(wanted, count)]
        for future in as_completed(waiting):
            if future.exception() is not None:
                failed.set()
            elif (result := future.result()) is not None and not failed.is_set():
                results.append(result)
                found = replace(so_far, seconds=before + time.monotonic() - started, verdict=judged(results, places))
                with lock:
                    so_far = concluded(found, results, trainable=not prepared.card.published)
                    so_far.save(file)
        for future in waiting:
            future.result()  # raises what has failed
    if len(results) < len(wanted):
        return so_far
    if recall and len(wanted) > 1:

        def passed(done: int) -> bool:
            report(so_far, most, most)
            return stop()

        tested = few_to_test(so_far)
        folder = tests or out / "passkey"
        found = with_recall(so_far, tested, language_of(document.text), folder, options.attention_window, passed)
        if stop():
            return so_far
        so_far = advised(found, trainable=not prepared.card.published)
    so_far = replace(so_far, complete=True, seconds=before + time.monotonic() - started)
    so_far.save(file)
    return so_far


def judged(results: Sequence[StrategyResult], places: Places) -> Sentence:
    """The verdict of the plain reading among ``results``, once it is there."""
    plain = next((result for result in results if result.plain), None)
    if plain is None:
        return Sentence("diagnose.not_yet", {})
    recording = places.find(plain.recording)
    return Sentence("diagnose.broken", {}) if recording is None else Sentence(*verdict(recording.summary))
