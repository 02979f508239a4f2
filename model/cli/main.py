"""The command line: ``memory-explorer read | models | download | explore | train | post-train | passkey ...``.

Each command does what the dashboard does, through the same functions, so numbers agree. What can be mended is said in
one sentence; only what is our fault shows a traceback.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from model.checkpoints.card import home
from model.checkpoints.catalogue import available, load_model, load_tokenizer_of, model_card
from model.cli.bench import run_bench
from model.cli.passkey import passkey
from model.diagnostics.summary import verdict
from model.documents.document import read_path
from model.errors import UserError
from model.experiment import Strategy, parse_mitigations
from model.messages import message
from model.published import hub
from model.published.room import gigabytes
from model.reading.prepare import Options, prepare
from model.reading.reference import SAMPLE, WINDOWS, record_explored
from model.recording.reader import Recording
from model.studies.evidence import EvidenceResult, begin, run_evidence
from model.studies.evidence.report import printed, table
from model.studies.evidence.run import samples, taken_over
from model.tokenizer import encode
from model.training.interventions import described, parse_interventions
from model.training.post_config import PostTrainConfig
from sample_data import SAMPLES, sample_text

app = typer.Typer(no_args_is_help=True, add_completion=False, help="See what the memory of a recurrent model does.")

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


@app.command()
def read(
    file: Annotated[Path, typer.Argument(help="The document: txt, md, log, csv, html, pdf or docx.")],
    model: Annotated[
        str, typer.Option(help="A name (see `models`), a folder, or a downloaded hub name.")
    ] = "mamba2-base",
    initial_state: Annotated[
        str, typer.Option(help="zeros, gaussian, fitted, or carried=FOLDER of a recording.")
    ] = "zeros",
    mitigate: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, as often as you like: decay=4, insertion=0.75 ...")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the recording.")] = Path("recordings"),
    encoding: Annotated[str | None, typer.Option(help="The document's encoding, where detection is wrong.")] = None,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16 for speed.")] = "float32",
    control: Annotated[bool, typer.Option(help="Also read with a fresh memory, to compare.")] = True,
    token_norms: Annotated[bool, typer.Option(help="Record the exact state norm at every token.")] = False,
    train_length: Annotated[int | None, typer.Option(help="Override the model's training length.")] = None,
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
        Options(precision=precision, control=control, token_norms=token_norms, train_length=train_length),
        source=Path(source) if source else None,
    )

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


@app.command()
def models(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the models that can be read with."""
    rows = [
        {
            "name": card.name,
            "layers": list(card.config.layers),
            "d_model": card.config.d_model,
            "state_size": card.config.state_size,
            "train_length": card.train_length,
            "shipped": card.shipped,
            "path": str(card.path),
            "published": card.published,
        }
        for card in available().values()
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(
            f"{row['name']:24s} {len(row['layers'])} layers, d_model {row['d_model']}, "  # type: ignore[arg-type]
            f"state {row['state_size']:,}, training length {row['train_length']:,} tokens"
        )


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="A name of the hub: owner/model.")],
    ask: Annotated[bool, typer.Option("--ask", help="Only say what would be downloaded.")] = False,
) -> None:
    """Download a published model from the hub, or go on with a download that was interrupted."""
    offer = hub.ask(name)
    for file, size in offer.files.items():
        typer.echo(f"{gigabytes(size):>10s}  {file}")
    state = offer.config.state_size
    typer.echo(f"{gigabytes(offer.size):>10s}  in all; a state of {state:,} numbers, {gigabytes(4 * state)}")
    if ask:
        return

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done / max(1, total):4.0%} of {gigabytes(total)}   ")

    hub.download(offer, report=show)
    typer.echo(f"\nread with it: memory-explorer read FILE --model {name}")


@app.command()
def explore(
    model: Annotated[str, typer.Argument(help="A model's name or folder.")],
    texts: Annotated[list[Path] | None, typer.Argument(help="Reference texts; a shipped sample if none.")] = None,
    windows: Annotated[
        int | None, typer.Option(help="Windows of one training length; 512, or 24 if published.")
    ] = None,
    precision: Annotated[str, typer.Option(help="float32, or bfloat16, of a published model.")] = "float32",
) -> None:
    """Record which states a model explores within its training length, from a reference text."""
    from model.reading.explore import explore as explore_model

    card = model_card(model)
    named = [(path.name, read_path(path).text) for path in texts or []] or [(SAMPLES[SAMPLE].file, sample_text(SAMPLE))]
    if card.published:
        record_explored(card, named, windows=windows or WINDOWS, precision=precision)
    else:
        streams = [encode(load_tokenizer_of(model), text)[0] for _, text in named]
        explore_model(load_model(model), streams, card.train_length, windows=windows or 512).save(card.explored_file)
    typer.echo(f"states of {card.name} on {', '.join(name for name, _ in named)} written to {card.explored_file}")


@app.command()
def train(
    preset: Annotated[str, typer.Argument(help="A preset of model/config.py, for example mamba2-base.")],
    text: Annotated[list[str], typer.Option(help="GROUP=FILE, as often as you like; groups are drawn equally.")],
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")],
    steps: Annotated[int, typer.Option(help="Optimizer steps of 4,096 tokens.")] = 8000,
    d_state: Annotated[int | None, typer.Option(help="Size of a head's state instead of the preset's.")] = None,
    train_length: Annotated[int | None, typer.Option(help="Tokens of a sequence instead of the preset's.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights and batches.")] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
) -> None:
    """Train a model from scratch on text files; run again after an interruption, it goes on where it was."""
    from model.training.checkpoint import train_checkpoint, train_config

    set_threads(threads)
    config = train_config(preset, steps=steps, seed=seed, d_state=d_state, train_length=train_length)
    train_checkpoint(config, text_groups(text), out, echo=typer.echo)


