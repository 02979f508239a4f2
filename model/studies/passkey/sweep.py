"""Many tests from one file: every strategy with every model and every question, as independent tasks.

A sweep file is TOML::

    models = ["mamba2-base"]        # names of models
    languages = ["en", "ja"]        # of the sentences; "en"
    longest = 16                    # training lengths of the longest text, doubled up to it; or lengths = [256, 4096]
    depths = 5                      # so many, evenly spaced; or [0.1, 0.5, 0.9]
    trials = 10
    seed = 0

    [[strategy]]                    # without any: the plain model
    initial_state = "fitted"
    mitigate = { decay = 4 }

    [[question]]                    # without any: the passkey among repeated sentences
    question = "pairs"
    count = 4
    digits = 3
    shape = "digits"
    filler = "newlines"             # sentence, newlines, a shipped sample's key, or a file

A task is one test of one reader. It writes its cells to its result's file as they are finished and begins with what
that file has, so a task that dies with its worker resumes where it was, on another one.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.checkpoints.catalogue import load_tokenizer_of, model_card
from model.documents.document import read_path
from model.errors import UserError
from model.experiment import Strategy
from model.interventions import initial_states
from model.interventions.initial_states import row_of
from model.interventions.mitigations import MITIGATIONS
from model.studies.passkey.prompts import Prompts
from model.studies.passkey.result import PasskeyResult
from model.studies.passkey.run import measure, reader_of
from model.studies.passkey.task import FILLERS, PasskeyTask, Reader, doubling_lengths, even_depths, result_key
from sample_data import SAMPLES, sample_text

ATTEMPTS = 5
"""How often a local pool is opened anew after it lost a worker."""

KNOWN = {"models", "languages", "longest", "lengths", "depths", "trials", "seed", "strategy", "question"}
STRATEGY = {"initial_state", "mitigate", "attention_window", "off"}
QUESTION = {"question", "count", "digits", "shape", "filler"}


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One independent task: a test, who answers, the text of a document, and the folder of the results.

    ``threads``: CPU threads it may use.
    """

    task: PasskeyTask
    reader: Reader
    text: str
    folder: Path
    threads: int = 1

    @property
    def file(self) -> Path:
        """The file of its result."""
        return self.folder / f"{result_key(self.task, self.reader)}.json"


def read_sweep(file: Path, folder: Path) -> list[Piece]:
    """The tasks of a sweep file, every one of them checked; UserError with one sentence for whatever does not fit."""
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError("sweep.unreadable", name=file.name) from error
    try:
        return _pieces(values, file, folder)
    except (TypeError, AttributeError, ValueError) as error:
        raise UserError("sweep.unreadable", name=file.name) from error


def _pieces(values: Mapping[str, Any], file: Path, folder: Path) -> list[Piece]:
    _check_names(values, KNOWN)
    pieces = []
    for model in values.get("models", ["mamba2-base"]):
        readers = [strategy_reader(model, entry, values.get("seed", 0)) for entry in values.get("strategy", [{}])]
        for language in values.get("languages", ["en"]):
            for entry in values.get("question", [{}]):
                task, text = question_task(values, entry, language, model, file.parent)
                pieces += [Piece(task=task, reader=reader, text=text, folder=folder) for reader in readers]
    return pieces


