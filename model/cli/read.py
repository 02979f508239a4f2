"""``memory-explorer read``: documents to recordings."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from model.checkpoints.catalogue import model_card
from model.cli.inputs import attempts, files_of
from model.cli.options import ATTENTION_WINDOW, EACH, OFF, set_threads
from model.diagnostics.summary import verdict
from model.documents.document import read_path
from model.documents.token_ids import read_token_ids
from model.errors import UserError
from model.experiment import Strategy, parse_mitigations, parse_window
from model.machine import expected_device
from model.messages import message
from model.published.cost import notes
from model.reading.prepare import Options, Prepared, prepare
from model.recording.reader import Recording

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
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Documents: text, PDF, Office, mail, web page, archive or folder, which is one document."),
    ] = None,
    each: EACH = False,
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
    """Read documents and record what the memory does; running it again resumes, or returns what is there.

    Of several documents one that fails gives its sentence, the rest go on, and the exit code is 2.
    """
    from model.reading.runner import Progress, run

    set_threads(threads)
    name, _, source = initial_state.partition("=")
    name = "carried" if name == "file" and source else name
    strategy = Strategy.of(name, parse_mitigations(mitigate or []), seed=seed)
    options = Options(
        precision=precision,
        control=control,
        token_norms=token_norms,
        train_length=train_length,
        attention_window=parse_window(attention_window),
        off=tuple(off or ()),
        device=device,
    )
    if bool(files) == (tokens is not None):
        raise UserError("document.one_of_two")
    model_card(model)  # a model that is not here is said once

    def show(progress: Progress) -> None:
        if not as_json and sys.stderr.isatty():
            left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left"
            share = progress.tokens / progress.total
            sys.stderr.write(f"\r{share:4.0%} of {progress.total:,} tokens, loss {progress.loss:.2f}{left}   ")

    def read_one(path: Path) -> tuple[Prepared, Recording]:
        # A prompt of newlines is a document, too.
        document = (
            read_token_ids(path)
            if tokens is not None
            else read_path(path, encoding, allow_blank=True, main_text_only=main_text)
        )
        prepared = prepare(document, model, strategy, options, source=Path(source) if source else None)
        if not as_json:
            window, count = prepared.experiment.attention_window, len(prepared.tokens)
            for note, values in notes(prepared.card, count, window, control, expected_device(device)):
                typer.echo(message(note, "en", **values))
        return prepared, run(prepared, out, on_progress=show, keep_text=keep_text)

    paths = files_of(files, each) if files else [tokens] if tokens is not None else []
    several, failed = each or len(paths) > 1, False
    rows: list[dict[str, Any]] = []
    for path, result in attempts(paths, read_one):
        if several and not as_json:
            typer.echo(f"\n{path}")
        if isinstance(result, UserError):
            if not several:
                raise result
            failed = True
            rows.append({"file": str(path), "error": str(result)})
            typer.echo(str(result), err=True)
            continue
        figures = {figure: result[1].summary.get(figure) for figure in REPORTED}
        rows.append({"file": str(path), "recording": str(result[1].path), **figures} if several else figures)
        if not as_json:
            show_figures(*result)
    if as_json:
        typer.echo(json.dumps(rows if several else rows[0], ensure_ascii=False))
    if failed:
        raise typer.Exit(2)


def show_figures(prepared: Prepared, recording: Recording) -> None:
    """Print the verdict and the key figures of a reading."""
    key, values = verdict(recording.summary)
    typer.echo(f"\n{message(key, 'en', **values)}\n")
    for figure in REPORTED:
        typer.echo(f"{figure:22s} {in_words(recording.summary.get(figure))}")
    onset = recording.summary.get("collapse_onset")
    if onset is not None:
        place = prepared.document.place(int(prepared.characters[onset]))
        typer.echo(f"{'onset in the document':22s} {place or '-'}")
    typer.echo(f"{'recording':22s} {recording.path}")


def in_words(value: object) -> str:
    """A figure as it is printed."""
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else "-" if value is None else str(value) or "-"
