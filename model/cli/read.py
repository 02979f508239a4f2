"""``memory-explorer read``: a document to a recording."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from model.cli.options import ATTENTION_WINDOW, OFF, set_threads
from model.diagnostics.summary import verdict
from model.documents.document import Document, read_path
from model.documents.token_ids import read_token_ids
from model.errors import UserError
from model.experiment import Strategy, parse_mitigations, parse_window
from model.machine import expected_device
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
    "device",
    "kernels",
)


def read(
    file: Annotated[
        Path | None, typer.Argument(help="The document: text, PDF, Office, mail, web page, archive or folder.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="A name (see `models`), a folder, or a downloaded hub name.")
    ] = "mamba2-base",
    initial_state: Annotated[
        str, typer.Option(help="zeros, gaussian, fitted, carried=FOLDER of a recording, or file=FILE of a state.")
    ] = "zeros",
    tokens: Annotated[
        Path | None,
        typer.Option(
            help="A file of token ids in place of a document, where a model has no tokenizer that opens here."
        ),
    ] = None,
    mitigate: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, as often as you like: decay=4, insertion=0.75 ...")
    ] = None,
    off: OFF = None,
    out: Annotated[Path, typer.Option(help="Folder for the recording.")] = Path("recordings"),
    encoding: Annotated[str | None, typer.Option(help="The document's encoding, where detection is wrong.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda; auto takes the GPU where there is one.")] = "auto",
    main_text: Annotated[bool, typer.Option(help="Of a web page leave out navigation and footers.")] = False,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 for speed.")] = "float32",
    control: Annotated[bool, typer.Option(help="Also read with a fresh memory, to compare.")] = True,
    token_norms: Annotated[bool, typer.Option(help="Record the exact state norm at every token.")] = False,
    train_length: Annotated[int | None, typer.Option(help="Override the model's training length.")] = None,
    attention_window: ATTENTION_WINDOW = None,
    seed: Annotated[int, typer.Option(help="Seed of a random initial state.")] = 0,
    keep_text: Annotated[bool, typer.Option(help="Store the text in the recording.")] = False,
    threads: Annotated[int | None, typer.Option(help="CPU threads; one is faster on a busy machine.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the key figures as JSON, and nothing else.")] = False,
) -> None:
    """Read a document and record what the memory does; running it again resumes, or returns what is there."""
    from model.reading.runner import Progress, run

    set_threads(threads)
    name, _, source = initial_state.partition("=")
    name = "carried" if name == "file" and source else name
    document = document_of(file, tokens, encoding, main_text)
    prepared = prepare(
        document,
        model,
        Strategy.of(name, parse_mitigations(mitigate or []), seed=seed),
        Options(
            precision=precision,
            control=control,
            token_norms=token_norms,
            train_length=train_length,
            attention_window=parse_window(attention_window),
            off=tuple(off or ()),
            device=device,
        ),
        source=Path(source) if source else None,
    )
    if not as_json:
        window, count = prepared.experiment.attention_window, len(prepared.tokens)
        for note, values in notes(prepared.card, count, window, control, expected_device(device)):
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
        typer.echo(f"{figure:22s} {in_words(value)}")
    onset = recording.summary.get("collapse_onset")
    if onset is not None:
        typer.echo(f"{'onset in the document':22s} {document.place(int(prepared.characters[onset])) or '-'}")
    typer.echo(f"{'recording':22s} {recording.path}")


def document_of(file: Path | None, tokens: Path | None, encoding: str | None, main_text: bool) -> Document:
    """The document in ``file``, or that of token ids in ``tokens``; UserError unless it is one of the two."""
    if file is not None and tokens is None:  # a prompt of newlines is a document too
        return read_path(file, encoding, allow_blank=True, main_text_only=main_text)
    if tokens is not None and file is None:
        return read_token_ids(tokens)
    raise UserError("document.one_of_two")


def in_words(value: object) -> str:
    """A figure as it is printed."""
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else "-" if value is None else str(value) or "-"
