"""The parts of a measurement: a document, passkeys, effective context, gradients, speed; each is None if stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
from tokenizers import Tokenizer

from kernels.dispatch import scan
from kernels.types import Scan
from model.arch.lm import LanguageModel
from model.diagnostics.collapse import BEYOND, collapse_onset, excess_beyond, excess_curve
from model.machine import processor_name
from model.reading.stream import PAIRS, segment_of
from model.reading.windows import control_from
from model.state import State, flatten_state
from model.studies.architectures.result import Context, Reading, Speed, Timing
from model.studies.cost.measure import Recurrent, random_tokens
from model.studies.effective_context import EffectiveContextResult, EffectiveContextTask, kept_lengths
from model.studies.effective_context.run import run_effective_context
from model.studies.gradients import GradientReach, reach_on
from model.studies.passkey import PasskeyResult, PasskeyTask, Reader, doubling_lengths, even_depths, measure
from model.studies.passkey.prompts import least_length
from model.studies.recall import PASSKEYS
from model.studies.whole import read_whole, state_after

BINS = 64
"""Bins of a loss curve, at most."""
TRIALS, DEPTHS, LONGEST = 4, even_depths(3), 16
"""Keys per depth, length and language of the passkey row, and its longest text in training lengths."""
ENDS, SPAN = 4, 16
"""End points of the effective context, and the span before each in training lengths."""
BUDGET, LEAST, STEPS = 10.0, 0.25, 16
"""Seconds for all times of reading; seconds over which short ones are repeated; tokens that are timed one by one."""
FIRST, LAST = 256, 16_384
"""Tokens of the shortest and the longest reading that is timed."""

Passed = Callable[[float], bool]
"""``passed(share of this part that is done)`` returns whether to stop."""


def read_document(model: LanguageModel, tokens: np.ndarray, passed: Passed) -> tuple[Reading, State] | None:
    """What ``model`` shows on ``tokens`` (tokens,), and its state at the end."""
    train_length, done = model.config.train_length, 0
    expected = 3 * len(tokens) + BEYOND * train_length

    def ticked(count: int) -> bool:
        nonlocal done
        done += count
        return passed(min(1.0, done / expected))

    scans: list[Scan] = [scan] * len(model.config.layers)
    whole = read_whole(model, tokens, train_length, model.zero_state(), scans, ticked)
    control = None if whole is None else control_from(model, tokens, 0, train_length, ticked)
    if whole is None or whole.statistics is None or control is None:
        return None
    loss, state = whole.losses, whole.state
    excess = excess_beyond(loss, control, train_length)
    assert excess is not None, "documents are longer than nine training lengths"
    curve = excess_curve(loss, control, train_length, BINS)
    cached = any(layer.memory.past for layer in state)
    far = BEYOND * train_length
    reading = Reading(
        within=whole.within,
        beyond=float(np.nanmean(loss[far:], dtype=np.float64)),
        control=float(np.nanmean(control[far:], dtype=np.float64)),
        low=excess.low,
        high=excess.high,
        onset=collapse_onset(loss, control, train_length),
        positions=tuple(curve.position.round(1).tolist()),
        loss=tuple(curve.loss.round(4).tolist()),
        fresh=tuple(curve.control.round(4).tolist()),
        norms=() if cached else whole.statistics.by_spot(train_length)[0],
    )
    return reading, state


def held(model: LanguageModel, tokens: np.ndarray) -> int:
    """Bytes of the memory of ``model`` after ``tokens`` (tokens,), convolution windows included."""
    state = state_after(model, tokens, [scan] * len(model.config.layers))
    assert state is not None  # nothing stops it
    return size_of(state)


def size_of(state: State) -> int:
    """Bytes of a state."""
    return sum(tensor.nbytes for tensor in flatten_state(state).values())


def answer_passkeys(reader: Reader, tokenizer: Tokenizer, passed: Passed) -> Mapping[int, tuple[int, int]] | None:
    """Right answers and answers by length, all languages and depths together."""
    least = max(least_length(tokenizer, language, PasskeyTask.digits) for language in PASSKEYS)
    lengths = doubling_lengths(reader.train_length, LONGEST, least)
    counts = dict.fromkeys(lengths, (0, 0))
    ended = False
    for place, language in enumerate(PASSKEYS):
        task = PasskeyTask(language=language, lengths=lengths, depths=DEPTHS, trials=TRIALS)

        def report(result: PasskeyResult, done: int, task: PasskeyTask = task, place: int = place) -> None:
            nonlocal ended
            ended = passed((place + done / task.tokens) / len(PASSKEYS))

        result = measure(PasskeyResult(task=task, reader=reader), report=report, stop=lambda: ended)
        if not result.complete:
            return None
        for length, cell in result.by_length().items():
            right, of = counts[length]
            counts[length] = right + cell.correct, of + cell.trials
    return counts


def measure_context(
    model: LanguageModel, reader: Reader, document: str, tokens: np.ndarray, passed: Passed
) -> Context | None:
    """How far back the next prediction depends on ``tokens`` (tokens,) of the ``document`` with that hash."""
    train_length, ended = reader.train_length, False
    length = min(SPAN * train_length, len(tokens) - ENDS)
    task = EffectiveContextTask(document=document, length=length, lengths=kept_lengths(length, train_length), ends=ENDS)

    def report(result: EffectiveContextResult, done: int) -> None:
        nonlocal ended
        ended = passed(done / task.tokens)

    begun = EffectiveContextResult(task=task, reader=reader)
    result = run_effective_context(model, tokens, begun, report=report, stop=lambda: ended)
    if not result.complete:
        return None
    return Context(
        reach=round(result.reach(), 1),
        open_ended=result.open_ended(),
        kept=task.lengths,
        moved=tuple(result.curve().mean.round(5).tolist()),
    )


def measure_gradients(model: LanguageModel, tokens: np.ndarray, passed: Passed) -> GradientReach | None:
    """The norm of d loss_t / d state_{t-k}, k up to the training length."""
    return reach_on(model, tokens, longest=model.config.train_length, stop=lambda: passed(0.5))


def measure_speed(model: LanguageModel, passed: Passed) -> Speed | None:
    """Times of reading at lengths that double, as long as the budget lasts, and of one token more."""
    segment = min(PAIRS, segment_of(model.config))
    subject = Recurrent(model=model, state=model.zero_state(), segment=segment)
    ids = random_tokens(LAST + STEPS, model.config.vocab_size)
    memory: State = model.zero_state()
    for warm in subject.read(ids[: segment + 1]):
        memory = subject.step(int(ids[0]), warm)
    points: list[Timing] = []
    began, length = time.perf_counter(), FIRST
    while length <= LAST:
        times: list[float] = []
        while not times or (sum(times) < LEAST and len(times) < STEPS):
            start = time.perf_counter()
            for after in subject.read(ids[:length]):
                memory = after
                if passed(min(1.0, (time.perf_counter() - began) / BUDGET)):
                    return None
            times.append(time.perf_counter() - start)
        points.append(Timing(length=length, seconds=min(times)))
        length *= 2
        if time.perf_counter() - began + 4 * min(times) > BUDGET and len(points) >= 4:
            break
    steps = []
    for token in ids[-STEPS:]:
        start = time.perf_counter()
        memory = subject.step(int(token), memory)
        steps.append(time.perf_counter() - start)
    return Speed(machine=processor_name("cpu"), points=tuple(points), step=min(steps))