@app.command()
def post_train(
    base: Annotated[str, typer.Argument(help="The model to go on from: a name (see `models`) or a folder.")],
    intervention: Annotated[
        list[str],
        typer.Option(help="NAME or NAME=SHARE of steps: zeros, gaussian, fitted, carried, tbtt, longer, stretches."),
    ],
    text: Annotated[list[str], typer.Option(help="GROUP=FILE, as often as you like; groups are drawn equally.")],
    out: Annotated[Path, typer.Option(help="Folder of the new checkpoint.")],
    steps: Annotated[int, typer.Option(help="Optimizer steps.")] = 400,
    rows: Annotated[int, typer.Option(help="Sequences of a step.")] = 16,
    length: Annotated[int | None, typer.Option(help="Tokens of a sequence; the base's training length.")] = None,
    learning_rate: Annotated[float, typer.Option(help="The highest learning rate.")] = 1e-3,
    stretches: Annotated[
        Path | None,
        typer.Option(help="For stretches: a plain recording of BASE with its text, whose most novel are taken."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of batches, noise and lots.")] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
) -> None:
    """Train a model further from other initial states; run again after an interruption, it goes on where it was."""
    from model.training.checkpoint import post_train_checkpoint, training_streams, typed_command
    from model.training.loop import StepReport
    from model.training.stretches import starts_of

    set_threads(threads)
    config = PostTrainConfig(
        base=base,
        interventions=parse_interventions(intervention),
        length=model_card(base).train_length if length is None else length,
        rows=rows,
        steps=steps,
        learning_rate=learning_rate,
        seed=seed,
    )
    config.check()
    for line in described(config.interventions):
        typer.echo(line)
    starts = None
    if config.from_stretches and stretches is not None:
        starts = starts_of(Recording(stretches), base)
        typer.echo(f"starting {starts.about}")

    def show(step: StepReport) -> None:
        typer.echo(
            f"step {step.step:6,} of {steps:,}  length {step.seqlen:5,}  loss {step.loss:.3f} nats  "
            f"{step.seconds:6.0f} s, {step.seconds_left:.0f} s left"
        )

    streams = training_streams(base, text_groups(text))
    post_train_checkpoint(config, streams, out, command=typed_command(), report=show, starts=starts)
    typer.echo(f"checkpoint written to {out}")


app.command()(passkey)


def text_groups(entries: list[str]) -> dict[str, list[Path]]:
    """``GROUP=FILE`` entries as files by group; UserError if one names no file."""
    groups: dict[str, list[Path]] = {}
    for entry in entries:
        group, _, name = entry.partition("=")
        if not name or not Path(name).is_file():
            raise UserError("training.no_text", entry=entry)
        groups.setdefault(group, []).append(Path(name))
    return groups


@app.command()
def evidence(
    text: Annotated[
        list[Path] | None, typer.Option(help="A document, as often as you like; without any, the five shipped samples.")
    ] = None,
    model: Annotated[str, typer.Option(help="The base model, whose cures and capacity series count.")] = "mamba2-base",
    tokens: Annotated[int, typer.Option(help="Tokens that are read of each document.")] = 16_384,
    out: Annotated[
        Path | None, typer.Option(help="The result's JSON file; a run that was interrupted goes on from it.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON, and nothing else.")] = False,
) -> None:
    """Measure what papers report about long memories on the installed models, with a verdict for every claim."""
    set_threads(threads)
    documents = [(path.name, read_path(path).text) for path in text] if text else samples()
    begun, texts = begin(documents, tokens=tokens, base=model)
    file = out or home() / "evidence" / f"{begun.task.key}.json"
    if file.exists():
        begun = taken_over(begun, EvidenceResult.load(file))

    def show(result: EvidenceResult, done: int, total: int) -> None:
        if not as_json and sys.stderr.isatty():
            sys.stderr.write(f"\r{done / max(1, total):4.0%} of about {total:,} tokens   ")

    result = run_evidence(begun, texts, report=show, keep=lambda kept: kept.save(file))
    if as_json:
        typer.echo(json.dumps(table(result), ensure_ascii=False))
        return
    typer.echo(f"{printed(result)}\n\n{file}")


@app.command()
def bench(
    what: Annotated[str, typer.Argument(help="all, read, telemetry, mitigations, map, memory or passkey.")] = "all",
    seconds: Annotated[float, typer.Option(help="Time given to each comparison.")] = 20.0,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Measure speed as ratios within one run, interleaved."""
    set_threads(threads)
    if what == "passkey" and as_json:
        from model.cli.bench_passkey import Grid, compare

        typer.echo(json.dumps(asdict(compare(Grid()))))
        return
    rows = run_bench(what, seconds, echo=(lambda line: None) if as_json else typer.echo)
    if as_json:
        typer.echo(json.dumps(rows))


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port of the dashboard.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines.")] = "localhost",
) -> None:
    """Open the dashboard, as `streamlit run app.py` does."""
    entry = Path(__file__).resolve().parent.parent.parent / "app.py"
    options = [f"--server.port={port}", f"--server.address={address}"]
    raise typer.Exit(
        subprocess.call([sys.executable, "-m", "streamlit", "run", str(entry), *options], cwd=entry.parent)
    )


def set_threads(threads: int | None) -> None:
    """Use ``threads`` CPU threads from now on."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def main() -> None:
    """The console command: a mistake of the user's ends with one sentence and exit code 2."""
    try:
        app()
    except UserError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None
