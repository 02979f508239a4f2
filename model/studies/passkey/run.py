"""From names to a result: open the reader of a passkey test, and run the cells that are missing.

This file imports torch where it runs, for pages import it to read results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from model.checkpoints.catalogue import load_model, load_tokenizer_of, model_card
from model.diagnostics.explored import Explored
from model.experiment import PLAIN, Strategy
from model.interventions.initial_states import Origin, initial_state, row_of
from model.interventions.mitigations import active
from model.interventions.parts import Off
from model.reading.prepare import attention_window
from model.recording.reader import read_state
from model.studies.passkey.prompts import Prompts, least_length
from model.studies.passkey.result import PasskeyResult, Report
from model.studies.passkey.task import PasskeyTask, Reader, doubling_lengths, even_depths

if TYPE_CHECKING:
    from model.arch.lm import LanguageModel
    from model.state import State
    from model.studies.passkey.continuation import ScansOver


def reader_of(model: str, strategy: Strategy = PLAIN, window: int | None = None, off: Sequence[str] = ()) -> Reader:
    """Who reads with ``model`` and ``strategy``, less mitigations that change nothing.

    ``window`` is how many tokens attention sees at most, 0 for all, None for the training length; ``off`` names parts
    that are switched off. UserError for unknown names.
    """
    card = model_card(model)
    parts = Off.of(off)
    parts.check(card.config)
    needs_source = row_of(strategy.initial_state).needs_source
    return Reader(
        model=model,
        weights=card.weights,
        train_length=card.train_length,
        strategy=replace(
            strategy,
            source=strategy.source if needs_source else "",
            mitigations=tuple(active(dict(strategy.mitigations)).items()),
        ),
        attention_window=attention_window(card.config, window, card.train_length),
        off=parts.words,
    )


def open_reader(reader: Reader, source: Path | None) -> tuple[LanguageModel, ScansOver, State]:
    """What ``reader`` names: the model, its mitigated scans over any kernel, and the state it starts from (of one row).

    ``source`` is the folder of the recording of a carried state. UserError for whatever is not there.
    """
    from model.reading.runner import layer_scans

    card = model_card(reader.model)
    explored = Explored.load(card.explored) if card.explored else None
    model = load_model(reader.model)
    origin = Origin(explored=explored, source=read_state(source) if source else None, seed=reader.strategy.seed)
    state = initial_state(reader.strategy.initial_state, model.zero_state(), origin)
    scans_over: ScansOver = partial(layer_scans, model, dict(reader.strategy.mitigations), explored)
    if reader.attention_window:
        model = model.seeing(reader.attention_window)
    if not reader.off:
        return model, scans_over, state
    off = Off.of(reader.off)
    whole = model
    return off.applied(model, scans_over())[0], lambda *kernel: off.applied(whole, scans_over(*kernel))[1], state


def measure(
    begun: PasskeyResult,
    *,
    text: str = "",
    source: Path | None = None,
    report: Report = lambda result, done: None,
    stop: Callable[[], bool] = lambda: False,
) -> PasskeyResult:
    """Load what ``begun.reader`` names and run what ``begun`` lacks: :func:`.fork.run_forked` from names.

    ``text`` is the document of the "text" filler, ``source`` the folder of the recording of a carried state.
    UserError for whatever does not fit, before any reading.
    """
    from model.studies.passkey.fork import run_forked

    prompts = Prompts(begun.task, load_tokenizer_of(begun.reader.model), text)
    model, scans_over, state = open_reader(begun.reader, source)
    return run_forked(model, prompts, begun, scans_over=scans_over, state=state, report=report, stop=stop)


def store_samples(
    folder: Path,
    model: str,
    *,
    mitigations: Mapping[str, float],
    languages: Sequence[str] = ("en", "ja"),
    longest: int = 32,
    trials: int = 20,
    depths: int = 5,
) -> list[Path]:
    """Write the results that the dashboard opens with, plain and mitigated, one file each; returns the files."""
    files = []
    for language in languages:
        least = least_length(load_tokenizer_of(model), language, PasskeyTask.digits)
        lengths = doubling_lengths(model_card(model).train_length, longest, least)
        task = PasskeyTask(language=language, lengths=lengths, depths=even_depths(depths), trials=trials)
        for settings in ({}, mitigations):
            result = measure(PasskeyResult(task=task, reader=reader_of(model, Strategy.of(mitigations=settings))))
            files.append(folder / f"{result.key}.json")
            result.save(files[-1])
    return files
