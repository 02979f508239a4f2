"""Let a model answer cell by cell: prompts in batches through the one loop of segments, short lengths first.

This is the protocol as it is written, and what :mod:`model.studies.passkey.fork`, which does the work, is held against.

Greedy decoding writes the whole key exactly if each of its digits is the most probable token after the question and
the right digits before it. So the right digits are read along with the prompt, and one pass gives both the exact
match and the probability of every digit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from model.checkpoints.catalogue import load_model, load_tokenizer_of, model_card
from model.diagnostics.explored import Explored
from model.experiment import Strategy
from model.interventions.initial_states import Origin, initial_state, row_of
from model.interventions.mitigations import active
from model.recording.recording import read_state
from model.studies.passkey.prompts import Prompt, Prompts, least_length
from model.studies.passkey.result import Cell, PasskeyResult
from model.studies.passkey.task import PasskeyTask, Reader, doubling_lengths, even_depths

if TYPE_CHECKING:
    from torch import Tensor

    from kernels.types import Scan
    from model.arch.lm import LanguageModel
    from model.state import State

WORK = 1 << 20
"""Tokens times channels of all layers that are read at once, over all rows of a batch: bounds memory whatever the
length of the prompts, and the time to the next chance of stopping. Measured fastest on CPUs for the shipped model."""

Report = Callable[[PasskeyResult, int], None]
"""``report(what there is so far, tokens read)``"""


class Scans(NamedTuple):
    """Scans of every layer: ``said`` where the model has to say something, ``reading`` where it only reads on."""

    said: list[Scan]
    reading: list[Scan]

    @staticmethod
    def plain(layers: int) -> Scans:
        """No mitigation."""
        from kernels.cpu.forked import shared_scan, state_scan
        from kernels.dispatch import scan

        return Scans([scan] * layers, [*[shared_scan] * (layers - 1), state_scan])


def reader_of(
    model: str,
    *,
    initial_state: str = "zeros",
    source: str = "",
    mitigations: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Reader:
    """The reader that these choices name; ``source`` is the key of the recording that a state is carried from."""
    card = model_card(model)
    return Reader(
        model=model,
        weights=card.weights,
        train_length=card.train_length,
        strategy=Strategy(
            initial_state=initial_state,
            source=source if row_of(initial_state).needs_source else "",
            mitigations=tuple(active(mitigations or {}).items()),
            seed=seed,
        ),
    )


def open_reader(reader: Reader, source: Path | None) -> tuple[LanguageModel, Scans, State]:
    """What ``reader`` names: the model, the scans of its layers, and the memory it starts from (of one row).

    ``source`` is the folder of the recording of a carried state. UserError for whatever is not there.
    """
    from kernels.cpu.forked import shared_scan, state_scan
    from model.reading.runner import layer_scans

    card = model_card(reader.model)
    explored = Explored.load(card.explored) if card.explored else None
    model = load_model(reader.model)
    origin = Origin(explored=explored, source=read_state(source) if source else None, seed=reader.strategy.seed)
    state = initial_state(reader.strategy.initial_state, model.zero_state(), origin)
    over = partial(layer_scans, model, dict(reader.strategy.mitigations), explored)
    return model, Scans(over(), [*over(shared_scan)[:-1], over(state_scan)[-1]]), state


def measure(
    begun: PasskeyResult,
    *,
    text: str = "",
    source: Path | None = None,
    report: Report = lambda result, done: None,
    stop: Callable[[], bool] = lambda: False,
) -> PasskeyResult:
    """Load what ``begun.reader`` names and run what ``begun`` lacks: :func:`.fork.run_forked` from names.

    A published model is read cell by cell.

    ``text`` is the document of the "text" filler, ``source`` the folder of the recording of a carried state.
    UserError for whatever does not fit, before any reading.
    """
    from model.studies.passkey.fork import run_forked

    prompts = Prompts(begun.task, load_tokenizer_of(begun.reader.model), text)
    model, scans, state = open_reader(begun.reader, source)
    if model_card(begun.reader.model).published:  # forks share tokens between memories as Mamba-2 alone allows
        return run_passkey(model, prompts, begun, scans=scans.said, state=state, report=report, stop=stop)
    return run_forked(model, prompts, begun, scans=scans, state=state, report=report, stop=stop)


def run_passkey(
    model: LanguageModel,
    prompts: Prompts,
    begun: PasskeyResult,
    *,
    scans: Sequence[Scan] | None = None,
    state: State | None = None,
    rows: int | None = None,
    report: Report = lambda result, done: None,
    stop: Callable[[], bool] = lambda: False,
) -> PasskeyResult:
    """Run the cells of ``begun.task`` that ``begun`` lacks, from ``state`` (of one row) through ``scans`` (per layer).

    ``begun`` is an empty result, or one that was cancelled. ``report`` is called first, and after every segment of a
    batch. When ``stop()`` turns true, the cells that are finished are returned, at most one segment later.
    ``rows`` prompts are read side by side; without it, as many as are fastest on a CPU.
    """
    from model.reading.stream import SEGMENT

    task, result = begun.task, begun
    channels = len(model.config.layers) * model.config.d_inner
    started = time.monotonic()
    done = begun.tokens
    report(result, done)
    for length in begun.lengths:
        missing = [depth for depth in task.depths if (length, depth) not in begun.cells]
        places = [(depth, trial) for depth in missing for trial in range(task.trials)]
        answers: dict[float, list[np.ndarray]] = {depth: [] for depth in missing}
        together = rows or max(1, WORK // (channels * min(length, SEGMENT)))
        for first in range(0, len(places), together):
            here = places[first : first + together]
            batch = [prompts.prompt(length, depth, trial) for depth, trial in here]

            def passed(tokens: int, before: int = done, so_far: PasskeyResult = result) -> bool:
                report(so_far, before + tokens)
                return stop()

            found = answer(model, batch, scans, state, passed)
            if found is None:
                return result
            done += length * len(batch)
            for (depth, _), digits in zip(here, found, strict=True):
                answers[depth].append(digits)
            cells = {(length, depth): cell_of(given) for depth, given in answers.items() if len(given) == task.trials}
            seconds = begun.seconds + time.monotonic() - started
            result = replace(result, cells={**result.cells, **cells}, seconds=seconds)
            report(result, done)
    return result


def cell_of(answers: Sequence[np.ndarray]) -> Cell:
    """Sum up the answers of one cell, each (2, digits) as :func:`answer` gives them."""
    correct = sum(bool(right.all()) for _, right in answers)
    return Cell(correct, len(answers), float(np.mean([probability for probability, _ in answers])))


def answer(
    model: LanguageModel,
    batch: Sequence[Prompt],
    scans: Sequence[Scan] | None,
    state: State | None,
    passed: Callable[[int], bool] = lambda tokens: False,
) -> np.ndarray | None:
    """Read prompts of one length; for each digit its probability, and 1 where greedy decoding says it, else 0.

    Returns (rows, 2, digits), or None if ``passed(tokens read so far)`` turned true between two segments.
    """
    found = read_to_answers(model, batch, scans, state, passed)
    return None if found is None else said(model, *found)


def read_to_answers(
    model: LanguageModel,
    batch: Sequence[Prompt],
    scans: Sequence[Scan] | None,
    state: State | None,
    passed: Callable[[int], bool],
) -> tuple[Tensor, Tensor] | None:
    """Read prompts of one length; what the head reads at each digit (rows, digits, d_model), and the right tokens."""
    import torch

    from model.reading.stream import SEGMENT
    from model.state import map_state

    device = model.embedding.weight.device
    whole = np.stack([np.concatenate([prompt.ids, prompt.key_ids]) for prompt in batch])
    ids = torch.from_numpy(whole).to(device)
    scored = torch.from_numpy(batch[0].scored).to(device)  # of all prompts of one length alike
    rows, first_said = len(batch), int(batch[0].scored[0])
    if state is not None:
        state = map_state(state, lambda tensor: tensor.expand(rows, *tensor.shape[1:]))
    with torch.inference_mode():
        for first in range(0, first_said - 1, SEGMENT):
            segment = ids[:, first : min(first + SEGMENT, first_said - 1)]
            _, state = model.hidden(segment, state, scans)
            if passed(rows * (first + segment.shape[1])):
                return None
        hidden, _ = model.hidden(ids[:, first_said - 1 : -1], state, scans)
    return hidden[:, scored - first_said], ids[:, scored]


def said(model: LanguageModel, hidden: Tensor, right: Tensor) -> np.ndarray:
    """What :func:`answer` returns, from what the head reads (rows, digits, d_model) and the right tokens."""
    probability, likeliest = scores(model, hidden, right)
    return np.stack([probability, likeliest == right.cpu().numpy()], axis=1)


def scores(model: LanguageModel, hidden: Tensor, right: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The probability of every right token, and the most probable token in its place, (rows, digits) each."""
    import torch

    with torch.inference_mode():
        logits = model.logits(hidden)  # (rows, digits, vocab_size)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        probability = logits.softmax(-1).gather(-1, right[..., None])[..., 0]
        # A state that overflowed answers nothing.
        return probability.nan_to_num().cpu().numpy(), logits.argmax(-1).cpu().numpy()


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
            result = measure(PasskeyResult(task=task, reader=reader_of(model, mitigations=settings)))
            files.append(folder / f"{result.key}.json")
            result.save(files[-1])
    return files
