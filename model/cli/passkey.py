"""``memory-explorer passkey``: one test with options, a sweep from a file, or the exact prompt of a cell."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from model.checkpoints.catalogue import load_tokenizer_of
from model.cli.options import ATTENTION_WINDOW, OFF
from model.errors import UserError
from model.experiment import parse_mitigations, parse_window
from model.studies.passkey.executors import open_executor
from model.studies.passkey.prompts import Prompts
from model.studies.passkey.result import PasskeyResult
from model.studies.passkey.sweep import Piece, question_task, read_sweep, run_sweep, strategy_reader


def passkey(
    sweep: Annotated[Path | None, typer.Option(help="A sweep file (TOML): strategies x models x questions.")] = None,
    cluster: Annotated[str, typer.Option(help="Address of a Dask cluster, for example tcp://host:8786.")] = "",
    workers: Annotated[int, typer.Option(help="Processes of this machine, without a cluster.")] = os.cpu_count() or 1,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("passkey"),
    model: Annotated[str, typer.Option(help="A model's name or a checkpoint folder.")] = "mamba2-base",
    initial_state: Annotated[str, typer.Option(help="zeros, gaussian or fitted.")] = "zeros",
    mitigate: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, as often as you like.")] = None,
    off: OFF = None,
    attention_window: ATTENTION_WINDOW = None,
    language: Annotated[str, typer.Option(help="Language of the sentences: en or ja.")] = "en",
    question: Annotated[
        str, typer.Option(help="passkey, keys, pairs, word, copying, associative or occurrence.")
    ] = "passkey",
    count: Annotated[int, typer.Option(help="How many things a question tells.")] = 1,
    digits: Annotated[int, typer.Option(help="Symbols of a key.")] = 5,
    shape: Annotated[str, typer.Option(help="What keys are made of: digits, letters or hex.")] = "digits",
    filler: Annotated[str, typer.Option(help="sentence, newlines, a shipped sample's key, or a file.")] = "sentence",
    longest: Annotated[int, typer.Option(help="Training lengths of the longest text.")] = 16,
    depths: Annotated[int, typer.Option(help="Depths, evenly spaced.")] = 5,
    trials: Annotated[int, typer.Option(help="Trials of a cell.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of keys, and of a random initial state.")] = 0,
    prompt: Annotated[
        str, typer.Option(help="LENGTH,DEPTH,TRIAL: print this prompt as the model reads it, and run nothing.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON, and nothing else.")] = False,
) -> None:
    """Hide something in long texts, ask for it, and count right answers over lengths and depths.

    Run again, it resumes from what the results' folder has.
    """
    if sweep is not None:
        pieces = read_sweep(sweep, out)
    else:
        strategy = {
            "initial_state": initial_state,
            "mitigate": parse_mitigations(mitigate or []),
            "off": off or [],
            "attention_window": parse_window(attention_window),
        }
        reader = strategy_reader(model, strategy, seed)
        grid = {"longest": longest, "depths": depths, "trials": trials, "seed": seed}
        asked = {"question": question, "count": count, "digits": digits, "shape": shape, "filler": filler}
        task, text = question_task(grid, asked, language, model, Path())
        pieces = [Piece(task=task, reader=reader, text=text, folder=out)]
    if prompt:
        typer.echo(prompt_of(pieces[0], prompt))
        return

    def done(result: PasskeyResult) -> None:
        if not as_json:
            typer.echo(summary(result))

    results = run_sweep(pieces, partial(open_executor, cluster, max(1, min(workers, len(pieces)))), done)
    if as_json:
        typer.echo(json.dumps([as_values(result) for result in results]))


def prompt_of(piece: Piece, wanted: str) -> str:
    """The prompt named by LENGTH,DEPTH,TRIAL, trials counted from 1, as it is read; UserError for other names."""
    try:
        length, depth, trial = wanted.split(",")
        place = int(length), float(depth), int(trial) - 1
    except ValueError as error:
        raise UserError("sweep.prompt", value=wanted) from error
    if not 0 <= place[1] <= 1:
        raise UserError("passkey.depth", value=place[1])
    if place[2] < 0:
        raise UserError("sweep.prompt", value=wanted)
    tokenizer = load_tokenizer_of(piece.reader.model)
    return Prompts(piece.task, tokenizer, piece.text).prompt(*place).text(tokenizer)


def summary(result: PasskeyResult) -> str:
    """One line about a finished test: who, what, and the share of right answers at every length."""
    reader, task = result.reader, result.task
    settings = [f"{name}={value:g}" for name, value in reader.strategy.mitigations]
    who = " ".join(
        [
            reader.model,
            *([] if reader.strategy.initial_state == "zeros" else [reader.strategy.initial_state]),
            *settings,
            *(f"{part} off" for part in reader.off),
        ]
    )
    shares = "  ".join(f"{length:,}: {cell.accuracy:.2f}" for length, cell in result.by_length().items())
    return f"{who} | {task.question} {task.language} | {shares} | {result.key}"


def as_values(result: PasskeyResult) -> dict[str, object]:
    """A result as JSON holds it."""
    cells = [[length, depth, *cell] for (length, depth), cell in result.cells.items()]
    return {
        "key": result.key,
        "task": asdict(result.task),
        "reader": result.reader.to_json(),
        "t_recall": result.t_recall,
        "seconds": result.seconds,
        "cells": cells,
    }