def _check_names(values: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError("sweep.unknown", name=unknown[0], known=", ".join(sorted(known)))


def strategy_reader(model: str, entry: Mapping[str, Any], seed: int) -> Reader:
    """The reader of one ``[[strategy]]``; UserError for what its model has not got."""
    _check_names(entry, STRATEGY)
    name, mitigations = entry.get("initial_state", "zeros"), entry.get("mitigate", {})
    off, window = tuple(entry.get("off", ())), entry.get("attention_window")
    reader = reader_of(model, Strategy.of(name, mitigations, seed=seed), window, off)
    row, explored = row_of(name), model_card(model).explored
    initial_states.check_fits(name, model_card(model).config)
    if row.needs_source:
        raise UserError("initial_states.needs_source")
    if explored is None and row.needs_explored:
        raise UserError("initial_states.needs_explored", name=name)
    for mitigation, _ in reader.strategy.mitigations:
        if explored is None and MITIGATIONS[mitigation].needs_reference:
            raise UserError("mitigations.needs_reference", name=mitigation)
    return reader


def question_task(
    values: Mapping[str, Any], entry: Mapping[str, Any], language: str, model: str, folder: Path
) -> tuple[PasskeyTask, str]:
    """The task of one ``[[question]]`` for ``model`` and the text of its document, both of them checked.

    Files are looked for in ``folder``. Lengths that double leave out those without room for the sentences.
    """
    _check_names(entry, QUESTION)
    depths = values.get("depths", 5)
    filler, text = filler_text(entry.get("filler", "sentence"), folder)
    others = {name: entry[name] for name in ("question", "count", "digits", "shape") if name in entry}
    task = PasskeyTask(
        language=language,
        lengths=tuple(values.get("lengths", (1 << 20,))),
        depths=even_depths(depths) if isinstance(depths, int) else tuple(map(float, depths)),
        trials=values.get("trials", 10),
        filler=filler,
        document=hashlib.sha256(text.encode()).hexdigest() if filler == "text" else "",
        seed=values.get("seed", 0),
        **others,
    )
    tokenizer = load_tokenizer_of(model)
    if "lengths" not in values:
        least = Prompts(replace(task, depths=task.depths[:1], trials=1), tokenizer, text).least
        train_length, longest = model_card(model).train_length, values.get("longest", 16)
        task = replace(task, lengths=doubling_lengths(train_length, longest, least))
    Prompts(task, tokenizer, text)
    return task, text


def filler_text(name: str, folder: Path = Path()) -> tuple[str, str]:
    """The filler that ``name`` means, and its text: a filler's own name, a shipped sample's key, or a file.

    UserError if it is none of them, or the file cannot be read.
    """
    if name in FILLERS and name != "text":
        return name, ""
    if name in SAMPLES:
        return "text", sample_text(name)
    if not (folder / name).is_file():
        raise UserError("sweep.filler", value=name, known=", ".join([*FILLERS[:2], *SAMPLES]))
    return "text", read_path(folder / name).text


def run_piece(piece: Piece) -> PasskeyResult:
    """Run one task, from what its file has; its cells are in the file as soon as they are finished."""
    import torch

    torch.set_num_threads(piece.threads)
    begun = PasskeyResult(task=piece.task, reader=piece.reader)
    if piece.file.exists():
        begun = PasskeyResult.load(piece.file)
    if begun.complete:
        return begun
    stored = len(begun.cells)

    def report(result: PasskeyResult, _: int) -> None:
        nonlocal stored
        if len(result.cells) > stored:
            result.save(piece.file)
            stored = len(result.cells)

    return measure(begun, text=piece.text, report=report)


def run_sweep(
    pieces: Sequence[Piece],
    executor: Callable[[], AbstractContextManager[Executor]],
    done: Callable[[PasskeyResult], None] = lambda result: None,
) -> list[PasskeyResult]:
    """Run every task through the executor that ``executor()`` opens; results in the order of ``pieces``.

    ``done`` is called with every result as it comes. A pool of processes breaks when one of them is killed: it is
    opened anew for what is left. UserError if that does not help.
    """
    results: dict[Piece, PasskeyResult] = {}
    for _ in range(ATTEMPTS):
        left = [piece for piece in dict.fromkeys(pieces) if piece not in results]
        with executor() as running:
            futures = {}
            try:
                futures = {running.submit(run_piece, piece): piece for piece in left}
            except BrokenExecutor:
                continue
            for future in as_completed(futures):
                try:
                    result = future.result()
                except BrokenExecutor:
                    continue
                result.save(futures[future].file)  # of a worker that does not see the folder
                results[futures[future]] = result
                done(result)
        if len(results) == len(dict.fromkeys(pieces)):
            return [results[piece] for piece in pieces]
    raise UserError("sweep.lost", count=len(dict.fromkeys(pieces)) - len(results))
