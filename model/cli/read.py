"""``memory-explorer read``: a document to a recording."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from model.checkpoints.catalogue import DEVICE
from model.cli.options import set_threads
from model.diagnostics.summary import verdict
from model.documents.document import read_path
from model.experiment import Strategy, parse_mitigations, parse_window
from model.messages import message
from model.published.cost import notes
from model.reading.prepare import Options, prepare

REPORTED = (
    "tokens",
    "tokens_per_second",
    "peak_rss_mb",
    "train_length",
    "loss_within",
    "loss_beyond",
    "control_loss_beyond",
    "excess_loss",
    "collapse_onset",
    "unexplored_fraction",
)


def read(
    file: Annotated[Path, typer.Argument(help="The document: text, PDF, Office, mail, web page, archive or folder.")],
    model: Annotated[
        str, typer.Option(help="A name (see `models`), a folder, or a downloaded hub name.")
    ] = "mamba2-base",
    initial_state: Annotated[
        str, typer.Option(help="zeros, gaussian, fitted, or carried=FOLDER of a recording.")
    ] = "zeros",
    mitigate: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, as often as you like: decay=4, insertion=0.75 ...")
    ] = None,
    off: Annotated[
        list[str] | None,
        typer.Option(help="Switch a part off, as often as you like: recurrence, layer:3, head:3.5 ..."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the recording.")] = Path("recordings"),
    encoding: Annotated[str | None, typer.Option(help="The document's encoding, where detection is wrong.")] = None,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 for speed.")] = "float32",
    control: Annotated[bool, typer.Option(help="Also read with a fresh memory, to compare.")] = True,
    token_norms: Annotated[bool, typer.Option(help="Record the exact state norm at every token.")] = False,
    train_length: Annotated[int | None, typer.Option(help="Override the model's training length.")] = None,
    attention_window: Annotated[
        str | None,
        typer.Option(help="Tokens that attention sees at most; 0 or full: all. The training length by default."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of a random initial state.")] = 0,
    keep_text: Annotated[bool, typer.Option(help="Store the text in the recording.")] = False,
    threads: Annotated[int | None, typer.Option(help="CPU threads; one is faster on a busy machine.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the key figures as JSON, and nothing else.")] = False,
) -> None:
    """Read a document and record what the memory does; running it again resumes, or returns what is there."""
    from model.reading.runner import Progress, run

    set_threads(threads)
    name, _, source = initial_state.partition("=")
    prepared = prepare(
        read_path(file, encoding, allow_blank=True),  # the newline prompt is a document too
        model,
        Strategy.of(name, parse_mitigations(mitigate or []), seed=seed),
        Options(
            precision=precision,
            control=control,
            token_norms=token_norms,
            train_length=train_length,
            attention_window=parse_window(attention_window),
            off=tuple(off or ()),
        ),
        source=Path(source) if source else None,
    )
    if not as_json:
        window, device = prepared.experiment.attention_window, os.environ.get(DEVICE, "cpu")
        for note, values in notes(prepared.card, len(prepared.tokens), window, control, device):
            typer.echo(message(note, "en", **values))

    def show(progress: Progress) -> None:
        if not as_json and sys.stderr.isatty():
            left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left"
            share = progress.tokens / progress.total
            sys.stderr.write(f"\r{share:4.0%} of {progress.total:,} tokens, loss {progress.loss:.2f}{left}   ")

    recording = run(prepared, out, on_progress=show, keep_text=keep_text)
    figures = {figure: recording.summary.get(figure) for figure in REPORTED}
    if as_json:
        typer.echo(json.dumps(figures))
        return
    key, values = verdict(recording.summary)
    typer.echo(f"\n{message(key, 'en', **values)}\n")
    for figure, value in figures.items():
        typer.echo(
            f"{figure:22s} {'-' if value is None else f'{value:,.4g}' if isinstance(value, float) else f'{value:,}'}"
        )
    typer.echo(f"{'recording':22s} {recording.path}")
