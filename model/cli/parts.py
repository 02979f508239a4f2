"""``memory-explorer parts``: which layer or head remembers, by what a reading without it costs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from model.cli.options import ATTENTION_WINDOW, set_threads
from model.documents.document import read_path
from model.experiment import parse_window
from model.reading.prepare import Options, prepare


def parts(
    file: Annotated[Path, typer.Argument(help="The document: text, PDF, Office, mail, web page, archive or folder.")],
    model: Annotated[
        str, typer.Option(help="A name (see `models`), a folder, or a downloaded hub name.")
    ] = "mamba2-base",
    heads: Annotated[bool, typer.Option(help="Also without each head: one reading for every head.")] = False,
    passkey: Annotated[bool, typer.Option(help="Also the passkeys that are recalled without each part.")] = False,
    tokens: Annotated[int | None, typer.Option(help="Tokens that are read; without it, all.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the result; an interrupted run resumes.")] = Path("recordings"),
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 for speed.")] = "float32",
    train_length: Annotated[int | None, typer.Option(help="Override the model's training length.")] = None,
    attention_window: ATTENTION_WINDOW = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; one is faster on a busy machine.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON, and nothing else.")] = False,
) -> None:
    """Read a document without each part of a model and say what that costs beyond the training length."""
    from model.studies.parts import measure_parts, measure_recall, parts_of, table

    set_threads(threads)
    options = Options(
        precision=precision,
        control=False,
        train_length=train_length,
        attention_window=parse_window(attention_window),
    )
    prepared = prepare(read_path(file), model, options=options)
    config = prepared.card.config
    wanted = parts_of(config, heads=heads)

    def show(done: int, count: int, read: int, total: int) -> None:
        if not as_json and sys.stderr.isatty():
            sys.stderr.write(f"\r{done} of {count} parts; {read / total:4.0%} of {total:,} tokens   ")

    def show_tests(done: int, count: int) -> None:
        if not as_json and sys.stderr.isatty():
            sys.stderr.write(f"\r{done} of {count} passkey tests              ")

    result = measure_parts(prepared, wanted, out, tokens=tokens, report=show)
    if passkey:
        result = measure_recall(result, wanted, out / "passkey", report=show_tests)
    if as_json:
        typer.echo(json.dumps(result.to_json()))
        return
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    for line in table(result, config):
        typer.echo(line)
